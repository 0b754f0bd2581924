# SPDX-License-Identifier: Apache-2.0
"""Points that are seen again, long after their tracks have ended.

Two frames that may be of one place (`places`) are matched (`matching`), and the later camera is
placed by the points of the earlier one (PnP). A loop is believed if many points over much of the
image agree, if it asks of the chain of cameras between no more than a chain may drift, and if
another loop close by says the same. Where loops contradict each other, as in rooms with many doors
that are alike, the one that asks least of the chain is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Edge
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.rotation import so3_log
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.matching import carried_over, matched
from videodepth_ros.sfm.place_recognition import candidates, features_of
from videodepth_ros.sfm.reprojection import focal_lengths, points_in_view
from videodepth_ros.sfm.robust_adjustment import Adjusted
from videodepth_ros.sfm.tracks import LONGEST, Images, evened

Array64 = NDArray[np.float64]
Indices = NDArray[np.intp]

LOOK = 6
"""Frames from one that is described to the next."""
GAP = 2 * LONGEST
"""Frames between the ends of a loop, at least: over fewer, tracks that follow one another hold the
cameras as well."""
RADIUS_SHARE, TRIALS = 1 / 160, 300
"""Of the width: how far a point may lie from where the camera of a loop sees it."""
FEWEST, LEAST_SHARE = 24, 0.5
"""Points that agree, and their share of all that were found again."""
PARTS, FEWEST_PARTS = 4, 5
"""The image is divided so many times each way; points must lie in so many of the parts."""
DRIFT, DRIFT_TURN = 0.25, 0.2
"""Shares of the way and of the turn from frame to frame by which a chain may err."""
SLACK, SLACK_RAD = 0.1, 0.1
"""What it may err besides: median depths of the points, and radians."""
NEAR = LONGEST
"""Frames between the ends of loops that are compared with each other."""
MOST_JOINED = 32
"""Frames of a recording that are joined to earlier ones: it bounds the width of the equations."""


@dataclass(frozen=True)
class Loop:
    """A later frame that sees points of an earlier one again.

    i, j     the frames, i before j
    track    (P,) intp, tracks of the adjustment; offset (P, 2) float64, where frame j sees them,
             in pixels from the principal point
    T_j_i    (4, 4) float64, by the points; reach: their median depth in frame i
    """

    i: int
    j: int
    track: Indices
    offset: Array64
    T_j_i: Array64
    reach: float


class Chain:
    """Cameras one after the other, and how far they may have drifted."""

    def __init__(self, cameras: Sim3) -> None:
        """Take the transforms T_cam_world, (N,)."""
        steps = cameras[1:] @ cameras[:-1].inverse()
        turns = so3_log(steps.rotation)
        self._cameras = cameras
        self._way, self._turn = (
            np.append(0.0, np.cumsum(np.linalg.norm(values, axis=1)))
            for values in (steps.translation, turns)
        )

    def strain(self, loop: Loop) -> float:
        """Return what a loop asks of the chain, as a share of how far it may have drifted."""
        return self._strain(self._between(loop.i, loop.j), loop, [(loop.i, loop.j)])

    def contradiction(self, loop: Loop, other: Loop) -> float:
        """Return how far two loops differ, as a share of how far the chain may have drifted."""
        by_other = (
            self._between(other.j, loop.j)
            @ Sim3.from_se3(other.T_j_i)
            @ self._between(loop.i, other.i)
        )
        return self._strain(by_other, loop, [(loop.i, other.i), (loop.j, other.j)])

    def _between(self, i: int, j: int) -> Sim3:
        return self._cameras[j] @ self._cameras[i].inverse()

    def _strain(self, expected: Sim3, loop: Loop, spans: Sequence[Edge]) -> float:
        said = Sim3.from_se3(loop.T_j_i)
        apart = np.linalg.norm(expected.inverse().translation - said.inverse().translation)
        turned = np.linalg.norm(so3_log((expected @ said.inverse()).rotation))
        way = sum(abs(self._way[b] - self._way[a]) for a, b in spans)
        turn = sum(abs(self._turn[b] - self._turn[a]) for a, b in spans)
        return float(
            max(
                apart / (DRIFT * way + SLACK * loop.reach),
                turned / (DRIFT_TURN * turn + SLACK_RAD),
            )
        )


def find_loops(
    images: Images,
    found: Adjusted,
    camera: Intrinsics,
    advanced: Callable[[float], None] = lambda _: None,
) -> list[Loop]:
    """Find what a recording sees again, (N, H, W, 3) uint8 RGB; ``camera`` has their size.

    advanced  is told the share that is done
    """
    if len(images) <= GAP:
        return []
    keys = range(0, len(images), LOOK)
    features = [features_of(evened(images[key])) for key in keys]
    advanced(0.5)
    fx, fy = focal_lengths(found.scene)
    K = np.array([[fx, 0, camera.cx], [0, fy, camera.cy], [0, 0, 1.0]])
    log_depth, loops = points_in_view(found.seen, found.scene), []
    for i, j in candidates(keys, features, GAP):
        matches = matched(features[i // LOOK], features[j // LOOK], K)
        if matches is None:
            continue
        at = np.flatnonzero(found.seen.frame == i)
        pixel = found.seen.offset[at] + K[:2, 2]
        there, good = carried_over(
            evened(images[i]), evened(images[j]), pixel.astype(np.float32), *matches
        )
        points = backprojected(pixel, np.exp(log_depth[at]), K)
        loop = _placed(
            i, j, found.seen.track[at[good]], points[good], there[good].astype(np.float64), K
        )
        if loop is not None:
            loops.append(loop)
    advanced(1.0)
    return _spread_out(believed(loops, Chain(found.scene.cameras)))


def backprojected(pixel: Array64, depth: Array64, K: Array64) -> Array64:
    """Return the points (P, 3) at pixels (P, 2) and depths (P,)."""
    ray = np.column_stack([(pixel - K[:2, 2]) / K[[0, 1], [0, 1]], np.ones(len(pixel))])
    points: Array64 = ray * depth[:, None]
    return points


def _placed(
    i: int, j: int, track: Indices, points: Array64, pixel: Array64, K: Array64
) -> Loop | None:
    """Place camera j by points (P, 3) of camera i and its pixels (P, 2); None: they disagree."""
    if len(track) < FEWEST:
        return None
    width, height = 2 * K[0, 2], 2 * K[1, 2]
    found, vector, translation, inside = cv2.solvePnPRansac(
        points,
        pixel,
        K,
        None,
        iterationsCount=TRIALS,
        reprojectionError=RADIUS_SHARE * width,
        flags=cv2.SOLVEPNP_SQPNP,
    )
    if not found or inside is None or len(inside) < max(FEWEST, LEAST_SHARE * len(track)):
        return None
    fits = inside[:, 0]
    column, row = (pixel[fits] / [width, height] * PARTS).astype(int).T
    if len(np.unique(PARTS * row + column)) < FEWEST_PARTS:
        return None
    vector, translation = cv2.solvePnPRefineLM(
        points[fits], pixel[fits], K, None, vector, translation
    )
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = cv2.Rodrigues(vector)[0], translation.ravel()
    return Loop(i, j, track[fits], pixel[fits] - K[:2, 2], T, float(np.median(points[fits, 2])))


def believed(loops: Sequence[Loop], chain: Chain) -> list[Loop]:
    """Return the loops that the chain bears, that others confirm, and that none contradicts."""
    borne = [(loop, strain) for loop in loops if (strain := chain.strain(loop)) < 1]
    kept = []
    for loop, strain in borne:
        near = [
            (other, other_strain)
            for other, other_strain in borne
            if other is not loop and abs(other.j - loop.j) < NEAR
        ]
        differ = [chain.contradiction(loop, other) for other, _ in near]
        confirmed = any(
            off < 1 and other.j != loop.j and abs(other.i - loop.i) < NEAR
            for off, (other, _) in zip(differ, near, strict=True)
        )
        contradicted = any(
            off >= 1 and other_strain < strain
            for off, (_, other_strain) in zip(differ, near, strict=True)
        )
        if confirmed and not contradicted:
            kept.append(loop)
    return kept


def _spread_out(loops: list[Loop]) -> list[Loop]:
    """Leave so many that no more than `MOST_JOINED` frames are joined, spread over all."""
    joined = sorted({loop.j for loop in loops})
    if len(joined) > MOST_JOINED:
        chosen = np.linspace(0, len(joined) - 1, MOST_JOINED).round().astype(int)
        joined = [joined[n] for n in chosen]
    return [loop for loop in loops if loop.j in joined]
