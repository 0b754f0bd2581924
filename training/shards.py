# SPDX-License-Identifier: Apache-2.0
"""Clips on disk: two plain arrays a clip, so that one frame is read without the others.

`FAMILY-SEED.inverse.npy`  (T, H, W) float16, canonical inverse depth 100 fx / (width Z),
                           0 is sky, NaN unknown
`FAMILY-SEED.image.npy`    (T, H, W, 3) uint8, red green blue; written last, so its name means done
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CANONICAL_UNIT = 100.0
"""Canonical inverse depth is Depth Pro's C (arXiv 2410.02073, section 3.1) times this."""


@dataclass(frozen=True)
class Clip:
    """One stored clip; its arrays stay on disk until they are indexed."""

    image_path: Path

    @property
    def family(self) -> str:
        """Name of the scene family that it was rendered from."""
        return self.image_path.name.rsplit('-', 1)[0]

    @property
    def image(self) -> NDArray[np.uint8]:
        """(T, H, W, 3) uint8, mapped."""
        return np.load(self.image_path, mmap_mode='r')

    @property
    def inverse_depth(self) -> NDArray[np.float16]:
        """(T, H, W) float16, canonical inverse depth, mapped."""
        return np.load(_inverse_path(self.image_path), mmap_mode='r')


def find_clips(folder: Path) -> list[Clip]:
    """Return the finished clips of a folder in the order of their names, whoever writes there."""
    return [Clip(path) for path in sorted(folder.glob('*.image.npy'))]


def canonical_inverse_depth(depth_m: NDArray[np.float32], fx: float) -> NDArray[np.float16]:
    """Return 100 fx / (width Z), (..., H, W) float16, of Z in metres; 0 for +inf, NaN for NaN."""
    with np.errstate(divide='ignore'):
        canonical = CANONICAL_UNIT * fx / depth_m.shape[-1] / depth_m
    return canonical.astype(np.float16)


def write_clip(
    folder: Path,
    family: str,
    seed: int,
    image: NDArray[np.uint8],
    inverse_depth: NDArray[np.float16],
) -> Clip:
    """Write one clip; a reader sees it whole or not at all."""
    clip = Clip(clip_path(folder, family, seed))
    _write_whole(_inverse_path(clip.image_path), inverse_depth)
    _write_whole(clip.image_path, image)
    return clip


def move_clip(clip: Clip, folder: Path) -> None:
    """Move a clip to another folder of the same file system."""
    for path in (_inverse_path(clip.image_path), clip.image_path):
        path.rename(folder / path.name)


def clip_path(folder: Path, family: str, seed: int) -> Path:
    """Return where the images of a clip lie."""
    return folder / f'{family}-{seed:08d}.image.npy'


def _inverse_path(image_path: Path) -> Path:
    return image_path.with_name(image_path.name.replace('.image.npy', '.inverse.npy'))


def _write_whole(path: Path, array: NDArray[np.generic]) -> None:
    unfinished = path.with_suffix('.part')
    with unfinished.open('wb') as file:
        np.save(file, array)
    os.replace(unfinished, path)
