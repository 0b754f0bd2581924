# SPDX-License-Identifier: Apache-2.0
"""Options of the scale sources; what users set are parameters instead (parameters.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

from videodepth_ros.geometry.ground_plane import GroundPlaneOptions


@dataclass(frozen=True)
class ScaleFilterOptions:
    """Kalman filter of the log scale, see filter.py."""

    drift_sigma: float = 0.05  # [1/sqrt(s)] random walk of a network's log scale
    start_sigma: float = 0.1  # log scale of the first frame of a stream: a network settles
    restart_sigma: float = 0.2  # log scale of another stream about that of the last one
    gate: float = 3.0  # standard deviations of the innovation above which it is rejected
    least_gate: float = 0.05  # innovation of the log scale that is always accepted
    reacquire_s: float = 1.0  # [s] window, or since the last accepted measurement, in which ...
    reacquire_count: int = 3  # ... so many rejected ones may outweigh the accepted
    start_s: float = (
        1.0  # [s] after the first frame of a stream: a network settles, steps are free
    )
    max_step: float = 0.005  # greatest change of the log scale from one frame to the next
    stale_s: float = 2.0  # [s] without an accepted measurement: the scale is stale
    window_s: float = 10.0  # [s] window of drift, spread and of the leading source


@dataclass(frozen=True)
class CameraHeightOptions:
    """Scale from the height of the camera above the ground, see camera_height.py."""

    height_sigma: float = 0.02  # relative error of the height
    tilt_sigma_deg: float = 1.0  # [deg] of the direction of down, by TF, IMU or parameter
    fit_sigma: float = 0.05  # log error of a network's ground against its other surfaces
    plane: GroundPlaneOptions = field(default_factory=GroundPlaneOptions)


@dataclass(frozen=True)
class DepthRatioOptions:
    """Scale from measured depth, see depth_ratio.py."""

    max_depth_m: float = 60.0  # [m] farther depth is not used
    min_depth_m: float = 0.1  # [m] nearer points are the robot's own
    max_points: int = 20_000  # of a cloud, taken evenly
    min_samples: int = 20  # pixels with measured depth, fewer give no scale
    edge_ratio: float = 1.15  # inverse depth ratio of neighbours at an occlusion edge
    max_log_spread: float = 0.5  # median absolute deviation of the log ratio; above it: rejected
    effective_pixels: float = 60.0  # independent pixels at most: errors of a network correlate
    least_sigma: float = 0.03  # log error of a network where it is measured, against elsewhere


@dataclass(frozen=True)
class ParallaxOptions:
    """Scale from the motion of corners, see parallax.py."""

    min_corners: int = 20  # corners that follow the motion
    min_inlier_share: float = 0.6  # of the corners; fewer slide on repetitive texture or move
    inlier: float = 1.5  # standard deviations of a corner that follows it
    pixel_sigma: float = 0.5  # [px] of a corner's place, in images of 320 px
    depth_sigma: float = 0.2  # relative error of the network's depth at a corner
    rotation_sigma_deg: float = 0.07  # [deg] of the odometry's rotation since a keyframe, ...
    rotation_share: float = 0.005  # ... and of the rotation itself
    iterations: int = 5  # of Gauss-Newton
    cell_px: float = 80.0  # [px] side of the cells of the image that count alike


@dataclass(frozen=True)
class PlaneParallaxOptions:
    """Height above the plane in view, see plane_parallax.py."""

    inlier: float = 0.1  # relative error of inverse depth of a corner on the plane
    max_sigma: float = 0.1  # log error of a measurement that counts
    raised_share: float = 0.82  # of the camera's height, below which a plane is not the ground
    window: int = 5  # measurements in the median, ...
    window_s: float = 30.0  # [s] ... and their greatest age, which a robot that stands needs
    fit: ParallaxOptions = field(
        default_factory=lambda: ParallaxOptions(min_corners=10, depth_sigma=0.05)
    )


@dataclass(frozen=True)
class OdometryScaleOptions:
    """Scale from the translation of odometry, see odometry.py."""

    min_baseline_m: float = 0.02  # [m] translation from keyframe to frame
    edge_ratio: float = 1.15  # depth ratio of neighbours; corners beside it have no sure depth
    min_flow_px: float = 6.0  # [px] median displacement of corners by it, images of 320 px
    max_keyframe_s: float = 3.0  # [s] age at which a keyframe without enough of it is replaced
    window: int = 15  # measurements in the median, which slip and leaps do not move, ...
    window_s: float = 5.0  # [s] ... and their greatest age
    min_count: int = 3  # measurements before the first median
    max_spread: float = 0.15  # of the window; above it the corners or the odometry are wrong
    least_sigma: float = 0.03  # log error of the odometry
    single_sigma: float = 0.1  # log error of one measurement
    first_sigma: float = 0.3  # log error of what a keyframe shows before the first median ...
    max_first_sigma: float = 0.2  # ... and by its corners at most
    fit: ParallaxOptions = field(default_factory=ParallaxOptions)


@dataclass(frozen=True)
class FusionOptions:
    """Matching of evidence with frames, see fusion.py."""

    frames: int = 12  # newest frames that evidence may belong to
    max_width_px: int = 384  # [px] larger maps are thinned
    max_offset_s: float = 0.06  # [s] between stamps of evidence and frame
    transform_timeout_s: float = 0.5  # [s] of data time to wait for a transform
    max_queue: int = 8  # clouds and depth images that wait; older ones are dropped
    prior_period_s: float = 1.0  # [s] between measurements of a prior network
    prior_sigma: float = 0.1  # log error of a prior network
