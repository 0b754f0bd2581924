# SPDX-License-Identifier: Apache-2.0
"""Rolling inference: relative depth of a recording, or of a clip with any snippet model.

Snippets of all dilations are predicted, co-aligned and merged; latents may then be refined from
the middle of the noise schedule (RollingDepth, arXiv 2411.19189, sections 3.2 to 3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from videodepth_ros.coalign.options import COALIGN_DEFAULTS, CoalignOptions
from videodepth_ros.coalign.solver import align_snippets, merge_snippets
from videodepth_ros.core.arrays import Float32Array, IndexArray, UInt8Array
from videodepth_ros.core.shot_detection import detect_shots
from videodepth_ros.rollingdepth.scaling import InputScaling
from videodepth_ros.rollingdepth.settings import ROLLING_DEFAULTS, RollingSettings
from videodepth_ros.rollingdepth.shot import RollingShot, SnippetNetwork
from videodepth_ros.rollingdepth.snippets import Predict, predict_snippets


def rolling_depth(
    snippets: Sequence[IndexArray],
    predict: Predict,
    folder: Path | None = None,
    options: CoalignOptions = COALIGN_DEFAULTS,
) -> Iterator[Float32Array]:
    """Yield the relative depth of each frame of a clip, (H, W) float32 each, NaN where unknown.

    snippets, predict, folder  as for `predict_snippets`; `plan_snippets` gives the snippets
    raises                     InputError if no snippet has a finite value
    """
    predicted = predict_snippets(snippets, predict, folder)
    return merge_snippets(predicted, align_snippets(predicted, options))


def rolling_recording(
    images: Sequence[UInt8Array],
    network: SnippetNetwork,
    folder: Path,
    settings: RollingSettings = ROLLING_DEFAULTS,
    on_progress: Callable[[float], None] = lambda _: None,
    noise: Float32Array | None = None,
) -> Iterator[Float32Array]:
    """Yield relative inverse depth of each frame, (h, w) float32, at the processed size.

    images       (N, H, W, 3) uint8 RGB, read in batches
    folder       intermediate results of this run: of the same images, network and settings only
    on_progress  called after each batch with the share that is done; may raise to cancel
    noise        (C, h, w) float32 for every frame, instead of that of the settings' seed
    raises       ConfigError where dilations do not fit the clip, which only parity allows

    Larger is nearer; scale and shift are unknown, and constant within a shot (`detect_shots`).
    An interrupted run resumes after its last whole batch and yields the same bytes.
    """
    height, width = images[0].shape[:2]
    multiple = 1 if settings.parity else network.vae_scale_factor
    scaling = InputScaling.fit(width, height, settings.preset.max_side_px, multiple)
    if noise is None:
        noise = _shared_noise(network, scaling, settings.seed)
    shots = (range(len(images)),) if settings.parity else detect_shots(images)
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
    total, done = sum(clip.image_passes for clip in clips), 0

    def on_images(count: int) -> None:
        nonlocal done
        done += count
        on_progress(done / total)

    for clip in clips:
        yield from clip.predict_depth(on_images)


def _shared_noise(network: SnippetNetwork, scaling: InputScaling, seed: int) -> Float32Array:
    """Return the noise (C, h, w) that all frames share; the same on every machine."""
    height, width = scaling.padded
    factor = network.vae_scale_factor
    shape = (network.latent_channels, height // factor, width // factor)
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def to_unit_range(relative_depth: Float32Array) -> Float32Array:
    """Return a clip (N, H, W) scaled to -1 at its minimum and 1 at its maximum; NaN stays.

    This is the encoder's input range. A constant clip becomes -1.
    """
    lowest, highest = float(np.nanmin(relative_depth)), float(np.nanmax(relative_depth))
    scale = np.float32(2 / max(highest - lowest, 1e-12))
    unit: Float32Array = (relative_depth - np.float32(lowest)) * scale
    return unit - np.float32(1)
