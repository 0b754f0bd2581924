# SPDX-License-Identifier: Apache-2.0
"""Clips to train on without rendering: a floor, a wall and the sky, from a camera that sinks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from training.measure import Sequence, TrueFrame
from training.shards import CANONICAL_UNIT, canonical_inverse_depth, find_clips, write_clip

WIDTH, HEIGHT, FRAMES, FX = 128, 96, 6, 90.0


def floor_and_sky(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images (T, H, W, 3) uint8 and depth (T, H, W) float32 in metres."""
    down = (np.arange(HEIGHT, dtype=np.float32) - HEIGHT / 2 + 0.5) / FX
    images, depths = [], []
    for camera_height_m in np.linspace(1.8, 1.2, FRAMES):
        with np.errstate(divide='ignore'):
            floor_m = np.where(down > 0, camera_height_m / down, np.inf)
        depth_m = np.repeat(floor_m[:, None], WIDTH, axis=1)
        depth_m[20:70, 30:60] = np.minimum(depth_m[20:70, 30:60], 3.0)
        image = np.where(np.isinf(depth_m)[..., None], (120, 170, 230), (90, 110, 70))
        image[20:70, 30:60] = (180, 60, 50)
        images.append(np.clip(image + rng.normal(0, 5, image.shape), 0, 255))
        depths.append(depth_m)
    return np.stack(images).astype(np.uint8), np.stack(depths).astype(np.float32)


@pytest.fixture(scope='session')
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three clips of two families."""
    folder = tmp_path_factory.mktemp('clips')
    rng = np.random.default_rng(0)
    for seed, family in enumerate(('meadow', 'meadow', 'yard')):
        image, depth_m = floor_and_sky(rng)
        write_clip(folder, family, seed, image, canonical_inverse_depth(depth_m, FX))
    return folder


@pytest.fixture
def sequences(clips: Path) -> list[Sequence]:
    """The clips as sequences to measure by."""

    def frames(clip):
        with np.errstate(divide='ignore'):
            for image, inverse_depth in zip(clip.image, clip.inverse_depth, strict=True):
                yield TrueFrame(
                    image, CANONICAL_UNIT * FX / WIDTH / np.asarray(inverse_depth, np.float32)
                )

    return [
        Sequence(clip.image_path.name.split('.')[0], FX / WIDTH, 10.0, partial(frames, clip))
        for clip in find_clips(clips)
    ]
