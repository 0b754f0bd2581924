# SPDX-License-Identifier: Apache-2.0
"""Between images and what RollingDepth's autoencoder reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scaling:
    """The size at which a recording is computed.

    width, height  of the scaled images
    multiple       sides are filled up to multiples of this, by repeating the edge
    """

    width: int
    height: int
    multiple: int

    @classmethod
    def of(cls, width: int, height: int, max_side_px: int, multiple: int) -> Scaling:
        """Scale so that the longer side has ``max_side_px``; 0 leaves the images as they are.

        The shorter side is rounded down, as in the release.
        """
        scale = max_side_px / max(width, height) if max_side_px else 1.0
        return cls(max(1, int(width * scale)), max(1, int(height * scale)), multiple)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of what is encoded."""
        return self._whole(self.height), self._whole(self.width)

    def _whole(self, side: int) -> int:
        return -(-side // self.multiple) * self.multiple

    def of_image(self, image: NDArray[np.uint8]) -> Floats:
        """Return an image (H, W, 3) uint8 RGB as (3, h, w) in -1 to 1, scaled and filled up."""
        planes = torch.from_numpy(np.array(image, order='C')).permute(2, 0, 1)[None].float()
        if tuple(planes.shape[2:]) != (self.height, self.width):
            planes = torch.nn.functional.interpolate(
                planes, (self.height, self.width), mode='bilinear', antialias=True
            )
        return self._filled((planes[0] / 255 * 2 - 1).numpy())

    def of_depth(self, relative_depth: Floats) -> Floats:
        """Return depth (h, w) in -1 to 1 as the image (3, h, w) that the encoder takes it for."""
        return self._filled(np.broadcast_to(relative_depth, (3, *relative_depth.shape)))

    def _filled(self, planes: Floats) -> Floats:
        below, right = (self._whole(side) - side for side in planes.shape[1:])
        return np.pad(planes, ((0, 0), (0, below), (0, right)), mode='edge')
