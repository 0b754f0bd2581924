# SPDX-License-Identifier: Apache-2.0
"""Resize and pad images to the input of RollingDepth's autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array, UInt8Array


@dataclass(frozen=True)
class InputScaling:
    """Size at which a recording is processed.

    width, height  of the resized images [px]
    multiple       sides are padded to multiples of this, by replicating the border [px]
    """

    width: int
    height: int
    multiple: int

    @classmethod
    def fit(cls, width: int, height: int, max_side_px: int, multiple: int) -> InputScaling:
        """Return the scaling of images whose longer side becomes ``max_side_px``; 0: unchanged.

        The shorter side is rounded down, as in the release.
        """
        scale = max_side_px / max(width, height) if max_side_px else 1.0
        return cls(max(1, int(width * scale)), max(1, int(height * scale)), multiple)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the padded input."""
        return self._round_up(self.height), self._round_up(self.width)

    def _round_up(self, side: int) -> int:
        return -(-side // self.multiple) * self.multiple

    def image_input(self, image: UInt8Array) -> Float32Array:
        """Return an image (H, W, 3) uint8 RGB as (3, h, w) in -1 to 1, resized and padded."""
        import torch  # heavy, and needed only here

        planes = torch.from_numpy(np.array(image, order='C')).permute(2, 0, 1)[None].float()
        if tuple(planes.shape[2:]) != (self.height, self.width):
            planes = torch.nn.functional.interpolate(
                planes, (self.height, self.width), mode='bilinear', antialias=True
            )
        return self._pad((planes[0] / 255 * 2 - 1).numpy())

    def depth_input(self, relative_depth: Float32Array) -> Float32Array:
        """Return depth (h, w) in -1 to 1 as three equal planes (3, h, w), padded."""
        return self._pad(np.broadcast_to(relative_depth, (3, *relative_depth.shape)))

    def _pad(self, planes: Float32Array) -> Float32Array:
        below, right = (self._round_up(side) - side for side in planes.shape[1:])
        return np.pad(planes, ((0, 0), (0, below), (0, right)), mode='edge')
