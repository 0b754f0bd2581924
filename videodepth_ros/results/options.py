# SPDX-License-Identifier: Apache-2.0
"""Options and tuning constants of what a job writes."""

from __future__ import annotations

from dataclasses import dataclass

from videodepth_ros.geometry.depth_edges import EDGE_RATIO


@dataclass(frozen=True)
class CloudOptions:
    """The point cloud of a recording."""

    # Edge of a voxel [m, or the recording's unit]; 0: a 400th of the extent of the first frame.
    voxel_m: float = 0.0
    # Minimum confidence of a pixel [0, 1].
    min_confidence: float = 0.3
    # Depth ratio beside which pixels are left out, for they may lie between two surfaces; 0 or 1:
    # every pixel is kept.
    edge_ratio: float = EDGE_RATIO
    # Maximum depth of a pixel [median depths of its frame]: beyond, a small error of inverse
    # depth is a large one of depth.
    max_depth_ratio: float = 10.0
    # Maximum number of voxels; where there are more, their edge doubles.
    max_voxels: int = 1_000_000
    # Rows and columns between the pixels that are used; 0: chosen for `pixels_per_frame`.
    stride: int = 0
    # Number of pixels of a frame that are used, about.
    pixels_per_frame: int = 80_000
    # Voxels along the extent of the first frame, where their edge is chosen.
    voxels_per_extent: int = 400


@dataclass(frozen=True)
class MeshOptions:
    """The mesh of a recording."""

    # Maximum number of frames that are fused, about: each takes 25 ms.
    max_frames: int = 50
    # Minimum number of triangles of a connected piece.
    min_faces: int = 100


@dataclass(frozen=True)
class GravityOptions:
    """Direction of gravity from an inertial measurement unit."""

    # Minimum number of accelerations.
    min_samples: int = 10
    # Minimum length of the mean acceleration [mean length]: near 0 where gravity was removed.
    min_mean_ratio: float = 0.5


@dataclass(frozen=True)
class UpsamplingOptions:
    """Joint bilateral upsampling of depth."""

    # Deviation from both slopes that makes two samples a discontinuity [share of inverse depth].
    discontinuity: float = 0.06
    # Difference at the pixel up to which samples are one surface [share of inverse depth].
    same_surface: float = 0.1
    # Standard deviation of the colour weight [levels of 255].
    colour_sigma: float = 12.0
    # Standard deviation of the distance weight [samples].
    distance_sigma: float = 0.55
    # Depth ratio to both neighbours of a sample blurred between a surface and the sky.
    sky_blur_ratio: float = 1.25
    # Contrast of a neighbourhood above which blurred samples lose weight [inverse depth ratio].
    blur_contrast: float = 1.1
    # Loss of weight of a sample, times how far it lies between its neighbours [0, 0.5].
    blur_penalty: float = 2.5
    # Minimum weight of a sample half-way between its neighbours.
    min_weight: float = 0.02
    # Range of the extrapolation of a sample by its slope [ratio]: slopes at edges are uncertain.
    min_extrapolation: float = 0.7
    max_extrapolation: float = 1.4
    # Maximum difference of the aspect ratios of depth and image.
    max_aspect_difference: float = 0.05
    # Pixels processed at once: nine samples of each fit into the second-level cache.
    chunk_pixels: int = 20_000


@dataclass(frozen=True)
class PreviewOptions:
    """The preview video."""

    # Shorter side of a panel [pixels]: at 360 VP9 takes twice the time, a quarter of a second of a
    # core for each frame.
    panel_px: int = 240
    # Maximum aspect of a panel, height over width.
    max_aspect: float = 2.0
    # Maximum number of frames: the encoder is the slowest part of writing.
    max_frames: int = 240
    # Range of the frame rate [Hz].
    min_rate_hz: float = 2.0
    max_rate_hz: float = 10.0


@dataclass(frozen=True)
class TopDownOptions:
    """The top-down map."""

    # Width and height of the image in the report [pixels].
    size_px: int = 720
    # Number of pixels of a frame that are drawn, about.
    pixels_per_frame: int = 40_000
    # Height above the camera up to which points are drawn [share of the extent]: a ceiling would
    # hide the floor.
    headroom: float = 0.02
    # Percentile of the first frame's depth that the map extends ahead of the path.
    depth_percentile: float = 70.0


@dataclass(frozen=True)
class OccupancyOptions:
    """The 2D grid of ground and obstacles."""

    # Side of a cell [m]; it doubles while there would be more than `max_cells`.
    resolution_m: float = 0.05
    max_cells: int = 4_000_000
    # Distance from the ground plane up to which a point is ground [m].
    ground_tolerance_m: float = 0.1
    # Heights above ground between which points are obstacles [m].
    min_height_m: float = 0.15
    max_height_m: float = 1.8
    # Points above a cell that make it occupied.
    min_points: int = 3
    # Least height of the cameras above ground [m].
    min_camera_height_m: float = 0.1
    # Points that a ground plane needs, and rounds of its fit.
    min_ground_points: int = 100
    ground_rounds: int = 5


@dataclass(frozen=True)
class MapViewOptions:
    """Pictures of the map in the report."""

    width_px: int = 480
    height_px: int = 360
    # Direction of view: to the side of where the cameras look, and down [degrees].
    yaw_deg: float = 35.0
    pitch_deg: float = 25.0
    # Share of the positions that the picture holds [percentile of the distance from the median].
    extent_percentile: float = 97.0
    # Distance of the viewer from the median [radii], and focal length [picture heights].
    distance: float = 2.4
    focal: float = 1.5


@dataclass(frozen=True)
class MapCloudOptions:
    """The map in 3D, in a page."""

    # Maximum number of points: 12 bytes of the page each.
    max_points: int = 60_000
    # Voxels along the extent at most, of which one point each is kept.
    voxels_per_extent: int = 1000
    # Share of the points that is kept at most: below 1, neighbours share voxels, so that the edge
    # of a voxel is about the distance between points.
    max_share: float = 0.8


@dataclass(frozen=True)
class ReportOptions:
    """The report page."""

    # Number of frames that are shown.
    frames: int = 6
    # Width of their images [pixels].
    image_width_px: int = 240
    # Size of a chart [pixels].
    chart_width_px: int = 640
    chart_height_px: int = 150
    # Rows and columns between the pixels that statistics are computed from.
    pixel_stride: int = 4
    # Relative error at the upper end of the colours of an error map.
    max_error: float = 0.2


CLOUD = CloudOptions()
MESH = MeshOptions()
GRAVITY = GravityOptions()
UPSAMPLING = UpsamplingOptions()
PREVIEW = PreviewOptions()
TOP_DOWN = TopDownOptions()
OCCUPANCY = OccupancyOptions()
MAP_VIEW = MapViewOptions()
MAP_CLOUD = MapCloudOptions()
SERVED_MAP = MapCloudOptions(max_points=200_000)  # fetched by the page, not within it
REPORT = ReportOptions()
