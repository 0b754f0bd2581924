# SPDX-License-Identifier: Apache-2.0
"""Options of loop closure: place recognition, matching, verification, pose graph, adjustment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlaceRecognitionOptions:
    """Bag of words over SIFT features of keyframes."""

    # Frames from one keyframe to the next.
    keyframe_interval: int = 6
    # Most SIFT features of a keyframe.
    max_features: int = 800
    # SIFT contrast threshold; low, for dim images.
    contrast_threshold: float = 0.01
    # Words of a descriptor, and bits of a word: signs of random projections (Charikar, 2002).
    tables: int = 4
    bits: int = 10
    # Seed of the random projections.
    seed: int = 5
    # Most loop candidates of a keyframe: bounds the matching time.
    max_candidates: int = 2
    # Keyframes around a candidate that are suppressed: they show the same place.
    suppression_radius: int = 3
    # Least cosine similarity of two bags of words.
    min_similarity: float = 0.05


@dataclass(frozen=True)
class MatchingOptions:
    """Wide-baseline matching: SIFT, epipolar RANSAC, transfer of points."""

    # Ratio test: best to second-best descriptor distance (Lowe, 2004); lenient, RANSAC follows.
    max_ratio: float = 0.85
    # Least matches, before and after RANSAC.
    min_matches: int = 16
    # Essential-matrix RANSAC: inlier threshold [image widths], confidence, most iterations.
    max_epipolar_error_widths: float = 1 / 320
    ransac_confidence: float = 0.999
    ransac_iterations: int = 300
    # Inlier threshold of the affine prealignment [image widths]; loose, the scene is not flat.
    max_affine_error_widths: float = 0.1
    # Matches around a point whose median motion predicts it.
    neighbors: int = 3
    # Lucas-Kanade refinement: window [px], pyramid levels above the full image.
    window_px: int = 17
    pyramid_levels: int = 2
    # Largest forward-backward error: the larger of both.
    max_backward_error_px: float = 0.5
    max_backward_error_widths: float = 1 / 640


@dataclass(frozen=True)
class LoopClosureOptions:
    """Detection and verification of loop closures."""

    # Least frames between the ends of a loop: two track lengths; chained tracks cover less.
    min_frame_gap: int = 48
    # PnP RANSAC: inlier threshold [image widths], iterations.
    max_reprojection_error_widths: float = 1 / 160
    ransac_iterations: int = 300
    # Least PnP inliers, and their least share of the matches.
    min_inliers: int = 24
    min_inlier_ratio: float = 0.5
    # Cells across and down the image; least cells with inliers.
    cells: int = 4
    min_cells: int = 5
    # Largest drift of odometry: share of the path length and of the total rotation ...
    drift_per_path: float = 0.25
    drift_per_rotation: float = 0.2
    # ... plus an offset [median depths], [rad].
    drift_offset_depths: float = 0.1
    drift_offset_rad: float = 0.1
    # Frames within which the ends of two loops are neighbors: they must agree.
    neighborhood: int = 24
    # Least frames of a piece that see an earlier piece again, and agree on where it is ...
    min_piece_loops: int = 3
    # ... and most frames that disagree, as a share of these.
    max_contested_share: float = 0.34
    # Most frames that see points again: bounds the border of the normal equations.
    max_loop_frames: int = 32


@dataclass(frozen=True)
class PoseGraphOptions:
    """Pose graph over similarities (Strasdat et al., RSS 2010)."""

    # Nodes spread over the recording, besides the ends of loops.
    nodes: int = 32
    # Gauss-Newton iterations.
    iterations: int = 15
    # Factor of the sigmas between two pieces, whose relative pose is unknown.
    piece_sigma_ratio: float = 1e3
    # Sigma of odometry over the recording: share of path and rotation; log scale.
    odometry_sigma: float = 0.1
    odometry_log_scale_sigma: float = 0.2
    # Least motion of a frame [median depths], [rad]: keeps a static camera's edges regular.
    min_motion_depths: float = 0.002
    min_rotation_rad: float = 0.002
    # Sigma of a loop closure [median depths], [rad].
    loop_sigma_depths: float = 0.02
    loop_sigma_rad: float = 0.005
    # Scale of Cauchy's loss on loop closures [sigmas].
    cauchy_scale: float = 2.0


@dataclass(frozen=True)
class LoopAdjustmentOptions:
    """Bundle adjustment with loop closures."""

    # Iterations of the adjustment that tests the loops.
    test_iterations: int = 12
    # Most iterations of each round after it.
    iterations: tuple[int, ...] = (12, 20)
    # Largest rise of the cost of the tracks [squared sigmas per observation between the ends].
    # On rendered recordings true loops raise it by up to 0.012; loops displaced by a tenth of the
    # depth by more in most, and by 0.003 where tracks hold the cameras badly: those pass.
    max_cost_rise: float = 0.02
    # The same where all loops are between pieces: their tracks are free to follow, and cannot
    # refute a loop, but points seen again from afar are less exact.
    max_piece_cost_rise: float = 0.1
