# SPDX-License-Identifier: Apache-2.0
"""All textures of a pool in one image with mip levels, sampled by one remap for all pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.synthetic.noise import SIZE, cells, spectral_noise
from videodepth_ros.synthetic.prints import PRINTS
from videodepth_ros.synthetic.textures import SURFACES

LEVELS = 6  # 256, 128, ..., 8 texels
TILE_WIDTH, TILE_HEIGHT = SIZE + 2 + SIZE // 2 + 2, SIZE + 2
COLUMNS = 8
VARIANTS = {
    'plain': 6,
    'plaster': 8,
    'grain': 8,
    'planks': 7,
    'tiles': 6,
    'picture': 10,
    'document': 6,
    'books': 6,
    'facade': 10,
    'clouds': 3,
    'stains': 4,
}
MASKS = ('leaf', 'sparse', 'bars', 'lattice', 'mesh')


def _level_origin(level: int) -> tuple[int, int]:
    """Return column and row of a level inside its tile, inside a border of one texel."""
    if level == 0:
        return 1, 1
    row = sum((SIZE >> k) + 2 for k in range(1, level))
    return SIZE + 3, row + 1


_ORIGINS = np.array([_level_origin(k) for k in range(LEVELS)], np.float32)


@dataclass(frozen=True)
class Atlas:
    """A pool of textures.

    image  (rows, columns, 3) uint8, every tile with LEVELS mip levels and wrapped borders
    kinds  which tiles are of which kind, by name, in order
    """

    image: NDArray[np.uint8]
    kinds: tuple[tuple[str, int, int], ...]

    def pick(self, kind: str, rng: np.random.Generator) -> int:
        """Return the number of a random tile of ``kind``."""
        for name, first, count in self.kinds:
            if name == kind:
                return first + int(rng.integers(0, count))
        raise KeyError(kind)

    def sample(
        self, tile: NDArray[np.int32], u: Float32Array, v: Float32Array, level: Float32Array
    ) -> NDArray[np.uint8]:
        """Return (N, 3) uint8 colours at texture coordinates u, v, (N,) in tiles, wrapped.

        level  (N,) float32, log2 of texels a pixel; the nearest mip level is read bilinearly
        """
        nearest = np.clip(level + 0.5, 0, LEVELS - 1).astype(np.int32)
        side = (SIZE >> nearest).astype(np.float32)
        column = (
            tile % COLUMNS * TILE_WIDTH + _ORIGINS[nearest, 0] + (u - np.floor(u)) * side - 0.5
        )
        row = tile // COLUMNS * TILE_HEIGHT + _ORIGINS[nearest, 1] + (v - np.floor(v)) * side - 0.5
        return _remap(self.image, column.astype(np.float32), row.astype(np.float32))


def _remap(image: NDArray[np.uint8], column: Float32Array, row: Float32Array) -> NDArray[np.uint8]:
    """Return bilinear samples of N points; remap takes maps of less than 32768 rows."""
    count = column.size
    width = 512
    shape = (-(-count // width), width)
    maps = np.zeros((2, shape[0] * width), np.float32)
    maps[0, :count], maps[1, :count] = column, row
    out = cv2.remap(
        image,
        maps[0].reshape(shape),
        maps[1].reshape(shape),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(out, np.uint8).reshape(shape[0] * width, -1)[:count]


def _write_tile(sheet: NDArray[np.uint8], number: int, image: Float32Array) -> None:
    top, left = number // COLUMNS * TILE_HEIGHT, number % COLUMNS * TILE_WIDTH
    for level in range(LEVELS):
        texels = np.clip(np.nan_to_num(image) * 255 + 0.5, 0, 255).astype(np.uint8)
        column, row = _level_origin(level)
        side = SIZE >> level
        sheet[
            top + row - 1 : top + row + side + 1, left + column - 1 : left + column + side + 1
        ] = np.pad(texels, ((1, 1), (1, 1), (0, 0)), mode='wrap')
        image = np.asarray(
            cv2.resize(image, (side // 2, side // 2), interpolation=cv2.INTER_AREA), np.float32
        )


@lru_cache(maxsize=2)
def load_atlas(pool: int) -> Atlas:
    """Paint the pool of textures of this number; it depends on the number alone."""
    rng = np.random.default_rng([77, pool])
    painters = {**SURFACES, **PRINTS}
    counts = {name: VARIANTS.get(name, 4) for name in painters}
    rows = -(-sum(counts.values()) // COLUMNS)
    sheet = np.zeros((rows * TILE_HEIGHT, COLUMNS * TILE_WIDTH, 3), np.uint8)
    kinds = []
    number = 0
    for name, paint in painters.items():
        kinds.append((name, number, counts[name]))
        for _ in range(counts[name]):
            _write_tile(sheet, number, paint(rng).astype(np.float32))
            number += 1
    return Atlas(sheet, tuple(kinds))


@lru_cache(maxsize=1)
def masks() -> NDArray[np.bool_]:
    """Return cut-out patterns (len(MASKS), SIZE, SIZE): True where the surface is solid."""
    rng = np.random.default_rng(5)
    row, column = np.mgrid[0:SIZE, 0:SIZE]
    number, depth = cells(rng, 1400)
    chance = rng.random(1400)[number] + 0.12 * spectral_noise(rng, 1.5)
    leaf = (depth > 0.22) & (chance < 0.72)
    sparse = (depth > 0.3) & (chance < 0.38)
    bars = column % 32 < 7
    lattice = ((row + column) % 64 < 9) | ((row - column) % 64 < 9)
    mesh = (row % 64 < 10) | (column % 64 < 10)
    return np.stack([leaf, sparse, bars, lattice, mesh])
