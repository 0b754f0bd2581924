# SPDX-License-Identifier: Apache-2.0
"""How RollingDepth is run; the presets of its release, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.rollingdepth.snippets import REFINEMENT_START_DILATION, SNIPPET_LENGTH


@dataclass(frozen=True)
class RollingPreset:
    """What the release lets its user choose (arXiv 2411.19189, section 4.1, and its code).

    max_side_px      images are scaled, up or down, so that the longer side has so many; 0: as is
    dilations        of the snippets that are predicted
    capped           dilations are lowered for short clips, as in all presets but ``paper``
    precision        of the network on a GPU, and of the pictures that are kept
    refine_steps     steps of the refinement; 0: none
    snippet_lengths  frames of a snippet; every length is taken at every dilation
    denoise_steps    from noise to the depth of a snippet
    """

    name: str
    max_side_px: int
    dilations: tuple[int, ...]
    capped: bool
    precision: Literal['fp16', 'fp32']
    refine_steps: int
    snippet_lengths: tuple[int, ...] = (SNIPPET_LENGTH,)
    refine_length: int = SNIPPET_LENGTH
    refine_start_dilation: int = REFINEMENT_START_DILATION
    denoise_steps: int = 1


PRESETS = (
    RollingPreset('fast', 768, (1, 25), True, 'fp16', 0),
    RollingPreset('fast1024', 1024, (1, 25), True, 'fp16', 0),
    RollingPreset('full', 1024, (1, 10, 25), True, 'fp16', 10),
    RollingPreset('paper', 768, (1, 10, 25), False, 'fp32', 10),
)


def rolling_preset(name: str) -> RollingPreset:
    """Return a preset by its name.

    raises  ConfigError naming the choices
    """
    for known in PRESETS:
        if known.name == name:
            return known
    names = ', '.join(known.name for known in PRESETS)
    raise ConfigError(f'RollingDepth has no preset {name!r}: choose one of {names}')


@dataclass(frozen=True)
class RollingSettings:
    """How a recording is computed.

    parity            the numerics of the release, with its limits: one clip whatever is in it,
                      sizes cut to whole latents, the published steps of co-alignment, sums in the
                      precision of the pictures, and a result that spans -1 to 1
    seed              of the noise, which all frames share
    snippets_at_once  that the network computes together
    images_at_once    that the autoencoder computes together; both set what memory it takes
    """

    preset: RollingPreset = PRESETS[0]
    parity: bool = False
    seed: int = 0
    snippets_at_once: int = 1
    images_at_once: int = 4
