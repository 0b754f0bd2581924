# SPDX-License-Identifier: Apache-2.0
"""Parameters of obstacles and scan, and options of their algorithms."""

from __future__ import annotations

from dataclasses import dataclass, field

from videodepth_ros.core.options import option
from videodepth_ros.geometry.ground_plane import GroundPlaneOptions

CAMERA, BASE = 'camera', 'base'


@dataclass(frozen=True, kw_only=True)
class ObstacleParameters:
    """Band of heights and range of obstacles, and their scan."""

    obstacles_min_height_m: float = option(
        0.08,
        'Height above the ground from which on a point is an obstacle.',
        name='obstacles.min_height_m',
        unit='m',
        minimum=0.01,
        maximum=10.0,
        dynamic=True,
    )
    obstacles_max_height_m: float = option(
        1.5,
        'Height above the ground up to which a point is an obstacle: that of the robot.',
        name='obstacles.max_height_m',
        unit='m',
        minimum=0.05,
        maximum=20.0,
        dynamic=True,
    )
    obstacles_max_range_m: float = option(
        5.0,
        'Distance along the ground up to which there are obstacles; range_max of the scan.',
        name='obstacles.max_range_m',
        unit='m',
        minimum=0.5,
        maximum=50.0,
        dynamic=True,
    )
    obstacles_voxel_m: float = option(
        0.1,
        'Side of a voxel, for which one point of its obstacle is published.',
        name='obstacles.voxel_m',
        unit='m',
        minimum=0.02,
        maximum=1.0,
        dynamic=True,
    )
    obstacles_confidence: float = option(
        0.0,
        'Confidence below which a pixel is unknown.',
        name='obstacles.confidence',
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    obstacles_frame: str = option(
        CAMERA,
        'Frame of the obstacles: camera (that of the image) or base (base_frame).',
        name='obstacles.frame',
        choices=(CAMERA, BASE),
        dynamic=True,
    )
    obstacles_negative: bool = option(
        False,
        'Publish holes and stairs that go down too, as points where the ground should be.',
        name='obstacles.negative',
        dynamic=True,
    )
    obstacles_temporal: bool = option(
        True,
        'Leave out what one frame has and the two before it deny.',
        name='obstacles.temporal',
        dynamic=True,
    )
    obstacles_max_rate_hz: float = option(
        0.0,
        'Maximum rate of obstacles in data time; 0: for each depth image.',
        name='obstacles.max_rate_hz',
        unit='Hz',
        minimum=0.0,
        maximum=1000.0,
        dynamic=True,
    )
    scan_max_rate_hz: float = option(
        0.0,
        'Maximum rate of the scan in data time; 0: for each depth image.',
        name='scan.max_rate_hz',
        unit='Hz',
        minimum=0.0,
        maximum=1000.0,
        dynamic=True,
    )
    scan_angle_increment_deg: float = option(
        1.0,
        'Angle between two beams of the scan, which is a full circle.',
        name='scan.angle_increment_deg',
        unit='deg',
        minimum=0.1,
        maximum=10.0,
        dynamic=True,
    )


@dataclass(frozen=True)
class GroundProfileOptions:
    """Height of the ground about its plane by sector and distance, see ground_profile.py."""

    sectors: int = 12  # of the field of view
    ring_m: float = 0.25  # [m] of distance ahead
    bin_m: float = 0.02  # [m] of the histogram of heights in a ring of a sector
    extent_m: float = 1.0  # [m] greatest height about the plane, up or down
    max_slope: float = 0.18  # tangent of the ground's slope against its plane that is followed
    tolerance_m: float = 0.04  # [m] of a step, besides the slope
    min_points: int = 8  # of the ground in a ring of a sector


@dataclass(frozen=True)
class ObstacleOptions:
    """Detection of obstacles, see detector.py."""

    max_width_px: int = 320  # [px] larger maps are averaged
    edge_ratio: float = 1.1  # depth ratio of two surfaces; between them pixels fly
    surface_ratio: float = 1.03  # depth over the nearest beside it, of a pixel of that surface
    min_points: int = 3  # pixels of an obstacle in a cell of the ground
    min_share: float = 0.25  # of the pixels in a cell up to the height of the robot
    min_hole_m: float = 0.2  # [m] depth below the ground of a negative obstacle
    tilt_sigma_deg: float = 1.0  # [deg] of down by TF, IMU or parameter
    free_tilt_sigma_deg: float = 4.0  # [deg] of down where nothing gives it
    plane: GroundPlaneOptions = field(default_factory=lambda: GroundPlaneOptions(max_samples=2000))
    profile: GroundProfileOptions = field(default_factory=GroundProfileOptions)


@dataclass(frozen=True)
class TemporalOptions:
    """Vote of the last frames, see temporal.py."""

    frames: int = 2  # before the present one, all of which must deny
    max_age_s: float = 1.0  # [s] older frames have no vote
    range_tolerance: float = 0.15  # relative difference of depth of the same obstacle
    radius_px: int = 3  # [px of the averaged map] about its place, with the camera's motion ...
    still_radius_px: int = 8  # [px] ... and without


@dataclass(frozen=True)
class ScanOptions:
    """Beams of the scan that are free, see scan.py."""

    stride_px: int = 2  # [px of the averaged map] between the pixels that are looked at
    min_rays: int = 2  # pixels of a beam that see beyond the range
    min_share: float = 0.5  # of the pixels of a beam
