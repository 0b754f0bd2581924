# SPDX-License-Identifier: Apache-2.0
"""Options of the global alignment; defaults are those of Align3R's demo where it has them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.geometry.camera import Intrinsics

PUBLISHED_BASE_SCALE = 0.5
"""Geometric mean of the pair scales in the published gauge (DUSt3R's code)."""


class FocalModel(str, Enum):
    """Parameterisation of the focal length."""

    KNOWN = 'known'  # calibrated, fixed
    SHARED = 'shared'  # one for all frames
    PER_FRAME = 'per_frame'  # a zoom lens, or several cameras


@dataclass(frozen=True)
class InitializationOptions:
    """Initial cameras and pairs along the spanning tree (DUSt3R, section 3.4)."""

    # Weiszfeld iterations of the focal length [count] (DUSt3R's code).
    focal_iterations: int = 10

    # Least points of a similarity or resection [count].
    min_points: int = 6


@dataclass(frozen=True)
class RayDepthOptions:
    """Depth along the rays at fixed cameras: Weiszfeld iterations [count]."""

    # At the first linearisation of a grid, from the weighted mean.
    initial_iterations: int = 5

    # At each further one, from the depth before.
    iterations: int = 2

    # Of the final depth maps, at full resolution.
    final_iterations: int = 8

    # Before depth is compared with measured depth.
    scale_iterations: int = 2

    # A point map supports a depth within this distance [share of depth]; see `depth_confidence`.
    support_ratio: float = 0.05


@dataclass(frozen=True)
class DampingOptions:
    """Levenberg-Marquardt damping: share of the Hessian's diagonal that is added to it."""

    initial: float = 1e-4
    minimum: float = 1e-9
    maximum: float = 1e3  # the solver stops beyond

    # Divisor after a successful step, factor after a rejected one [1].
    factor: float = 10.0


@dataclass(frozen=True)
class AlignmentOptions:
    """Options of `align`."""

    # Intrinsics at the size of the point maps; None: unknown, with square pixels and the
    # principal point at (w / 2, h / 2), as published.
    camera: Intrinsics | None = None

    # None: known with a camera, else one shared by all frames.
    focal_model: FocalModel | None = None

    # Weight of the rotation between consecutive frames [1 / rad] (MonST3R, eq. 5).
    rotation_smoothing: float = 0.01

    # Weight of the distance between consecutive frames [1 / published unit] (MonST3R, eq. 5).
    translation_smoothing: float = 0.01

    # Weight of the mean flow error [1 / px] (MonST3R, section 3.3).
    flow_weight: float = 0.01

    # Most pixels of a frame on the finest grid of the Gauss-Newton steps [count].
    max_pixels: int = 2560

    # Grids, each with twice the stride of the next [count].
    grid_levels: int = 2

    # Most Gauss-Newton iterations on each grid [count].
    max_iterations: int = 30

    # Least relative decrease of the cost by a step [share]; the solver stops below.
    function_tolerance: float = 1e-5

    # Pairs further apart are loop closures, and lie in the border of the normal equations
    # [frames]; None: one dense block, faster up to about a hundred pairs.
    window: int | None = None

    # Flow errors beyond are dropped [px]: where smooth L1 reaches 50 (MonST3R's code).
    max_flow_error_px: float = 50.5

    initialization: InitializationOptions = InitializationOptions()
    ray_depth: RayDepthOptions = RayDepthOptions()
    damping: DampingOptions = DampingOptions()

    def __post_init__(self) -> None:
        """Validate the options.

        raises  ConfigError naming the value
        """
        for name in ('max_pixels', 'grid_levels', 'max_iterations'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} is {getattr(self, name)}; give 1 or more')


PUBLISHED_OPTIONS = AlignmentOptions()

CLIP_OPTIONS = replace(PUBLISHED_OPTIONS, rotation_smoothing=0.003, translation_smoothing=0.003)
"""A third of the published smoothing: a clip has many pairs per frame, and more smoothing shortens
its path (ATE on the stored goldens: 0.053 at 0.01, 0.033 at 0.003, 0.034 at 0)."""


@dataclass(frozen=True)
class HierarchyOptions:
    """Options of the keyframes and of the clips; cameras are at the size of the point maps."""

    keyframes: AlignmentOptions = PUBLISHED_OPTIONS
    clips: AlignmentOptions = CLIP_OPTIONS

    # Steps between keyframes up to which smoothing has its full weight [count]. The published
    # term is a sum over some ten frames beside a mean over pairs; over more it would dominate.
    full_smoothing_steps: int = 9

    def with_camera(self, camera: Intrinsics | None) -> HierarchyOptions:
        """Return the options with the intrinsics of all frames, at the size of the point maps."""
        return replace(
            self,
            keyframes=replace(self.keyframes, camera=camera),
            clips=replace(self.clips, camera=camera),
        )

    def without_smoothing(self) -> HierarchyOptions:
        """Return the options with smoothing weights of 0."""
        keyframes, clips = (
            replace(options, rotation_smoothing=0.0, translation_smoothing=0.0)
            for options in (self.keyframes, self.clips)
        )
        return replace(self, keyframes=keyframes, clips=clips)


@dataclass(frozen=True)
class PairGraphOptions:
    """Layout of keyframes, clips and pairs over a recording."""

    # Frames from one keyframe to the next (Align3R's demo).
    clip_length: int = 10

    # Neighbours before and after that a keyframe is paired with [keyframes] (DUSt3R: winsize).
    window: int = 3

    # Least normalised correlation of two thumbnails that are a loop candidate [1].
    min_loop_correlation: float = 0.8


@dataclass(frozen=True)
class MovingObjectOptions:
    """Segmentation of moving objects by flow that no static point explains."""

    # Distance of the compared frames [frames]: enough for a walking person to move.
    frame_distance: int = 2

    # Factor by which an aligned depth may be wrong, in both directions [1].
    depth_range: float = 1.6

    # Least distance of the flow from the static range [px].
    min_motion_px: float = 1.5

    # Largest difference of forward and backward flow [px]; beyond, flow is unknown.
    max_flow_inconsistency_px: float = 1.0

    # Photometric gain of the flow over the nearest static one [grey levels]: flow is unreliable
    # on uniform surfaces and along edges, where the static one explains the images as well.
    min_photometric_gain: float = 10.0

    # Diameter of the opening and dilation that remove specks, and of the photometric blur [px].
    kernel_px: int = 5

    # Depth that stands for +inf [unit of the poses]: flow of the rotation only.
    infinite_depth: float = 1e6


@dataclass(frozen=True)
class GeometricPairOptions:
    """Point maps of the geometric pair provider."""

    # Frames whose corrected depth is cached [count].
    cached_frames: int = 32

    # Log confidence where both depth maps agree [1].
    log_confidence: float = 3.0

    # Share of it elsewhere: occluded, outside the other view, inconsistent [share].
    inconsistent_share: float = 0.3

    # Log ratio of depths at which the confidence halves [1].
    log_depth_tolerance: float = 0.1


@dataclass(frozen=True)
class Align3rOptions:
    """Inference of Align3R's network."""

    # ``auto``, ``cpu``, ``cuda``; see `models.device_precision`.
    device: str = 'auto'
    precision: str = 'auto'

    # Pairs per batch [count]; 0: 1 on a CPU, else `gpu_batch_size`.
    batch_size: int = 0
    gpu_batch_size: int = 8

    # Longer side of the network's input, a multiple of 16 [px]; the weights are trained at 512.
    long_side_px: int = 512

    # Frames whose features are cached, about 25 MB each [count]: more than a clip.
    cached_frames: int = 24

    # Depth beyond which a pixel counts as sky [m]; the release has no limit in inference.
    far_m: float = math.inf

    # Depth discontinuity: neighbouring points further apart are not interpolated [share of
    # distance].
    discontinuity_ratio: float = 0.1


HIERARCHY_DEFAULTS = HierarchyOptions()
PAIR_GRAPH_DEFAULTS = PairGraphOptions()
MOVING_OBJECT_DEFAULTS = MovingObjectOptions()
GEOMETRIC_PAIR_DEFAULTS = GeometricPairOptions()
ALIGN3R_DEFAULTS = Align3rOptions()
