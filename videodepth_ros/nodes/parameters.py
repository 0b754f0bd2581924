# SPDX-License-Identifier: Apache-2.0
"""The parameters of the live node, each declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from videodepth_ros.engines.open import ENGINES
from videodepth_ros.models.catalogue import METRIC_PRIORS, cards
from videodepth_ros.nodes.declaration import checked, declarations_of, declare
from videodepth_ros.stream.feature_mode import FEATURE_MODES


@dataclass(frozen=True)
class LiveParameters:
    """The values of all parameters of one live node at one time."""

    autostart: bool = declare('autostart', True, 'Configure and activate the node when it starts.')
    build_only: bool = declare(
        'build_only',
        False,
        'End as soon as the engine is built for the size that camera_info '
        'or the first image tells.',
    )
    model: str = declare(
        'model',
        'nano',
        'Network that computes the depth, by its name in the catalogue.',
        choices=tuple(card.name for card in cards()),
    )
    engine: str = declare(
        'engine',
        'auto',
        'What runs the network; auto is TensorRT or torch on a GPU where they '
        'are installed, else ONNX Runtime.',
        choices=ENGINES,
    )
    threads: int = declare(
        'threads',
        0,
        'CPU threads of the network; 0 leaves the number to the engine.',
        least=0,
        greatest=256,
    )
    max_pixels: int = declare(
        'max_pixels',
        0,
        'Budget for the size of the network, whose aspect is that of the image; '
        "0 takes the model's own.",
        unit='px',
        least=0,
        greatest=2**24,
    )
    image_transport: str = declare(
        'image_transport',
        'auto',
        'Topic to listen to: image (raw) or image/compressed; auto '
        'takes the one that is published, raw before compressed.',
        choices=('auto', 'raw', 'compressed'),
    )
    image_reliability: str = declare(
        'image_reliability',
        'auto',
        'Reliability to ask of the camera; auto takes what it offers.',
        choices=('auto', 'best_effort', 'reliable'),
    )
    rectify: str = declare(
        'rectify',
        'auto',
        'Whether to take out the distortion that camera_info describes; auto '
        'does unless the name of the image topic holds "rect".',
        choices=('auto', 'always', 'never'),
    )
    image_timeout_s: float = declare(
        'image_timeout_s',
        2.0,
        'Silence of the camera after which the node says that it waits.',
        unit='s',
        least=0.1,
        greatest=3600.0,
        dynamic=True,
    )
    output: str = declare(
        'output',
        'camera',
        'Size of the depth: that of the image or that of the network.',
        choices=('camera', 'network'),
        dynamic=True,
    )
    max_range_m: float = declare(
        'max_range_m',
        100.0,
        'Depth beyond which nothing counts as hit (+inf); 0: no limit.',
        unit='m',
        least=0.0,
        greatest=1e5,
        dynamic=True,
    )
    edge_ratio: float = declare(
        'edge_ratio',
        1.25,
        'Ratio of neighbouring depths that makes them two surfaces: what '
        'hangs in between is unknown (NaN); 1 keeps every pixel.',
        least=1.0,
        greatest=100.0,
        dynamic=True,
    )
    guided_edges: str = declare(
        'guided_edges',
        'auto',
        'Whether the edges of depth are laid on those of the image, where '
        'it is finer than the network; auto does for models whose own are soft (nano).',
        choices=FEATURE_MODES,
        dynamic=True,
    )
    max_gap_s: float = declare(
        'max_gap_s',
        2.0,
        'Step between two stamps above which the stream starts afresh.',
        unit='s',
        least=0.01,
        greatest=3600.0,
        dynamic=True,
    )
    keep_state_warm: bool = declare(
        'keep_state_warm',
        False,
        'Compute while nobody subscribes, so that the first depth that '
        'somebody gets is already steady.',
        dynamic=True,
    )
    scale_factor: float = declare(
        'scale.factor', 1.0, 'Multiplies every depth.', least=1e-6, greatest=1e6, dynamic=True
    )
    scale_steady: str = declare(
        'scale.steady',
        'auto',
        'Whether the scale, of the whole and of regions, is kept steady '
        'by corners that are followed; auto does for models whose scale drifts (nano).',
        choices=FEATURE_MODES,
        dynamic=True,
    )
    scale_prior: str = declare(
        'scale.prior',
        'none',
        'Network that tells the metres of the stream: it looks at a frame '
        'now and then, beside the stream. It wants a GPU.',
        choices=('none', *METRIC_PRIORS),
    )
    cloud_stride: int = declare(
        'cloud.stride',
        4,
        'One point for so many columns and rows of the depth.',
        unit='px',
        least=1,
        greatest=64,
        dynamic=True,
    )
    cloud_max_range_m: float = declare(
        'cloud.max_range_m',
        30.0,
        'Points with a greater depth are left out (NaN); 0: no limit.',
        unit='m',
        least=0.0,
        greatest=1e5,
        dynamic=True,
    )
    cloud_max_rate_hz: float = declare(
        'cloud.max_rate_hz',
        0.0,
        'Clouds a second of data time at most; 0: one for every depth.',
        unit='Hz',
        least=0.0,
        greatest=1000.0,
        dynamic=True,
    )
    status_period_s: float = declare(
        'status_period_s',
        1.0,
        'Time between two messages on ~/status and on /diagnostics.',
        unit='s',
        least=0.05,
        greatest=60.0,
    )


DECLARATIONS = declarations_of(LiveParameters)
"""All declarations, in the order of the documentation."""


def live_parameters(values: Mapping[str, object]) -> LiveParameters:
    """Return the checked values by parameter name; what is not given has its default.

    raises  ConfigError if a value is not allowed or a name is not known
    """
    return checked(LiveParameters, values, 'config/live.yaml')
