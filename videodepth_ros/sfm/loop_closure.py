# SPDX-License-Identifier: Apache-2.0
"""Loop closure detection: points observed again long after their tracks have ended.

Loop candidates (`place_recognition`) are matched (`matching`), and the later camera is posed by
PnP against the points of the earlier one. A loop closure is accepted if its inliers are many and
spread over the image, if it is within the drift of odometry, and if a neighboring one agrees. Of
loop closures that disagree, as between rooms of equal doors, the one of least drift is accepted.

The drift between two pieces of a recording is unbounded, and no track contradicts a false loop
closure there. Several must agree on one relative pose of the pieces, and few on another: places
that look alike give several answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from videodepth_ros.core.arrays import Edge, Float64Array, IndexArray
from videodepth_ros.geometry.camera import Intrinsics, backproject_pixels
from videodepth_ros.geometry.rotation import so3_log
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.loop_options import LoopClosureOptions
from videodepth_ros.sfm.matching import match_features, transfer_points
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions
from videodepth_ros.sfm.pieces import LOST, Pieces
from videodepth_ros.sfm.place_recognition import (
    Features,
    extract_features,
    retrieve_loop_candidates,
)
from videodepth_ros.sfm.reprojection import focal_lengths, log_depths
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction
from videodepth_ros.sfm.tracks import ImageSequence, equalize_contrast

BREAK_REACH, BREAK_STRIDE = 6, 2
"""Frames before and after a break that are matched across it, and the steps between them."""


@dataclass(frozen=True)
class LoopClosure:
    """Points of an earlier frame observed again in a later one.

    i, j          the frames, i before j
    track         (P,) intp, tracks of the points
    xy            (P, 2) float64, pixels from the principal point in frame j
    T_j_i         (4, 4) float64, relative pose by PnP
    median_depth  of the points in frame i
    """

    i: int
    j: int
    track: IndexArray
    xy: Float64Array
    T_j_i: Float64Array
    median_depth: float


class OdometryDrift:
    """Bounds of the drift of a chain of cameras between any two frames."""

    def __init__(
        self, T_cam_world: Sim3, options: LoopClosureOptions = LoopClosureOptions()
    ) -> None:
        """Accumulate path length and rotation along the chain of N transforms."""
        steps = T_cam_world[1:] @ T_cam_world[:-1].inverse()
        self._T_cam_world, self._options = T_cam_world, options
        self._path, self._rotation = (
            np.append(0.0, np.cumsum(np.linalg.norm(values, axis=1)))
            for values in (steps.translation, so3_log(steps.rotation))
        )

    def drift_ratio(self, loop: LoopClosure) -> float:
        """Return the correction that a loop closure makes, as a share of the largest drift."""
        return self._ratio(self._relative(loop.i, loop.j), loop, [(loop.i, loop.j)])

    def disagreement_ratio(self, loop: LoopClosure, other: LoopClosure) -> float:
        """Return the difference of two loop closures, as a share of the largest drift.

        The chain connects their ends.
        """
        by_other = (
            self._relative(other.j, loop.j)
            @ Sim3.from_se3(other.T_j_i)
            @ self._relative(loop.i, other.i)
        )
        return self._ratio(by_other, loop, [(loop.i, other.i), (loop.j, other.j)])

    def _relative(self, i: int, j: int) -> Sim3:
        return self._T_cam_world[j] @ self._T_cam_world[i].inverse()

    def _ratio(self, T_j_i: Sim3, loop: LoopClosure, spans: Sequence[Edge]) -> float:
        options, measured = self._options, Sim3.from_se3(loop.T_j_i)
        distance = np.linalg.norm(T_j_i.inverse().translation - measured.inverse().translation)
        angle = np.linalg.norm(so3_log((T_j_i @ measured.inverse()).rotation))
        path = sum(abs(self._path[b] - self._path[a]) for a, b in spans)
        rotation = sum(abs(self._rotation[b] - self._rotation[a]) for a, b in spans)
        drift = options.drift_per_path * path + options.drift_offset_depths * loop.median_depth
        drift_rad = options.drift_per_rotation * rotation + options.drift_offset_rad
        return float(max(distance / drift, angle / drift_rad))


def detect_loop_closures(
    images: ImageSequence,
    sparse: SparseReconstruction,
    camera: Intrinsics,
    on_progress: Callable[[float], None] = lambda _: None,
    options: ReconstructionOptions = DEFAULTS,
    pieces: Pieces | None = None,
) -> list[LoopClosure]:
    """Detect and verify the loop closures of a recording; deterministic.

    images       (N, H, W, 3) uint8 RGB; ``camera`` has their size
    on_progress  called with the share that is done, 0 to 1
    pieces       of the recording; None: one
    """
    gap, recognition = options.loop_closure.min_frame_gap, options.place_recognition
    if pieces is None:
        pieces = Pieces.whole(len(images))
    if len(images) <= gap and pieces.count == 1:
        return []
    keyframes = _choose_keyframes(pieces, recognition.keyframe_interval)
    gray = (equalize_contrast(images[key], options.contrast) for key in keyframes)
    features = {
        key: extract_features(one, recognition) for key, one in zip(keyframes, gray, strict=True)
    }
    on_progress(0.5)
    log_depth = log_depths(sparse.observations, sparse.state)
    loops = []
    candidates = retrieve_loop_candidates(
        keyframes, list(features.values()), gap, recognition, pieces.number[keyframes]
    )
    for i, j in sorted({*candidates, *_across_breaks(pieces)}):
        pair = features[i], features[j]
        loop = _verify((i, j), images, pair, sparse, log_depth, camera, options)
        if loop is not None:
            loops.append(loop)
    on_progress(1.0)
    return _select(loops, sparse, pieces, options.loop_closure)


def _choose_keyframes(pieces: Pieces, interval: int) -> list[int]:
    """Return every n-th frame that is not lost, and the ends of pieces where there are several."""
    every = np.arange(0, len(pieces.number), interval)
    ends = [frame for pair in _across_breaks(pieces) for frame in pair]
    return np.union1d(every[pieces.number[every] != LOST], ends).astype(int).tolist()


def _across_breaks(pieces: Pieces) -> list[Edge]:
    """Return pairs of a frame at the end of a piece and one at the beginning of the next."""
    return [
        (last - a, first + b)
        for (begin, last), (first, end) in pairwise(pieces.spans)
        for a in range(0, min(BREAK_REACH, last - begin + 1), BREAK_STRIDE)
        for b in range(0, min(BREAK_REACH, end - first + 1), BREAK_STRIDE)
    ]


def _select(
    loops: Sequence[LoopClosure],
    sparse: SparseReconstruction,
    pieces: Pieces,
    options: LoopClosureOptions,
) -> list[LoopClosure]:
    """Return the consistent loop closures, within pieces and between them."""
    drift = OdometryDrift(sparse.state.T_cam_world, options)
    is_within = [pieces.number[loop.i] == pieces.number[loop.j] for loop in loops]
    within = [loop for loop, inside in zip(loops, is_within, strict=True) if inside]
    between = [loop for loop, inside in zip(loops, is_within, strict=True) if not inside]
    chosen = [
        *select_consistent(within, drift, options),
        *select_between_pieces(between, drift, pieces, options),
    ]
    return _limit_loop_frames(chosen, options.max_loop_frames)


def _verify(
    frames: Edge,
    images: ImageSequence,
    features: tuple[Features, Features],
    sparse: SparseReconstruction,
    log_depth: Float64Array,
    camera: Intrinsics,
    options: ReconstructionOptions,
) -> LoopClosure | None:
    """Match the candidate frames (i, j) and pose frame j; None: too few matches or inliers.

    log_depth  (K,), of the point of each observation in the frame of the observation
    """
    fx, fy = focal_lengths(sparse.state)
    K = np.array([[fx, 0, camera.cx], [0, fy, camera.cy], [0, 0, 1.0]])
    matches = match_features(*features, K, options.matching)
    if matches is None:
        return None
    at = np.flatnonzero(sparse.observations.frame == frames[0])
    pixel = sparse.observations.xy[at] + K[:2, 2]
    first, second = (equalize_contrast(images[n], options.contrast) for n in frames)
    moved, good = transfer_points(
        first, second, pixel.astype(np.float32), matches, options.matching
    )
    points = backproject_pixels(pixel - K[:2, 2], np.exp(log_depth[at]), K[[0, 1], [0, 1]])
    return _solve_pnp(
        frames,
        sparse.observations.track[at[good]],
        points[good],
        moved[good].astype(np.float64),
        K,
        options.loop_closure,
    )


def _solve_pnp(
    frames: Edge,
    track: IndexArray,
    points: Float64Array,
    pixel: Float64Array,
    K: Float64Array,
    options: LoopClosureOptions,
) -> LoopClosure | None:
    """Pose frame j by points (P, 3) of frame i and their pixels (P, 2) in j; None: few inliers."""
    if len(track) < options.min_inliers:
        return None
    width, height = 2 * K[0, 2], 2 * K[1, 2]
    found, vector, translation, inliers = cv2.solvePnPRansac(
        points,
        pixel,
        K,
        None,
        iterationsCount=options.ransac_iterations,
        reprojectionError=options.max_reprojection_error_widths * width,
        flags=cv2.SOLVEPNP_SQPNP,
    )
    least = max(options.min_inliers, options.min_inlier_ratio * len(track))
    if not found or inliers is None or len(inliers) < least:
        return None
    at = inliers[:, 0]
    column, row = (pixel[at] / [width, height] * options.cells).astype(int).T
    if len(np.unique(options.cells * row + column)) < options.min_cells:
        return None
    vector, translation = cv2.solvePnPRefineLM(points[at], pixel[at], K, None, vector, translation)
    T_j_i = np.eye(4)
    T_j_i[:3, :3], T_j_i[:3, 3] = cv2.Rodrigues(vector)[0], translation.ravel()
    median_depth = float(np.median(points[at, 2]))
    return LoopClosure(*frames, track[at], pixel[at] - K[:2, 2], T_j_i, median_depth)


def select_consistent(
    loops: Sequence[LoopClosure],
    drift: OdometryDrift,
    options: LoopClosureOptions = LoopClosureOptions(),
) -> list[LoopClosure]:
    """Return the loop closures within the drift that a neighbor confirms and none contradicts."""
    plausible = [(loop, ratio) for loop in loops if (ratio := drift.drift_ratio(loop)) < 1]
    selected = []
    for loop, ratio in plausible:
        neighbors = [
            (other, other_ratio)
            for other, other_ratio in plausible
            if other is not loop and abs(other.j - loop.j) < options.neighborhood
        ]
        differences = [drift.disagreement_ratio(loop, other) for other, _ in neighbors]
        confirmed = any(
            difference < 1 and other.j != loop.j and abs(other.i - loop.i) < options.neighborhood
            for difference, (other, _) in zip(differences, neighbors, strict=True)
        )
        contradicted = any(
            difference >= 1 and other_ratio < ratio
            for difference, (_, other_ratio) in zip(differences, neighbors, strict=True)
        )
        if confirmed and not contradicted:
            selected.append(loop)
    return selected


def select_between_pieces(
    loops: Sequence[LoopClosure],
    drift: OdometryDrift,
    pieces: Pieces,
    options: LoopClosureOptions = LoopClosureOptions(),
) -> list[LoopClosure]:
    """Return the loop closures between pieces on which enough of them agree."""
    pairs: dict[Edge, list[LoopClosure]] = {}
    for loop in loops:
        key = int(pieces.number[loop.i]), int(pieces.number[loop.j])
        pairs.setdefault(key, []).append(loop)
    return [
        loop for _, group in sorted(pairs.items()) for loop in _agreeing(group, drift, options)
    ]


def _agreeing(
    loops: Sequence[LoopClosure], drift: OdometryDrift, options: LoopClosureOptions
) -> list[LoopClosure]:
    """Return the largest set that agrees with one of its members; none if it is contested."""
    groups = [
        [other for other in loops if other is one or drift.disagreement_ratio(one, other) < 1]
        for one in loops
    ]
    best = max(groups, key=_frames_closed)
    rest = [loop for loop in loops if not any(loop is one for one in best)]
    is_contested = _frames_closed(rest) > options.max_contested_share * _frames_closed(best)
    if _frames_closed(best) < options.min_piece_loops or is_contested:
        return []
    return best


def _frames_closed(loops: Sequence[LoopClosure]) -> int:
    return len({loop.j for loop in loops})


def _limit_loop_frames(loops: list[LoopClosure], max_frames: int) -> list[LoopClosure]:
    """Return the loop closures of at most ``max_frames`` later frames, evenly chosen."""
    frames = sorted({loop.j for loop in loops})
    if len(frames) > max_frames:
        chosen = np.linspace(0, len(frames) - 1, max_frames).round().astype(int)
        frames = [frames[n] for n in chosen]
    return [loop for loop in loops if loop.j in frames]
