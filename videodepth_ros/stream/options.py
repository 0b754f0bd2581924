# SPDX-License-Identifier: Apache-2.0
"""Options of the live stream's algorithms; the defaults are those of the nodes and commands."""

from __future__ import annotations

from dataclasses import dataclass, field

from videodepth_ros.geometry.bilinear_grid import RidgeGridOptions
from videodepth_ros.mvs.options import StereoOptions


@dataclass(frozen=True)
class CornerTrackingOptions:
    """Corner tracking and pose estimation, see corner_tracking.py."""

    max_image_width_px: int = (
        640  # [px] images are reduced to this width; at 320 poses are two to ten times as far off
    )
    max_corners: int = 400  # corners tracked at once
    min_corners: int = 12  # inliers below which the pose counts as lost
    corner_distance_px: int = 14  # [px] minimum distance between detected corners
    corner_quality: float = 0.005  # Shi-Tomasi quality, share of the strongest corner's response
    flow_window_px: int = 15  # [px] side of the Lucas-Kanade window
    flow_levels: int = 3  # highest pyramid level of Lucas-Kanade
    ransac_iterations: int = 100  # PnP RANSAC samples at most
    ransac_inlier_px: float = 4.0  # [px] PnP RANSAC inlier threshold at the unrefined depths
    ransac_confidence: float = 0.99  # probability of an outlier-free sample at which RANSAC ends
    inlier_px: float = 2.0  # [px] inlier threshold after refinement; also the Huber threshold
    corner_sigma_px: float = 0.75  # [px] lower bound of the tracking noise, 1 sigma
    median_to_sigma: float = (
        1.48  # noise over the median residual; raises it on repetitive texture
    )
    log_depth_sigma: float = 0.25  # prior of the log depth of a corner, 1 sigma
    selection_rounds: int = 2  # inlier selections, each after the Gauss-Newton iterations
    gauss_newton_iterations: int = 3  # iterations before each inlier selection
    min_depth_m: float = 1e-3  # [m] corners at a smaller depth are dropped
    max_depth_m: float = 1e5  # [m] corners at a greater depth are not detected


@dataclass(frozen=True)
class StabilizerOptions:
    """Stabilisation of a stream's depth, see stabilization.py."""

    min_inlier_share: float = 0.6  # of the detected corners; below it corners are detected anew
    redetection_weight: float = 0.15  # least weight of the network's scale in such a frame
    scale_time_constant_s: float = 10.0  # [s] the scale correction decays to zero
    network_time_constant_s: float = 5.0  # [s] tracked depths decay to the network's
    field_inlier_shares: tuple[float, float] = (0.5, 0.6)  # the field counts for 0 .. 1 in between
    local_sigma: float = 0.1  # spread of log depth at a corner around its region's, 1 sigma
    tracking: CornerTrackingOptions = field(default_factory=CornerTrackingOptions)
    grid: RidgeGridOptions = field(default_factory=RidgeGridOptions)


LIVE_MATCHING = StereoOptions(
    working_pixels=12_288,
    coarse_labels=22,
    coarse_range=0.8,
    prior_cost=0.5,
    p1=0.2,
    smoothness=100.0,
    coarse_smoothness=320.0,
)
"""128x96: 160x120 costs half as much again and gains nothing. A network is off by half, not by a
factor of five; moving things, of which matches are wrong, are held by the cost of leaving the
network's depth."""


@dataclass(frozen=True)
class MotionStereoOptions:
    """Stereo between the images of a stream, see motion_stereo.py; px are of its working size."""

    period_s: float = 0.095  # [s] least step between matches: three frames of a camera at 30 Hz
    parallax_px: tuple[float, ...] = (5.0, 10.0, 20.0)
    # [px] preferred median parallax of each neighbour: far surfaces need more than near ones
    least_parallax_px: float = 1.5  # [px] keyframes with less are no neighbours
    least_overlap: float = 0.5  # share of the image that a neighbour must see
    most_zoom: float = 1.4  # ratio of distances beyond which windows no longer look alike
    most_difference: float = 20.0  # [grey levels] of a pixel that counts
    explained_share: float = 0.9  # of the mean difference of two images, to which a warp by depth
    # and poses must reduce it
    most_left_over_px: float = 0.5  # [px] flow after a match, of ResidualFlow.px
    keyframes: int = 24  # images kept to be matched with
    keyframe_parallax_px: float = 2.0  # [px] from the last keyframe, beyond which there is another
    keyframe_overlap: float = 0.8  # with the last keyframe, below which there is another
    inlier_share: float = 0.5  # of the corners; below it the pose is not used
    grey_sigma: float = 4.0  # [grey levels] noise of the images, with their difference in exposure
    log_depth_sigma: float = 0.05  # expected error of log depth at which a match weighs half
    gradient_window_px: int = 5  # [px] window over which gradients are summed
    kept_share: float = 0.7  # of the weight of earlier matches, at each further one
    same_surface: float = 0.15  # difference of log depth beyond which an earlier match is hidden
    same_grey: float = (
        4.0  # [grey levels] difference at which two frames are hardly of one surface
    )
    earlier_share: float = 0.7  # most of an earlier frame in the average over time
    median_px: int = 5  # [px] median filter against single wrong matches
    certainty: float = (
        0.2  # of the best matches, for mvs/bending.py; with more, noise dents planes
    )
    trusted_weight: float = 0.1  # mean weight in the image from which stereo counts in full
    matching: StereoOptions = LIVE_MATCHING


@dataclass(frozen=True)
class SkyOptions:
    """Sky mask, see sky.py."""

    far_m: float = 200.0  # [m] depth beyond which a pixel is a seed of the sky
    near_m: float = 4.0  # [m] depth below which a pixel never is sky
    colour_difference: float = 20.0  # [levels of 255] of a channel from the seeds around a pixel
    window_share: float = 0.3  # [image width] side of the window of these seeds
    min_window_share: float = 1e-3  # of the window that must be seeds
    min_seed_px: int = 20  # seeds of a region of sky
    white_level: int = 248  # [levels of 255] of all channels from which a pixel is overexposed
    max_white_share: float = 0.4  # of the image, beyond which its exposure is wrong
    far_quantile: float = 0.95  # of the depth of what is no sky: the farthest of it
    far_ratio: float = 0.75  # of that depth from which a region is as far
    grid_width_px: int = 160  # width of the grid on which colours and connections are found


@dataclass(frozen=True)
class ConfidenceOptions:
    """Expected error of depth, see confidence.py; windows are in pixels of its grid."""

    grid_width_px: int = 64  # width of the grid on which errors are estimated
    curvature_window_px: int = 5  # window whose mean the inverse depth is compared with
    smoothing_window_px: int = 3  # window of the means of curvature and flicker
    flicker_weight: float = 0.3  # of the newest frame in the mean flicker
    least_inverse_depth: float = 0.01  # [unit of the network] farther is alike, as the sky is
    matched_gain: float = 0.35  # share of the expected error that stereo takes away
    at_infinity: float = 0.5  # confidence where nothing was hit: it has no relative error


@dataclass(frozen=True)
class GuidedFilterOptions:
    """Guided filter (He et al. 2013) and shock filter, see guided_filter.py."""

    radius_share: float = 1.6  # half a window [px of the network's map] over the upscaling: the
    # more the image shows beside the network, the larger the windows in which it decides
    max_upscale: int = 3  # output size over the network's; finer output gains nothing
    grey_variance: float = (
        0.05 * 255
    ) ** 2  # [grey levels^2] regularisation, epsilon of the paper
    edge_gain: float = 24.0  # of the shock filter; 0: none
    edge_ratios: tuple[float, float] = (1.05, 1.15)
    # ratio of depths in a window at which the gain begins and is whole: less is texture
    max_edge_ratio: float = 4.0  # beside sky any value between is far off; left as it is

    def radius_px(self, upscale: float) -> int:
        """Return half a window, without its centre [px of the network's map]."""
        return max(1, round(self.radius_share * upscale))


@dataclass(frozen=True)
class MetricAnchorOptions:
    """Scale of a stream from a metric prior, see anchor.py."""

    max_depth_m: float = 100.0  # [m] farther depths of a prior are not used
    min_overlap_share: float = (
        0.1  # of the pixels with depth in both; below it a frame is rejected
    )
    max_log_spread: float = 0.35  # median absolute deviation of the log ratio; above it: rejected
    keyframes: int = 5  # keyframes in the median; two outliers among them have no effect
    time_constant_s: float = 1.0  # [s] of the scale's approach to that median; no jumps in a map
    poll_period_s: float = 0.1  # [s] longest wait of the prior's thread for a keyframe
