# SPDX-License-Identifier: Apache-2.0
"""The measured scale of a stream by its parameters."""

from __future__ import annotations

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.models.catalogue import card
from videodepth_ros.scale.fusion import MEASURED, FusionSettings
from videodepth_ros.scale.mount import MountSettings
from videodepth_ros.stream.parameters import StreamParameters


def fusion_settings(
    parameters: StreamParameters, *, needs_ground: bool = False, has_prior: bool = False
) -> FusionSettings:
    """Return what of the scale is measured.

    needs_ground  whether the ground is wanted where the height sets no scale
    has_prior     whether there is a metric network
    raises        ConfigError where the source needs another model or another parameter
    """
    source = parameters.scale_source
    if source == 'prior' and not has_prior:
        raise ConfigError('scale.source is prior, but there is none; give scale.prior')
    if source == 'intrinsics' and not card(parameters.model).unit.is_canonical:
        raise ConfigError(
            f'scale.source is intrinsics, but the depth of {parameters.model} is relative; '
            'choose nano, or another source'
        )
    mount = MountSettings(
        parameters.base_frame.strip('/'), parameters.camera_height_m, parameters.camera_pitch_deg
    )
    sources = MEASURED if source == 'auto' else tuple(s for s in MEASURED if s.value == source)
    return FusionSettings(sources, mount, needs_ground)


def is_measured(source: str) -> bool:
    """Return whether a source of scale, by its value, is measured in the stream."""
    return source in {each.value for each in MEASURED}
