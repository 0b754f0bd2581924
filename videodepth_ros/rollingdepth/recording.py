# SPDX-License-Identifier: Apache-2.0
"""The relative depth of a recording by RollingDepth, shot by shot, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.shot_detection import find_shots
from videodepth_ros.rollingdepth.scaling import Scaling
from videodepth_ros.rollingdepth.settings import RollingSettings
from videodepth_ros.rollingdepth.shot import RollingShot, SnippetNetwork

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]


def rolling_recording(
    images: Sequence[Image],
    network: SnippetNetwork,
    folder: Path,
    settings: RollingSettings | None = None,
    advanced: Callable[[float], None] = lambda _: None,
    noise: Floats | None = None,
) -> Iterator[Floats]:
    """Yield relative inverse depth of each frame, (h, w) float32, at the size it is computed at.

    images    (N, H, W, 3) uint8 RGB, read a few at a time
    folder    of this run alone: what lies there was made of the same images, network and settings
    advanced  is told the share that is done, after each batch; what it raises ends the run
    noise     (C, h, w) float32 of every frame, in place of that of the settings' seed
    raises    ConfigError where dilations do not fit the clip, which only parity allows

    Larger is nearer; scale and shift are unknown, and the same within a shot (`find_shots`).
    A run that was killed goes on after its last whole batch, and ends with the same bytes.
    """
    settings = settings or RollingSettings()
    height, width = images[0].shape[:2]
    scaling = Scaling.of(
        width, height, settings.preset.max_side_px, 1 if settings.parity else network.pixels
    )
    if noise is None:
        noise = _noise(network, scaling, settings.seed)
    shots = (range(len(images)),) if settings.parity else find_shots(images)
    clips = [
        RollingShot(
            images[shot.start : shot.stop],
            network,
            settings,
            scaling,
            noise,
            folder / f'{shot.start:06d}-{shot.stop:06d}',
        )
        for shot in shots
    ]
    work, done = sum(clip.work for clip in clips), 0

    def told(pictures: int) -> None:
        nonlocal done
        done += pictures
        advanced(done / work)

    for clip in clips:
        yield from clip.depth(told)


def _noise(network: SnippetNetwork, scaling: Scaling, seed: int) -> Floats:
    """Return the noise (C, h, w) of every frame of a recording, the same on every machine."""
    height, width = scaling.padded
    shape = (network.channels, height // network.pixels, width // network.pixels)
    return np.random.default_rng(seed).standard_normal(shape, np.float32)
