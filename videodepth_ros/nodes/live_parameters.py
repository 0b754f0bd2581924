# SPDX-License-Identifier: Apache-2.0
"""Parameters of the live node."""

from __future__ import annotations

from dataclasses import dataclass

from videodepth_ros.bags.output_options import DepthEncoding
from videodepth_ros.core.options import option
from videodepth_ros.messages.compressed import DEPTH_FORMS
from videodepth_ros.messages.rectify_option import RectifyOptions
from videodepth_ros.models.cards import CARD_SUFFIX
from videodepth_ros.models.catalogue import METRIC_PRIORS
from videodepth_ros.obstacles.options import ObstacleParameters
from videodepth_ros.stream.parameters import CloudParameters, StreamParameters


@dataclass(frozen=True, kw_only=True)
class StatusParameters:
    """Parameters of ~/status and /diagnostics, which both nodes publish."""

    status_period_s: float = option(
        1.0, 'Period of ~/status and /diagnostics.', unit='s', minimum=0.05, maximum=60.0
    )


@dataclass(frozen=True, kw_only=True)
class DepthImageParameters:
    """Form of the depth images of the live node."""

    depth_encoding: str = option(
        DepthEncoding.METRES.value,
        'Encoding of depth/image and of its compressedDepth: metres (32FC1), or millimetres up to '
        '65.5 m (16UC1), where unknown and nothing hit are both 0 (REP-118).',
        name='depth.encoding',
        choices=(DepthEncoding.METRES.value, DepthEncoding.MILLIMETRES.value),
        dynamic=True,
    )
    depth_compression: str = option(
        'png',
        'Compression of depth/image/compressedDepth: png is smaller, rvl takes less time (Wilson '
        '2017); image_transport decodes both.',
        name='depth.compression',
        choices=DEPTH_FORMS,
        dynamic=True,
    )
    depth_invalid_value: str = option(
        'nan',
        'Value of unknown pixels in depth/image of 32FC1: NaN (REP-117), or zero for consumers '
        'that test for it, such as nvblox; depth_image_proc takes zero for a point at the camera.',
        name='depth.invalid_value',
        choices=('nan', 'zero'),
        dynamic=True,
    )
    depth_min_confidence: float = option(
        0.0,
        'Confidence, 1 - expected relative error, below which depth is unknown, in images and '
        'clouds; 0: keep every pixel.',
        name='depth.min_confidence',
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    mask_file: str = option(
        '',
        'PNG file that is white where the robot is in the rectified image, at any size; depth is '
        'unknown there. Empty: no mask.',
        name='mask.file',
        is_path=True,
        dynamic=True,
    )
    depth_require_metric: bool = option(
        False,
        'Reject frames whose depth is relative (scale_source model) instead of publishing it in '
        'the unit of the network, which REP-118 does not allow.',
        name='depth.require_metric',
        dynamic=True,
    )


@dataclass(frozen=True, kw_only=True)
class LiveParameters(
    StatusParameters,
    ObstacleParameters,
    DepthImageParameters,
    RectifyOptions,
    CloudParameters,
    StreamParameters,
):
    """Parameters of one live node at one time."""

    autostart: bool = option(True, 'Configure and activate the node when it starts.')
    build_only: bool = option(
        False,
        'Exit when the engine is built for the image size, which camera_info or the first image '
        'gives.',
    )
    image_transport: str = option(
        'auto',
        'Image topic to subscribe to: image (raw), image/compressed, or H.264 or H.265 on '
        'image/foxglove (CompressedVideo) or image/ffmpeg (FFMPEGPacket); auto: the one that has '
        'images, in this order; image may have each of these types.',
        choices=('auto', 'raw', 'compressed', 'foxglove', 'ffmpeg'),
    )
    image_reliability: str = option(
        'auto',
        'Reliability (QoS) of the image subscription; auto: what the publisher offers.',
        choices=('auto', 'best_effort', 'reliable'),
    )
    image_timeout_s: float = option(
        2.0,
        'Time without images after which the state is waiting and a warning is published; for '
        'slower cameras twice their period.',
        unit='s',
        minimum=0.1,
        maximum=3600.0,
        dynamic=True,
    )
    keep_state_warm: bool = option(
        False,
        'Compute without subscribers too, so that the first published depth is stable.',
        dynamic=True,
    )
    scale_prior: str = option(
        'none',
        'Metric depth network that sets the scale of the stream from occasional frames: its name, '
        'or the card of a network of your own. Those of the catalogue need a GPU.',
        name='scale.prior',
        choices=('none', *METRIC_PRIORS),
        file_suffix=CARD_SUFFIX,
    )
    cloud_max_rate_hz: float = option(
        0.0,
        'Maximum rate of clouds in data time; 0: one cloud for each depth image.',
        name='cloud.max_rate_hz',
        unit='Hz',
        minimum=0.0,
        maximum=1000.0,
        dynamic=True,
    )
