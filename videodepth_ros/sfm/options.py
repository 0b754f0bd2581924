# SPDX-License-Identifier: Apache-2.0
"""Options of structure from motion, one frozen dataclass for each step.

Lengths in image widths are relative, so that images of any size behave alike; sigmas are standard
deviations.

>>> options = ReconstructionOptions(loop_closure=LoopClosureOptions(min_frame_gap=96))
>>> options.loop_closure.min_frame_gap, options.tracking.max_track_length
(96, 24)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from videodepth_ros.geometry.bilinear_grid import SmoothGridOptions
from videodepth_ros.sfm.loop_options import (
    LoopAdjustmentOptions,
    LoopClosureOptions,
    MatchingOptions,
    PlaceRecognitionOptions,
    PoseGraphOptions,
)
from videodepth_ros.sfm.motion_options import (
    OdometryOptions,
    StationaryOptions,
    TurningOptions,
    WeakStepOptions,
)


@dataclass(frozen=True)
class ContrastOptions:
    """Contrast-limited adaptive histogram equalization (CLAHE) before tracking and matching."""

    # Clip limit of a tile's histogram.
    clip_limit: float = 3.0
    # Tiles across and down the image.
    tiles: int = 8


@dataclass(frozen=True)
class TrackingOptions:
    """Corner detection (Shi and Tomasi) and tracking (pyramidal Lucas-Kanade)."""

    # Side of the Lucas-Kanade window [px].
    window_px: int = 13
    # Pyramid levels above the full image.
    pyramid_levels: int = 4
    # Largest forward-backward error (Kalal et al., ICPR 2010): the larger of both.
    max_backward_error_px: float = 0.4
    max_backward_error_widths: float = 1 / 800
    # Most corners tracked at once.
    max_corners: int = 600
    # Least distance of a new corner to any other [image widths].
    min_distance_widths: float = 1 / 36
    # Least corner response, relative to the best corner of the image.
    min_quality: float = 0.002
    # Least corner response [gray levels squared / 255^2]: below it is sensor noise.
    min_response: float = 2e-5
    # Frames of the longest track; a longer one is split. Bounds the blocks of the normal
    # equations.
    max_track_length: int = 24
    # Ages of the first frame's tracks are spread over this share of the longest, so that no frame
    # exists at which most tracks end at once.
    initial_age_spread: float = 0.5


@dataclass(frozen=True)
class FocalLengthOptions:
    """Check and refinement of the focal length that camera_info states."""

    # The stated focal length is refuted if the adjusted one differs by more than this ...
    max_deviation: float = 0.1
    # ... and lowers the cost of bundle adjustment by this share. On the reference sequences one
    # off by 1.5 or 0.7 is improved upon by .07 to .66 of the cost; a true one moves by < .04.
    min_cost_decrease: float = 0.05
    # Most iterations of the check.
    iterations: int = 30
    # A refinement is repeated from the pose initialization on while it changes by more than this.
    convergence: float = 0.01
    # Most repetitions.
    max_repetitions: int = 4
    # Ratio of the errors of estimates to what independent points would give. Of nine sequences,
    # four of them the reference sequences, eight had .3 to 23; on the other one it diverged.
    inflation: float = 16.0
    # Deviation from the assumed focal length above which the adjustment diverges [sigmas].
    max_assumption_sigmas: float = 3.0


@dataclass(frozen=True)
class RollingShutterOptions:
    """Detection of a rolling shutter by its readout time."""

    # Sigma of the readout time before any evidence [frame periods].
    prior_sigma: float = 1.0
    # Iterations of bundle adjustment that find out whether the readout time is worth more ...
    first_iterations: int = 2
    # ... which it is from this share of the least one that is reported on; most iterations then.
    promising_share: float = 0.5
    iterations: int = 10
    # Ratio of the errors of estimates to what independent points would give. Three sequences with
    # a global shutter gave .012 to .065, 5 to 7 sigmas of independent points.
    inflation: float = 8.0
    # Least readout time that is reported [sigmas] and [frame periods]; a longer one than the most
    # is no readout. A hand-held Kinect had .24, at a frame rate of 15 Hz.
    min_sigmas: float = 3.0
    min_share: float = 0.1
    max_share: float = 1.1


@dataclass(frozen=True)
class LensOptions:
    """Calibration of a lens: radial distortion, principal point and focal length."""

    # Frames are tracked at this stride: errors of tracking from frame to frame add up, and look
    # like distortion where every frame is used.
    stride: int = 3
    # Least frames after striding.
    min_frames: int = 12
    # Sigmas before any evidence: of both radial coefficients, and of the principal point
    # [image widths].
    radial_sigma: float = 0.3
    centre_sigma_widths: float = 0.03
    # A parameter is kept if it lowers the cost of bundle adjustment by this share. Without
    # distortion: .0002 to .002; with k1 = .1: .24.
    min_cost_decrease: float = 0.02
    # Least shift of the principal point [sigmas]: where a car drives straight it is worth 2 % of
    # the cost, and 1.6 sigmas.
    min_centre_sigmas: float = 3.0
    # Most sigma of the log of the focal length, and least size of one of the other parameters
    # [sigmas]. Films of a lens had .12 to .14, and 1.4; of two pinholes taken for a lens,
    # one had .16 and 1.0, the other diverged.
    max_log_focal_sigma: float = 0.15
    min_sigmas: float = 1.2
    # Iterations of the comparison without it.
    iterations: int = 10
    # Initializations and adjustments of the model that is kept.
    repetitions: int = 2


@dataclass(frozen=True)
class PnpOptions:
    """Initialization of the cameras, frame by frame, by PnP RANSAC."""

    # Least points and least inliers of a pose.
    min_points: int = 12
    # Inlier threshold: the larger of pixels and of this share of the median motion of the points,
    # the error that a wrong prior depth may cause.
    min_reprojection_error_px: float = 2.0
    max_motion_ratio: float = 0.2
    # RANSAC iterations.
    ransac_iterations: int = 200
    # Initial depth of points in the sky [median depths].
    sky_depths: float = 100.0


@dataclass(frozen=True)
class LossOptions:
    """Weights of the residuals of bundle adjustment."""

    # Scale of Cauchy's loss [sigmas].
    cauchy_scale: float = 2.0
    # Weight of a network's log depths: their errors are correlated over surfaces and time, so
    # that a hundred observations of a frame are worth a few.
    network_weight: float = 0.05
    # Pixel sigma of loop observations, relative to tracked ones: another viewpoint.
    loop_sigma_ratio: float = 3.0


@dataclass(frozen=True)
class BundleAdjustmentOptions:
    """Levenberg-Marquardt steps of one bundle adjustment."""

    # Damping of the cameras: initial, least, most; multiplied or divided by the factor.
    initial_damping: float = 1e-4
    min_damping: float = 1e-9
    max_damping: float = 1e6
    damping_factor: float = 10.0
    # Least relative decrease of the cost; the iteration ends below it.
    function_tolerance: float = 1e-4
    # Most that the log depth of a point changes in a step.
    max_log_depth_step: float = 1.0
    # Added to the curvature of a point, so that points at infinity have one.
    point_regularization: float = 1e-4


@dataclass(frozen=True)
class NoiseOptions:
    """Initial sigmas, and their estimation from the residuals between bundle adjustments."""

    # Initial sigma of a tracked pixel [image widths]; least estimate [px].
    pixel_sigma_widths: float = 1 / 640
    min_pixel_sigma_px: float = 0.15
    # Initial sigma of the prior's log depth; bounds of the estimate.
    log_depth_sigma: float = 0.2
    min_log_depth_sigma: float = 0.005
    max_log_depth_sigma: float = 0.5
    # Sigma of the prior's log scale per frame, where the prior is measured.
    measured_log_scale_sigma: float = 0.003
    # Initial sigma of the log depth of a measured prior.
    measured_log_depth_sigma: float = 0.03
    # Sigma of the log focal length of an uncalibrated camera.
    log_focal_sigma: float = 0.25
    # Sigma of the motion from frame to frame [median depths], [rad]; weak, for blind frames.
    motion_sigma_depths: float = 0.5
    rotation_sigma_rad: float = 0.5
    # Log depth sigma below which parallax has triangulated a point.
    max_triangulation_sigma: float = 0.1
    # Least points of an estimate.
    min_points: int = 50
    # A prior is measured if its log depth error, as the median of each cell of each frame, is
    # below `max_cell_error` in this share of the cells. Measured on the reference sequences:
    # depth cameras 0.01 to 0.04, the bundled network 0.09 to 0.25.
    cell_quantile: float = 0.8
    max_cell_error: float = 0.06
    # Cells across and down the image; least points of a cell; least cells.
    cells: tuple[int, int] = (4, 3)
    min_points_per_cell: int = 6
    min_cells: int = 12


@dataclass(frozen=True)
class RobustAdjustmentOptions:
    """Rounds of bundle adjustment, noise estimation and outlier removal."""

    # Most iterations of each round.
    iterations: tuple[int, ...] = (12, 12, 20)
    # Reprojection error above which an observation is an outlier [sigmas].
    outlier_threshold: float = 4.0


@dataclass(frozen=True)
class DepthCorrectionOptions:
    """Correction of the prior of each frame by the triangulated points."""

    # Grid of the correction.
    grid: SmoothGridOptions = field(default_factory=SmoothGridOptions)
    # Largest log depth sigma and least observations of a landmark.
    max_landmark_sigma: float = 0.5
    min_observations: int = 3
    # Frames before the first and after the last observation in which a landmark is used.
    frame_margin: int = 6
    # Sigma of the log ratio of landmark and prior on the same pixel.
    match_sigma: float = 0.05
    # The same in frames without an observation: the landmark may be occluded.
    unobserved_sigma: float = 0.1


@dataclass(frozen=True)
class WarningOptions:
    """Limits beyond which camera poses are reported as unreliable."""

    # Largest pixel sigma [image widths]: four times that of a static scene in a dim room.
    max_reprojection_sigma_widths: float = 1 / 160


@dataclass(frozen=True)
class ReconstructionOptions:
    """All options of `reconstruct`."""

    # Least points of earlier frames by which the images determine the pose of a frame.
    min_tracked_points: int = 12
    # Least frames of a piece; those of a shorter one are lost.
    min_piece_frames: int = 6
    contrast: ContrastOptions = field(default_factory=ContrastOptions)
    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    stationary: StationaryOptions = field(default_factory=StationaryOptions)
    turning: TurningOptions = field(default_factory=TurningOptions)
    odometry: OdometryOptions = field(default_factory=OdometryOptions)
    weak_steps: WeakStepOptions = field(default_factory=WeakStepOptions)
    focal_length: FocalLengthOptions = field(default_factory=FocalLengthOptions)
    rolling_shutter: RollingShutterOptions = field(default_factory=RollingShutterOptions)
    lens: LensOptions = field(default_factory=LensOptions)
    initialization: PnpOptions = field(default_factory=PnpOptions)
    noise: NoiseOptions = field(default_factory=NoiseOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    bundle_adjustment: BundleAdjustmentOptions = field(default_factory=BundleAdjustmentOptions)
    robust_adjustment: RobustAdjustmentOptions = field(default_factory=RobustAdjustmentOptions)
    place_recognition: PlaceRecognitionOptions = field(default_factory=PlaceRecognitionOptions)
    matching: MatchingOptions = field(default_factory=MatchingOptions)
    loop_closure: LoopClosureOptions = field(default_factory=LoopClosureOptions)
    pose_graph: PoseGraphOptions = field(default_factory=PoseGraphOptions)
    loop_adjustment: LoopAdjustmentOptions = field(default_factory=LoopAdjustmentOptions)
    depth_correction: DepthCorrectionOptions = field(default_factory=DepthCorrectionOptions)


DEFAULTS = ReconstructionOptions()
