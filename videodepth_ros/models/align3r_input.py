# SPDX-License-Identifier: Apache-2.0
"""From a frame and its depth prior to what Align3R's network reads. Free of torch.

The weights were trained on inputs made in just this way: image and point map are resized to 512
pixels along the longer side and cut around the centre to whole patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

LONG_SIDE_PX = 512
PATCH = 16

FAR_M = 400.0
"""Align3R's training left out what is farther (arXiv 2412.03079), so that it counts as sky."""


@dataclass(frozen=True)
class CropWindow:
    """The part of a camera's image that the network sees.

    The image is resized to ``resized_width`` x ``resized_height``; then ``width`` x ``height``
    pixels are cut out that begin at column ``left`` and row ``top``.
    """

    resized_width: int
    resized_height: int
    left: int
    top: int
    width: int
    height: int

    def camera(self, camera: Intrinsics) -> Intrinsics:
        """Return the intrinsics of the window, given those of the whole image at any size."""
        whole = camera.scaled_to(self.resized_width, self.resized_height)
        return Intrinsics(
            self.width, self.height, whole.fx, whole.fy, whole.cx - self.left, whole.cy - self.top
        )

    def cut(self, resized: Array) -> Array:
        """Cut the window out of an image (resized_height, resized_width, C)."""
        return resized[self.top : self.top + self.height, self.left : self.left + self.width]


def network_window(width: int, height: int, long_side_px: int = LONG_SIDE_PX) -> CropWindow:
    """Return what the network sees of images of ``width`` x ``height``.

    long_side_px  of the network's input, a multiple of 16; the weights know 512
    raises        InputError where the image is so narrow that no patch fits

    A square image loses a quarter of its height: DUSt3R was trained on no square ones.
    """
    longer = max(width, height)
    resized = round(width * long_side_px / longer), round(height * long_side_px / longer)
    inside = [length // PATCH * PATCH for length in resized]
    if resized[0] == resized[1]:
        inside[1] = inside[0] * 3 // 4 // PATCH * PATCH
    if min(inside) == 0:
        raise InputError(
            f'an image of {width}x{height} is too narrow: at {resized[0]}x'
            f'{resized[1]} it holds no patch of {PATCH}x{PATCH}'
        )
    left, top = (length // 2 - kept // 2 for length, kept in zip(resized, inside, strict=True))
    return CropWindow(*resized, left, top, *inside)


def network_image(image: NDArray[np.uint8], window: CropWindow) -> Array:
    """Return the network's image (3, h, w) float32, -1 black to 1 white.

    image   (H, W, 3) uint8, red green blue
    raises  InputError where the image is not such an array
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(
            f'an image of shape {image.shape} and type {image.dtype} cannot be used: '
            'it must be (H, W, 3) uint8'
        )
    height, width = image.shape[:2]
    rows = resampling_matrix(height, window.resized_height)
    columns = resampling_matrix(width, window.resized_width)
    lines = (rows @ image.reshape(height, -1).astype(np.float32)).reshape(len(rows), width, 3)
    levels = window.cut((columns @ lines).round().clip(0, 255))
    return np.ascontiguousarray((levels / np.float32(127.5) - 1).transpose(2, 0, 1))


def resampling_matrix(source: int, target: int) -> Array:
    """Resampling of ``source`` pixels to ``target`` as a matrix (target, source) float32.

    Shrinking with a Lanczos window of three lobes as wide as the pixels become, enlarging with
    the cubic of Keys 1981 (a = -0.5): as Pillow does, by which the training images were resized.
    """
    step = source / target
    lobes, width = (3, step) if step > 1 else (2, 1.0)
    centre = (np.arange(target)[:, None] + 0.5) * step
    x = np.abs(np.arange(source) + 0.5 - centre) / width
    if step > 1:
        weight = np.sinc(x) * np.sinc(x / lobes)
    else:
        weight = np.where(x < 1, (1.5 * x - 2.5) * x**2 + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2)
    weight[x >= lobes] = 0
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def network_point_map(point_map: Array, window: CropWindow) -> Array:
    """Return the network's point map (h, w, 3) float32 of the point map (H, W, 3) of a prior.

    Resizing overshoots a little beyond 0 and 1, as it did in training.
    """
    size = window.resized_width, window.resized_height
    shrinks = max(point_map.shape[:2]) > max(size)
    how = cv2.INTER_LANCZOS4 if shrinks else cv2.INTER_CUBIC
    return np.ascontiguousarray(window.cut(cv2.resize(point_map, size, interpolation=how)))  # type: ignore[arg-type]


def point_map_from_depth(depth_m: Array) -> Array:
    """Return the point map (H, W, 3) float32, each axis from 0 to 1, of a depth map.

    depth_m  (H, W) float32; +inf and all beyond ``FAR_M`` is sky and lies as far as the farthest
             that is not, for else it would press all others together; NaN and 0 are unknown and
             lie as far as the nearest known pixel
    raises   InputError where it is not such an array
    """
    return _points(np.where(depth_m > FAR_M, np.inf, np.where(depth_m > 0, depth_m, np.nan)))


def point_map_from_disparity(disparity: Array) -> Array:
    """Return the point map (H, W, 3) float32 of a relative inverse depth, taken as if it were Z.

    disparity  (H, W) float32, 0 infinitely far; NaN unknown
    raises     InputError where it is not such an array

    This is what the weights for Depth Anything were trained on: turned into a depth it would be
    another input. They were given a focal length of 200 pixels, which has no effect.
    """
    return _points(disparity)


def _points(z: NDArray[np.floating]) -> Array:
    """Lift (H, W) and bring each axis to 0..1: so neither a unit nor a focal length matters."""
    if z.ndim != 2 or z.size == 0:
        raise InputError(f'a depth prior of shape {z.shape} cannot be used: it must be (H, W)')
    z = _filled(z.astype(np.float64))
    height, width = z.shape
    column, row = np.arange(width) - width / 2, np.arange(height)[:, None] - height / 2
    points = np.stack((column * z, row * z, z), axis=-1)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    extent = np.where(high > low, high - low, 1)
    return ((points - low) / extent).astype(np.float32)


def _filled(z: Array64) -> Array64:
    """Put +inf at the largest finite value, and what is unknown at the nearest known pixel's."""
    finite = np.isfinite(z)
    if finite.all():
        return z
    z = np.where(np.isposinf(z), z[finite].max(initial=-np.inf), z)
    known = np.isfinite(z)
    if not known.any():
        return np.ones_like(z)
    _, nearest = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value = np.empty(nearest.max() + 1)
    value[nearest[known]] = z[known]
    return value[nearest]
