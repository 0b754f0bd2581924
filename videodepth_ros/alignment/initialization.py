# SPDX-License-Identifier: Apache-2.0
"""A first guess, without iterations over the whole: pairs chained along their strongest ones.

After DUSt3R (arXiv 2312.14132, section 3.4): a maximum spanning tree of the pairs by confidence is
walked from its strongest pair, and every new frame is placed by the point map it shares.
"""

from __future__ import annotations

import heapq

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.observations import FrameObservations, PairObservations
from videodepth_ros.alignment.parameters import AlignmentState
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.sim3 import Sim3, umeyama_alignment

Array = NDArray[np.float32]

FOCAL_PASSES = 10
FEWEST_POINTS = 6


def initialize_state(
    observations: PairObservations,
    views: list[FrameObservations],
    focal: float | None,
    aspect: float,
    *,
    shared_focal: bool,
) -> AlignmentState:
    """Place cameras and pairs; the frame that the tree starts from is the world.

    focal   fx in pixels where it is known; aspect fy / fx
    raises  InputError where the pairs leave a frame apart from the others
    """
    focals = np.array([focal or _focal(observations, view, aspect) for view in views])
    if shared_focal:
        focals[:] = np.median(focals)
    world = _grow(observations, views)
    cameras = [
        _camera(observations, view, world[view.frame], focals[view.frame], aspect)
        for view in views
    ]
    pairs = [_pair(observations, views, index, world) for index in range(len(observations.pairs))]
    return AlignmentState(Sim3.stack(cameras), Sim3.stack(pairs), np.log(focals), aspect)


def _shown(
    views: list[FrameObservations], frame: int, pair: int, second: bool
) -> tuple[Array, Array]:
    """Return points (3, P) and weights (P,) of a frame in a pair; ``second`` if it is j there."""
    rows = np.flatnonzero(views[frame].pair == pair)
    row = rows[-1 if second else 0]
    return views[frame].points[row], views[frame].weight[row]


def _focal(observations: PairObservations, view: FrameObservations, aspect: float) -> float:
    """Return the fx that puts the frame's own point maps on their pixels, by Weiszfeld passes.

    The median over the pairs whose camera it is; where there is none, a common field of view.
    """
    own = [m for m, pair in enumerate(view.pair) if observations.pairs[pair].i == view.frame]
    guesses = []
    for m in own:
        x, y, z = view.points[m].astype(np.float64)
        good = (view.weight[m] > 0) & (z > 0)
        slope = np.stack([x[good], aspect * y[good]]) / z[good]
        pixel = view.offset[:, good].astype(np.float64)
        gain = np.ones(slope.shape[1])
        for _ in range(FOCAL_PASSES):
            focal = float((gain * slope * pixel).sum() / max((gain * slope**2).sum(), 1e-12))
            gain = 1 / np.maximum(np.linalg.norm(pixel - focal * slope, axis=0), 1e-8)
        guesses.append(focal)
    good_guesses = [focal for focal in guesses if focal > 0]
    fallback = float(max(observations.shape))  # 53 degrees across, where nothing says more
    return float(np.median(good_guesses)) if good_guesses else fallback


def _grow(observations: PairObservations, views: list[FrameObservations]) -> list[Array]:
    """Return the points of every frame (3, P) in the world, along the strongest tree of pairs."""
    pairs = observations.pairs
    score = [_score(views, index, *pair.edge) for index, pair in enumerate(pairs)]
    touching: list[list[int]] = [[] for _ in views]
    for index, pair in enumerate(pairs):
        touching[pair.i].append(index)
        touching[pair.j].append(index)
    strongest = int(np.argmax(score))
    root = pairs[strongest].i
    world = {root: _shown(views, root, strongest, False)[0]}
    strongest_first = [(-score[index], index) for index in touching[root]]
    heapq.heapify(strongest_first)
    while strongest_first:
        index = heapq.heappop(strongest_first)[1]
        i, j = pairs[index].edge
        if i in world and j in world:
            continue
        known, new = (i, j) if i in world else (j, i)
        to_world = _fit(*_shown(views, known, index, known == j), world[known])
        world[new] = to_world.apply(_shown(views, new, index, new == j)[0])
        for other in touching[new]:
            heapq.heappush(strongest_first, (-score[other], other))
    apart = sorted(set(range(len(views))) - set(world))
    if apart:
        raise InputError(
            f'no pair joins frames {apart[:8]} to the others; give a graph of '
            'pairs that holds together'
        )
    return [world[frame] for frame in range(len(views))]


def _score(views: list[FrameObservations], index: int, i: int, j: int) -> float:
    confidence_i = np.exp(_shown(views, i, index, False)[1]).mean()
    return float(confidence_i * np.exp(_shown(views, j, index, True)[1]).mean())


def _fit(points: Array, weight: Array, target: Array) -> Sim3:
    """Fit a similarity where at least a few points are known; else nothing moves."""
    known = weight > 0
    if np.count_nonzero(known) < FEWEST_POINTS:
        return Sim3.identity(1)[0]
    return umeyama_alignment(points[:, known], target[:, known], weight[known])


def _camera(
    observations: PairObservations,
    view: FrameObservations,
    world: Array,
    focal: float,
    aspect: float,
) -> Sim3:
    """Place a camera by its own point map, or by resection where only other cameras show it."""
    for m in np.argsort(-view.weight.sum(axis=1), kind='stable'):
        if observations.pairs[view.pair[m]].i == view.frame:
            placed = _fit(view.points[m], view.weight[m], world)
            return Sim3(np.array(1.0), placed.rotation, placed.translation)
    weight = view.weight.sum(axis=0)
    known = (weight > 0) & (weight >= np.median(weight))
    K = np.array([[focal, 0, 0], [0, focal * aspect, 0], [0, 0, 1.0]])
    if np.count_nonzero(known) < FEWEST_POINTS:
        return Sim3.identity(1)[0]
    found, vector, translation = cv2.solvePnP(
        world[:, known].T.astype(np.float64),
        view.offset[:, known].T.astype(np.float64),
        K,
        None,
        flags=cv2.SOLVEPNP_SQPNP,
    )
    if not found:
        return Sim3.identity(1)[0]
    T_cam_world = np.eye(4)
    T_cam_world[:3, :3], T_cam_world[:3, 3] = cv2.Rodrigues(vector)[0], translation[:, 0]
    return Sim3.from_se3(T_cam_world).inverse()


def _pair(
    observations: PairObservations, views: list[FrameObservations], index: int, world: list[Array]
) -> Sim3:
    """Place a pair where both of its point maps lie nearest to the frames' points."""
    i, j = observations.pairs[index].edge
    (points_i, weight_i), (points_j, weight_j) = (
        _shown(views, i, index, False),
        _shown(views, j, index, True),
    )
    return _fit(
        np.concatenate([points_i, points_j], axis=1),
        np.concatenate([weight_i, weight_j]),
        np.concatenate([world[i], world[j]], axis=1),
    )
