# SPDX-License-Identifier: Apache-2.0
"""Settings of RollingDepth and the presets of its release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from videodepth_ros.core.errors import ConfigError

SNIPPET_LENGTH = 3
"""Frames of a snippet (arXiv 2411.19189, section 3.2)."""
DILATIONS = (1, 10, 25)
"""Dilations of the snippets (section 4.1)."""
REFINEMENT_START_DILATION = 6
"""First dilation of the refinement (section 3.4)."""


@dataclass(frozen=True)
class RollingPreset:
    """Options of the release's command line (arXiv 2411.19189, section 4.1, and its code)."""

    name: str

    # Images are resized, up or down, to this longer side [px]; 0: not resized.
    max_side_px: int

    # Dilations of the predicted snippets [frames].
    dilations: tuple[int, ...]

    # Whether dilations are capped for short clips: all presets but ``paper``.
    capped: bool

    # Of the network on a GPU, and of the stored depth maps.
    precision: Literal['fp16', 'fp32']

    # Denoising steps of the refinement [count]; 0: no refinement.
    refine_steps: int

    # Lengths of the snippets [frames]; each is combined with each dilation.
    snippet_lengths: tuple[int, ...] = (SNIPPET_LENGTH,)

    # Length and first dilation of the refinement's windows [frames].
    refine_length: int = SNIPPET_LENGTH
    refine_start_dilation: int = REFINEMENT_START_DILATION

    # Denoising steps of a snippet [count]; the network is distilled to 1.
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
    for preset in PRESETS:
        if preset.name == name:
            return preset
    names = ', '.join(preset.name for preset in PRESETS)
    raise ConfigError(f'RollingDepth has no preset {name!r}: choose one of {names}')


@dataclass(frozen=True)
class RollingSettings:
    """Settings of a run over a recording."""

    preset: RollingPreset = PRESETS[0]

    # Numerics of the release, with its limits: no shot detection, sizes cropped to whole latents,
    # the published steps of co-alignment, sums in the stored precision, output in -1 to 1.
    parity: bool = False

    # Seed of the noise, which all frames share.
    seed: int = 0

    # Snippets per call of the network, and images per call of the autoencoder [count]: memory.
    snippets_at_once: int = 1
    images_at_once: int = 4


ROLLING_DEFAULTS = RollingSettings()
