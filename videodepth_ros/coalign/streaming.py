# SPDX-License-Identifier: Apache-2.0
"""Co-alignment of a model that sees one frame at a time: its frames agree on shared points.

Each frame is a snippet of one picture. What ties frames together is not the same picture seen
twice but the same points: tracks and a bundle adjustment place them, up to one scale for all.
A frame's depth then is bent in three steps, from what is common to what is its own: a law of depth
for the whole recording (a model sees all near things too far, say), a scale of the frame, and a
smooth field over its image. Each is believed as far as the points can tell it from chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.depth_law import Law, fit_law
from videodepth_ros.core.threads import one_blas_thread
from videodepth_ros.core.workspace import save_arrays
from videodepth_ros.geometry.bilinear_grid import COLUMNS, ROWS, log_field, spread_out
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.sfm.depth_correction import Landmarks, View, view_of
from videodepth_ros.sfm.reconstruction import located
from videodepth_ros.sfm.robust_adjustment import Adjusted
from videodepth_ros.sfm.tracks import Images

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Indices = NDArray[np.intp]

FEWEST = 12
"""Points that a frame must see, and tracks of three sightings that must pass from a frame to the
next; where fewer do, scale is lost, and both sides keep that of the model."""
SHORTEST = 8
"""Frames that are tied together, at least: fewer say nothing that the model does not know."""
ROUNDS = 3
CELLS_OF_ONE = 4.0
"""Cells of the grid over which errors of a model go together, and count as one."""
NORMAL = 1.4826
LEAST_SPREAD, MOST_SPREAD = 0.02, 0.5
THIN = 8
"""Every so many-th pixel, in both directions, tells how far the whole has moved."""


@dataclass(frozen=True)
class Coalignment:
    """What makes the depths of a recording of N frames agree: factors, as logarithms.

    law    by the logarithm of the model's depth, for all frames
    level  (N,) float32, of each frame
    field  (N, ROWS, COLUMNS) float32, over the image of each frame
    tied   (N,) bool, frames that share points with others; the law alone bends the rest
    """

    law: Law
    level: Array
    field: Array
    tied: NDArray[np.bool_]

    def aligned(self, frame: int, depth: Array) -> Array:
        """Return the depth (h, w) float32 of a frame; NaN and +inf stay."""
        height, width = depth.shape
        with np.errstate(invalid='ignore', divide='ignore'):
            factor = self.law(np.log(depth)) + self.level[frame]
        factor += spread_out(self.field[frame].astype(np.float64), height, width)
        return np.asarray(depth * np.exp(factor), np.float32)

    def save(self, path: Path) -> None:
        """Write one .npz, whole or not at all."""
        save_arrays(
            path,
            knots=self.law.knots,
            values=self.law.values,
            level=self.level,
            field=self.field,
            tied=self.tied,
        )

    @classmethod
    def load(cls, path: Path) -> Coalignment:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            return cls(
                Law(stored['knots'], stored['values']),
                stored['level'],
                stored['field'],
                stored['tied'],
            )


@one_blas_thread()
def coalign_stream(
    images: Images,
    depth: Array,
    camera: Intrinsics | None,
    advanced: Callable[[float], None] = lambda _: None,
) -> Coalignment:
    """Find what makes the depths of a recording agree; every run finds the same.

    images    (N, H, W, 3) uint8 RGB, of any size that has the depth's aspect
    depth     (N, h, w) float32, Z, in a unit that all frames share as far as the model can; NaN
              unknown, +inf sky; it may lie on disk
    camera    intrinsics at (h, w); None: the focal length is sought too
    advanced  is told the share of the work that is done
    raises    InputError where images, depth and camera do not fit each other

    The unit stays that of the depth: the median factor over all pixels, by 1 / Z, is 1.
    """
    found, camera = located(images, depth, camera, lambda share: advanced(0.9 * share))
    landmarks = Landmarks.of(found)
    views = [view_of(found, landmarks, frame, depth[frame], camera) for frame in range(len(depth))]
    piece = _pieces(found, views)
    tied = piece >= 0
    law, level = _law_and_levels(views, tied)
    errors = [
        view.log_ratio - law(view.log_depth) - own for view, own in zip(views, level, strict=True)
    ]
    field = np.zeros((len(depth), ROWS, COLUMNS))
    frames: list[int] = np.flatnonzero(tied).tolist()
    if frames:
        spread = _spread(np.concatenate([errors[frame] for frame in frames]))
        for frame in frames:
            view = views[frame]
            field[frame] = log_field(view.place, errors[frame], view.doubt, spread, 0.0)
    level = _believed(level, views, errors, piece)
    found_ = Coalignment(law, level.astype(np.float32), field.astype(np.float32), tied)
    advanced(1.0)
    return _in_unit(found_, depth)


def _pieces(found: Adjusted, views: Sequence[View]) -> Indices:
    """Return which frames are tied together: a number for each, (N,); -1 where a frame is not.

    None is where depth errs no more than a measurement, which is better left as it is.
    """
    seen = found.seen
    if found.noise.measured:
        return np.full(seen.frames, -1, np.intp)
    length = np.bincount(seen.track, minlength=len(seen.first))
    long = length >= 3
    first = seen.frame[seen.first]
    last = seen.frame[seen.first + length - 1]
    passing = np.array(
        [
            np.count_nonzero(long & (first <= frame) & (last > frame))
            for frame in range(seen.frames - 1)
        ],
        np.intp,
    )
    piece = np.concatenate([[0], np.cumsum(passing < FEWEST)]).astype(np.intp)
    enough = np.array([len(view.log_ratio) >= FEWEST for view in views])
    return np.where(enough & (np.bincount(piece)[piece] >= SHORTEST), piece, -1)


def _law_and_levels(views: Sequence[View], tied: NDArray[np.bool_]) -> tuple[Law, Array64]:
    """Fit the law of the recording and the level of each frame in turns."""
    level, law = np.zeros(len(views)), Law.nothing()
    frames: list[int] = np.flatnonzero(tied).tolist()
    if not frames:
        return law, level
    weights = [_evened(view) for view in views]
    log_depth = np.concatenate([views[frame].log_depth for frame in frames])
    weight = np.concatenate([weights[frame] for frame in frames])
    for turn in range(ROUNDS + 1):
        for frame in frames:
            view = views[frame]
            near = np.exp(view.log_depth.min() - view.log_depth)
            level[frame] = _median(view.log_ratio - law(view.log_depth), weights[frame] * near)
        if turn < ROUNDS:
            law = fit_law(
                log_depth,
                np.concatenate([views[frame].log_ratio - level[frame] for frame in frames]),
                weight,
            )
    return law, level


def _evened(view: View) -> Array64:
    """Return weights of the points of a view that make all cells of the grid count alike."""
    cell = _cells(view)
    return np.asarray(1 / np.maximum(np.bincount(cell, minlength=ROWS * COLUMNS), 1)[cell])


def _cells(view: View) -> Indices:
    column, row = (view.place * [COLUMNS, ROWS]).astype(np.intp).T
    return row * COLUMNS + column


def _median(value: Array64, weight: Array64) -> float:
    order = np.argsort(value, kind='stable')
    total = np.cumsum(weight[order])
    return float(value[order][np.searchsorted(total, total[-1] / 2)])


def _spread(error: Array64) -> float:
    return float(np.clip(NORMAL * np.median(np.abs(error)), LEAST_SPREAD, MOST_SPREAD))


def _believed(
    level: Array64, views: Sequence[View], errors: Sequence[Array64], piece: Indices
) -> Array64:
    """Return the levels (N,) of each piece about their median, as far as they are not chance.

    Empirical Bayes (Efron and Morris, 1975): the variance of the levels beyond that of their
    errors is the model's own unsteadiness, and where there is none the model is left alone.
    """
    believed = np.zeros_like(level)
    for number in np.unique(piece[piece >= 0]):
        frames: list[int] = np.flatnonzero(piece == number).tolist()
        away = level[frames] - np.median(level[frames])
        chance = np.array(
            [
                _spread(errors[frame]) ** 2 * CELLS_OF_ONE / len(np.unique(_cells(views[frame])))
                for frame in frames
            ]
        )
        unsteady = max(float(np.mean(np.minimum(away**2, 1)) - np.mean(chance)), 0.0)
        believed[frames] = away * unsteady / (unsteady + chance)
    return believed


def _in_unit(found: Coalignment, depth: Array) -> Coalignment:
    """Move the law so that the median factor of all pixels is 1, each counting by 1 / Z.

    Near things are what networks are least wrong about, and robots most concerned with.
    """
    factors, weights = [np.zeros(0)], [np.zeros(0)]
    for frame in range(len(depth)):
        thin = np.ascontiguousarray(depth[frame][THIN // 2 :: THIN, THIN // 2 :: THIN])
        with np.errstate(invalid='ignore', divide='ignore'):
            factor = np.log(found.aligned(frame, thin) / thin)
        known = np.isfinite(factor)
        factors.append(factor[known])
        weights.append(1 / thin[known])
    every = np.concatenate(factors)
    middle = _median(every, np.concatenate(weights)) if every.size else 0.0
    return Coalignment(found.law.moved(-middle), found.level, found.field, found.tied)
