# SPDX-License-Identifier: Apache-2.0
"""Reference frames and the float32 network's outputs for them, to check plans with.

The frames are generated from their size, so that only the outputs are stored.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import ModelError

REFERENCE_FRAMES = 4


DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, struct.error)
"""Exceptions of the library on damaged archives."""


@dataclass(frozen=True)
class ReferenceOutputs:
    """Outputs of the float32 network for ``reference_frames``.

    inverse_depth  (T, h, w) float32, of each frame
    state          (layers, 1, heads, P, N) float32, after the last one
    """

    inverse_depth: NDArray[np.float32]
    state: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write a file for ``load_reference_outputs``."""
        with path.open('wb') as file:
            np.savez(file, inverse_depth=self.inverse_depth, state=self.state)


def load_reference_outputs(path: Path) -> ReferenceOutputs:
    """Read a file of ``ReferenceOutputs.save``.

    raises  ModelError if it is no such file
    """
    try:
        # opened here, as numpy leaves a file open that is no zip
        with path.open('rb') as stream, np.load(stream, allow_pickle=False) as file:
            return ReferenceOutputs(file['inverse_depth'], file['state'])
    except (OSError, ValueError, LookupError, EOFError, MemoryError, *DAMAGED_ZIP) as error:
        raise ModelError(
            f'{path} holds no reference outputs ({error}); remove it to have it rebuilt'
        ) from error


def reference_frames(
    width: int, height: int, count: int = REFERENCE_FRAMES
) -> Iterator[NDArray[np.uint8]]:
    """Yield ``count`` synthetic images (height, width, 3) uint8, red green blue.

    Coloured rectangles move in front of a textured wall: smooth areas, texture, edges, motion.
    """
    noise = np.random.default_rng(7)
    rows, columns = np.mgrid[:height, :width]
    texture = noise.integers(-12, 13, (height, width, 1))
    for t in range(count):
        shade = 90 + 60 * np.sin(columns / 37 + t / 5) * np.cos(rows / 23)
        image = np.stack([shade, 0.8 * shade + 20, 140 - 0.4 * shade], axis=-1) + texture
        for k, colour in enumerate(((220, 60, 40), (40, 180, 90), (235, 235, 230))):
            left = (0.15 + 0.25 * k + 0.03 * t) * width
            top = (0.2 + 0.18 * k) * height
            inside = (abs(columns - left) < width * 0.09) & (abs(rows - top) < height * 0.14)
            image[inside] = colour
        yield image.clip(0, 255).astype(np.uint8)
