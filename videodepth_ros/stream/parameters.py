# SPDX-License-Identifier: Apache-2.0
"""Options of a depth stream that the live node and `videodepth run-bag` share."""

from __future__ import annotations

from dataclasses import dataclass

from videodepth_ros.core.options import option
from videodepth_ros.engines.open import ENGINES
from videodepth_ros.models.cards import CARD_SUFFIX
from videodepth_ros.models.catalogue import card, cards
from videodepth_ros.stream.feature_mode import FEATURE_MODES, is_enabled
from videodepth_ros.stream.session import SessionSettings

SCALE_SOURCES = (
    'auto',
    'fixed',
    'intrinsics',
    'camera_height',
    'lidar',
    'depth',
    'odometry',
    'prior',
)


@dataclass(frozen=True, kw_only=True)
class StreamParameters:
    """Network, engine and post-processing of one stream."""

    model: str = option(
        'nano',
        'Network that computes the depth: its name in the catalogue, or the card of a network of '
        'your own.',
        choices=tuple(each.name for each in cards()),
        file_suffix=CARD_SUFFIX,
    )
    engine: str = option(
        'auto',
        'Inference engine of the network; auto: TensorRT or torch on a GPU if they are installed; '
        'on a CPU OpenVINO if it is installed and the CPU computes in bf16, else ONNX Runtime.',
        choices=ENGINES,
    )
    threads: int = option(
        0, 'CPU threads of the network; 0: chosen by the engine.', minimum=0, maximum=256
    )
    max_pixels: int = option(
        0,
        'Pixel budget of the network input, which keeps the aspect ratio of the image; '
        "0: the model's own budget.",
        unit='px',
        minimum=0,
        maximum=2**24,
    )
    output: str = option(
        'camera',
        'Size of the depth image: that of the camera image or that of the network.',
        choices=('camera', 'network'),
        dynamic=True,
    )
    max_range_m: float = option(
        200.0,
        'Depth beyond which a pixel is +inf (nothing hit); 0: no limit.',
        unit='m',
        minimum=0.0,
        maximum=1e5,
        dynamic=True,
    )
    edge_ratio: float = option(
        1.25,
        'Ratio of neighbouring depths that separates two surfaces; pixels between them become '
        'NaN; 0 or 1: keep every pixel.',
        minimum=0.0,
        maximum=100.0,
        dynamic=True,
    )
    guided_edges: str = option(
        'auto',
        'Align the edges of depth to those of the image where the image is larger than the '
        'network input; auto: for models whose edges are soft (nano).',
        choices=FEATURE_MODES,
        dynamic=True,
    )
    max_gap_s: float = option(
        2.0,
        'Step between two image stamps above which the recurrent state is reset.',
        unit='s',
        minimum=0.01,
        maximum=3600.0,
        dynamic=True,
    )
    scale_source: str = option(
        'auto',
        'Source of the metric scale; auto: all that there are, by their uncertainty. fixed: '
        'scale.factor alone; intrinsics: the model and camera_info; the others are measured.',
        name='scale.source',
        choices=SCALE_SOURCES,
    )
    base_frame: str = option(
        '',
        'Frame on the ground below the robot, z up, that /tf connects with the camera; empty: '
        'base_footprint, if it is above the camera.',
    )
    camera_height_m: float = option(
        0.0,
        'Height of the camera above the ground, for the scale; 0: that in base_frame.',
        name='scale.camera_height_m',
        unit='m',
        minimum=0.0,
        maximum=1e3,
    )
    camera_pitch_deg: float = option(
        0.0,
        'Angle of the optical axis below the horizon, where neither base_frame nor an IMU gives '
        'it.',
        name='scale.camera_pitch_deg',
        unit='deg',
        minimum=-90.0,
        maximum=90.0,
    )
    scale_factor: float = option(
        1.0,
        'Factor that multiplies every depth.',
        name='scale.factor',
        minimum=1e-6,
        maximum=1e6,
        dynamic=True,
    )
    scale_steady: str = option(
        'auto',
        'Stabilize the scale, of the whole image and of regions, with tracked corners; auto: for '
        'models whose scale drifts (nano, and networks of cards).',
        name='scale.steady',
        flags=('--scale-steady', '--steady'),
        choices=FEATURE_MODES,
        dynamic=True,
    )
    motion_stereo: str = option(
        'auto',
        'Refine depth by stereo with earlier images as the camera moves, where scale.steady is '
        'on; auto: for models whose scale drifts (nano, and networks of cards).',
        choices=FEATURE_MODES,
        dynamic=True,
    )


@dataclass(frozen=True, kw_only=True)
class CloudParameters:
    """Density and range of point clouds made of depth."""

    cloud_stride: int = option(
        4,
        'Columns and rows of the depth image for one point of the cloud.',
        name='cloud.stride',
        flags=('--cloud-stride', '--points-stride'),
        unit='px',
        minimum=1,
        maximum=64,
        dynamic=True,
    )
    cloud_max_range_m: float = option(
        30.0,
        'Depth beyond which a point of the cloud is NaN; 0: no limit.',
        name='cloud.max_range_m',
        flags=('--cloud-max-range-m', '--points-max-range-m'),
        unit='m',
        minimum=0.0,
        maximum=1e5,
        dynamic=True,
    )


def session_settings(parameters: StreamParameters) -> SessionSettings:
    """Return the settings of a session; what is ``auto`` is resolved for the model."""
    model = card(parameters.model)
    return SessionSettings(
        max_gap_s=parameters.max_gap_s,
        max_pixels=parameters.max_pixels,
        output=parameters.output,
        max_range_m=parameters.max_range_m,
        edge_ratio=parameters.edge_ratio,
        scale_factor=parameters.scale_factor,
        fixed_scale=parameters.scale_source == 'fixed',
        guided=is_enabled(parameters.guided_edges, model.soft),
        steady=is_enabled(parameters.scale_steady, model.drifts),
        motion_stereo=is_enabled(parameters.motion_stereo, model.drifts),
    )
