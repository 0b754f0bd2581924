# SPDX-License-Identifier: Apache-2.0
"""Tuning constants of the refinement stages; what a user sets is in `settings`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """Decoding of the recording's images."""

    # Size of the images kept for feature matching [pixels]: SIFT finds no better poses in more.
    tracking_pixels: int = 640 * 480
    # Disk space for images at the camera's size [bytes]; a longer recording is decoded once for
    # each stage that needs them.
    max_full_size_bytes: int = 2 * 2**30
    # Change of the intrinsics since the first frame above which a note is given [share of width].
    max_intrinsics_change: float = 0.002
    # Share of the free disk space that these images may take [0, 1].
    max_disk_share: float = 0.5


@dataclass(frozen=True)
class PriorOptions:
    """Storage of a prior's depth maps."""

    # Depth ratio of neighbours that are two surfaces, as in the live stream.
    edge_ratio: float = 1.25
    # Size of the user's cache of slow priors [bytes].
    max_cache_bytes: int = 4 * 2**30
    # Age below which a cached file is not evicted [s]: another job may read it.
    min_idle_s: float = 86400.0


@dataclass(frozen=True)
class BlankOptions:
    """Detection of images that show nothing."""

    # Cells across and down the image, whose means are compared.
    cells: tuple[int, int] = (64, 48)
    # Difference of the brightest and the darkest cell below which the image is blank, of 255.
    max_spread: float = 4.0


@dataclass(frozen=True)
class PassingSkyOptions:
    """Detection of sky that a prior finds for a frame or two."""

    # Frames of the window, around each frame, whose median share of sky is the usual one.
    window: int = 5
    # Ratio of the share of sky to the usual one above which it is an error.
    max_ratio: float = 3.0
    # Share of the image below which sky is left as it is.
    min_share: float = 0.01


@dataclass(frozen=True)
class AssociationOptions:
    """Association of depth images with the frames of another camera by their stamps."""

    # Maximum time between a frame and its depth [ns]: a camera that turns at 1 rad/s has moved
    # by 3 degrees.
    max_offset_ns: int = 50_000_000
    # Difference of the recording latencies of both topics above which a note is given [s].
    max_latency_s: float = 0.5
    # Messages at the beginning of a topic whose latency is measured.
    latency_samples: int = 100


@dataclass(frozen=True)
class BagDepthOptions:
    """Use of depth images of the recording as the prior."""

    # Difference of intrinsics, or of aspect ratios, below which two cameras have one view
    # [share of the width].
    max_intrinsics_difference: float = 0.01
    # Range of a plausible median depth of a recording [m]; outside of it a note is given.
    min_median_m: float = 0.05
    max_median_m: float = 200.0


@dataclass(frozen=True)
class LidarOptions:
    """Projection of lidar points into the camera, and the scale that they give."""

    # Minimum depth of a point [m]: nearer ones are the robot's own.
    min_depth_m: float = 0.1
    # Distance of a return from a landmark of which it measures the depth [pixels].
    landmark_reach_px: int = 3
    # Ratio of the returns around a landmark above which they lie on several surfaces.
    max_surface_ratio: float = 1.05
    # Greatest log depth sigma of such a landmark.
    max_landmark_sigma: float = 0.03
    # Minimum number of landmarks with returns; with fewer the corrected depth is compared.
    min_landmarks: int = 50


@dataclass(frozen=True)
class ScaleShiftOptions:
    """Robust fit of inverse depth, 1 / Z = scale * relative + shift."""

    # Pixels of a shot, taken evenly from all of its frames.
    max_samples: int = 100_000
    # Pixels below which a shot stays without metres.
    min_samples: int = 20
    # Rounds of iteratively reweighted least squares.
    iterations: int = 30
    # Width of the Cauchy weight [standard deviations of the residuals].
    cauchy_width: float = 2.0
    # Least standard deviation of the residuals [share of the median inverse depth].
    min_sigma: float = 1e-4
    # Ratio of the greatest to the least depth of a shot without metres.
    depth_ratio: float = 100.0


@dataclass(frozen=True)
class MetricScaleOptions:
    """Comparison of aligned depth with the prior's."""

    # Rows and columns between the pixels that are compared.
    pixel_stride: int = 4
    # Ratio of measured metres to those of a metric prior beyond which a note is given.
    max_prior_ratio: float = 5.0


@dataclass(frozen=True)
class CostModel:
    """Expected cost of a job, measured on one core of a server of 2023."""

    # Time to decode a frame [s].
    read_s: float = 0.010
    # Time of a prior for a frame [s]; `network_s` for those that are not listed.
    bag_prior_s: float = 0.012
    nano_prior_s: float = 0.03
    nano_1_prior_s: float = 0.02
    depth_pro_s: float = 25.0
    network_s: float = 2.0
    # Time for feature tracking, or co-alignment, of a frame [s].
    track_s: float = 0.06
    # Time for RollingDepth of a frame [s].
    rollingdepth_s: float = 60.0
    # Time for the alignment of a pair [s / pixel].
    pair_s_per_pixel: float = 3e-7
    # Time to match a frame with its neighbours, and to finish its stereo depth [s].
    match_s: float = 0.25
    finish_stereo_s: float = 0.15
    # Time to write a frame [s / pixel of the camera].
    write_s_per_pixel: float = 6e-7
    # Time of all stages after reading, in times of reading, while the frame size is unknown.
    rest_per_read: float = 20.0
    # Memory of a process without its data [MB].
    process_mb: float = 50.0
    # Memory of a process that matches frames: compiled code, views and matches [MB].
    stereo_process_mb: float = 300.0
    # Memory of a pair: two point maps, confidences and residuals [bytes / point].
    bytes_per_point: int = 60
    # Memory of a frame that is upsampled [bytes / pixel of the camera].
    bytes_per_pixel: int = 120
    # Memory of a voxel of the point cloud while new ones are merged [bytes].
    bytes_per_voxel: int = 320
    # Share of the size of depth and confidence that zstd leaves.
    zstd_share: float = 0.47
    # Size of an organised cloud for a pixel of depth, with every fourth row and column [bytes].
    point_bytes: float = 1.0
    # Size of a voxel in cloud.ply [bytes], voxels of a frame, and size of the mesh to the cloud's.
    cloud_voxel_bytes: int = 15
    cloud_voxels_per_frame: int = 12_000
    mesh_share: float = 0.5
    # New voxels of a frame, and the most that the point cloud holds.
    voxels_per_frame: int = 40_000
    max_voxels: int = 1_000_000


@dataclass(frozen=True)
class PreviewOptions:
    """Preview images of the progress reports."""

    # Height of the image and of the depth beside it [pixels].
    height_px: int = 160


@dataclass(frozen=True)
class DistrustOptions:
    """When depth of stereo gives way to that of the prior, since the poses are wrong."""

    # Rows and columns between the pixels in which alignment is compared with the prior.
    pixel_stride: int = 4
    # Root mean square of the log ratio by which alignment may differ from the prior where the
    # views do not agree.
    max_bend: float = 0.35
    # Trust in stereo below which a frame is named as one of the prior's depth.
    min_trust: float = 0.5
    # Number of frames, about, whose trust is computed before any depth.
    rated_frames: int = 48
    # Share of them that must be trusted: with fewer the motion is wrong as a whole, and what
    # agrees does so by chance. On clips 0 to 5 of `training.measure` it is below .4 where poses
    # are wrong, else from .7 on.
    min_trusted_share: float = 2 / 3


@dataclass(frozen=True)
class StereoCloudOptions:
    """Pixels of point clouds by their confidence, 1 - expected relative error."""

    # Minimum confidence of a pixel of cloud.ply. Living-room sample: of the points 2.4 % are more
    # than 3 % of depth from every true surface; at .95 without regard to parallax 17 %.
    min_confidence: float = 0.98
    # Minimum confidence of a point of videodepth/depth/points. KISS-ICP has its least error
    # between .93 and .95: with fewer points it loses the way, with more they mislead it.
    min_point_confidence: float = 0.95
    # Minimum confidence of a pixel of cloud.ply without stereo: a prior of the usual error, 15 %,
    # on which the frames beside agree a little.
    min_confidence_of_prior: float = 0.8


DISTRUST = DistrustOptions()
STEREO_CLOUD = StereoCloudOptions()
READ = ReadOptions()
PRIOR = PriorOptions()
BLANK = BlankOptions()
PASSING_SKY = PassingSkyOptions()
ASSOCIATION = AssociationOptions()
BAG_DEPTH = BagDepthOptions()
LIDAR = LidarOptions()
SCALE_SHIFT = ScaleShiftOptions()
METRIC_SCALE = MetricScaleOptions()
COST = CostModel()
PREVIEW = PreviewOptions()
