# SPDX-License-Identifier: Apache-2.0
"""Fused step: the camera's image to depth and cloud as one module.

GPU engines run it as a graph (export.py) or in torch (torch_cuda_engine.py): only the image is
uploaded, and only the requested outputs are downloaded.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from videodepth_ros.engines.graph import Layout
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.imagenet import MEAN, STD
from videodepth_ros.models.vit import keys_kernel

NOTHING_HIT = 1e-3
"""Inverse depth below which nothing was hit, as in stream/scale.py."""


class FusedStep(nn.Module):
    """A lowered network with pre- and postprocessing.

    Images are resized as by preprocess.network_input, area means to shrink and a cubic to enlarge,
    as one constant matrix for the rows and one for the columns.
    """

    rows: Tensor | None
    columns: Tensor | None
    gain: Tensor
    offset: Tensor

    def __init__(self, network: FlashDepth, layout: Layout) -> None:
        """Wrap ``network``, lowered for the network size of ``layout``."""
        super().__init__()
        self.network, self.layout = network, layout
        self.dtype = next(
            module.weight.dtype for module in network.modules() if isinstance(module, nn.Conv2d)
        )
        grows = layout.width > layout.camera_width or layout.height > layout.camera_height
        resize = cubic_resize_matrix if grows else area_resize_matrix
        for name, source, target in (
            ('rows', layout.camera_height, layout.height),
            ('columns', layout.camera_width, layout.width),
        ):
            matrix = None if source == target else torch.from_numpy(resize(source, target))
            self.register_buffer(name, matrix, persistent=False)
        mean, std = (torch.tensor(triple).view(1, 3, 1, 1) for triple in (MEAN, STD))
        self.register_buffer('gain', 1 / (255 * std), persistent=False)
        self.register_buffer('offset', mean / std, persistent=False)

    def forward(self, image: Tensor, state: Tensor, parameters: Tensor) -> tuple[Tensor, ...]:
        """Compute one frame.

        image    (camera_height, camera_width, 3) uint8
        state    (layers, 1, heads, P, N) float32, zero before the first frame
        parameters  (PARAMETER_COUNT) float32, see graph.FrameParameters
        returns  inverse_depth (h, w) float32, >= 0, in the network's unit
                 depth (h, w) float32, Z [m], +inf where nothing was hit, NaN at mixed pixels, as
                 in stream/upsample.py
                 cloud (h, w, 4) float32: x, y, z [m], NaN where there is no point, and a float
                 whose lower three bytes are red, green and blue
                 total (1) float32, a sum over depth and state: finite iff all values are
                 state (layers, 1, heads, P, N) float32 after this frame
        """
        # Cast first: other operators do not support uint8 in every engine.
        *outputs, state = self.streams(image.float()[None], state, parameters[None])
        return (*(output[0] for output in outputs), state)

    def streams(self, images: Tensor, states: Tensor, parameters: Tensor) -> tuple[Tensor, ...]:
        """Compute one frame of each of B streams, see ``forward``.

        images   (B, camera_height, camera_width, 3) uint8, or float32 of the same values
        states   (layers, B, heads, P, N) float32
        parameters  (B, PARAMETER_COUNT) float32
        returns  the outputs of ``forward``, (B, ...) each, and the states as they came in
        """
        pixels = self._pixels(images)
        normalised = pixels * self.gain - self.offset
        inverse_depth, states = self.network.step(normalised.to(self.dtype), states)
        fx, fy, cx, cy, scale, shift, range_m, cloud_range_m, edge_ratio = parameters[
            :, :, None, None
        ].unbind(1)
        depth = postprocess(inverse_depth, scale, shift, range_m, edge_ratio)
        lifted = backproject_tensor(depth, fx, fy, cx, cy, cloud_range_m)
        cloud = torch.stack((*lifted, pack_rgb(pixels.round())), dim=-1)
        total = (inverse_depth.sum(dim=(1, 2)) + states.sum(dim=(0, 2, 3, 4)))[:, None]
        return inverse_depth, depth, cloud, total, states

    def _pixels(self, images: Tensor) -> Tensor:
        """Return (B, 3, h, w) float32 in 0..255, red green blue, at the network's size."""
        planes = images.float().permute(0, 3, 1, 2)
        if self.layout.channels == 'bgr':
            planes = torch.cat(planes.split(1, dim=1)[::-1], dim=1)
        if self.rows is not None:
            planes = self.rows @ planes
        if self.columns is not None:
            planes = planes @ self.columns.T
        return planes.clamp(0, 255)  # a cubic overshoots


def postprocess(
    inverse_depth: Tensor, scale: Tensor, shift: Tensor, range_m: Tensor, edge_ratio: Tensor
) -> Tensor:
    """Return depth (B, h, w) float32 of an inverse depth, see ``forward``.

    Equals scale.py and upsample.py of stream/, in operators that engines support; the other
    tensors (B, 1, 1) are fields of graph.FrameParameters.
    """
    inverse_m = scale * inverse_depth + shift
    hit = (inverse_depth >= NOTHING_HIT) & (inverse_m > 0) & (inverse_m * range_m >= 1)
    surface = inverse_depth.masked_fill(~hit, 0.0)
    greatest = F.max_pool2d(surface[:, None], 3, 1, 1)[:, 0]
    least = -F.max_pool2d(-surface[:, None], 3, 1, 1)[:, 0]
    between = (greatest > edge_ratio * surface) & (surface > edge_ratio * least) & (edge_ratio > 1)
    depth = (1 / inverse_m.masked_fill(~hit, 1.0)).masked_fill(~hit, math.inf)
    return depth.masked_fill(between, math.nan)


def backproject_tensor(
    depth: Tensor, fx: Tensor, fy: Tensor, cx: Tensor, cy: Tensor, range_m: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Backproject depth (B, h, w) to x, y, z of that shape; NaN without depth or out of range."""
    height, width = depth.shape[1:]
    z = depth.masked_fill(~(depth <= range_m), math.nan)
    columns = torch.arange(width, dtype=torch.float32, device=depth.device)
    rows = torch.arange(height, dtype=torch.float32, device=depth.device)[:, None]
    return z * ((columns - cx) / fx), z * ((rows - cy) / fy), z


def pack_rgb(pixels: Tensor) -> Tensor:
    """Pack (B, 3, h, w) in 0..255 into floats (B, h, w) with the bits 0x3f, red, green, blue.

    ONNX has no bit cast from integer to float; the value is computed instead: sign and seven
    exponent bits form the first byte, and the last exponent bit is red's highest. With a first
    byte of zero, red below 128 would give a denormal, which some engines flush to zero; readers
    ignore that byte.
    """
    red, green, blue = pixels.unbind(1)
    bright = (red > 127).float()
    fraction = ((red - 128 * bright) * 65536 + green * 256 + blue) * 2.0**-23  # exact, in [0, 1)
    return (1 + fraction) * (0.5 + 0.5 * bright)


@lru_cache(maxsize=32)
def area_resize_matrix(source: int, target: int) -> NDArray[np.float32]:
    """Matrix (target, source) that shrinks a row by area means."""
    edges = np.arange(target + 1) * source / target
    pixels = np.arange(source)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (covered.clip(0) * target / source).astype(np.float32)


@lru_cache(maxsize=32)
def cubic_resize_matrix(source: int, target: int) -> NDArray[np.float32]:
    """Matrix (target, source) of the cubic of Keys 1981, borders repeated."""
    centre = (np.arange(target) + 0.5) * source / target - 0.5
    matrix = np.zeros((target, source))
    for offset in (-1, 0, 1, 2):
        index = np.floor(centre).astype(int) + offset
        np.add.at(
            matrix,
            (np.arange(target), index.clip(0, source - 1)),
            keys_kernel(np.abs(centre - index)),
        )
    return matrix.astype(np.float32)
