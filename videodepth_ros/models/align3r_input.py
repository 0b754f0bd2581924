# SPDX-License-Identifier: Apache-2.0
"""Input of Align3R's network: image and point map of the depth prior. Free of torch.

As in training, both are resized to 512 px along the longer side and cropped around the centre to
whole patches.
"""

from __future__ import annotations

import math
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


@dataclass(frozen=True)
class CropWindow:
    """Crop of a resized camera image that the network reads.

    The image is resized to ``resized_width`` x ``resized_height``; the crop of ``width`` x
    ``height`` starts at column ``left`` and row ``top`` [px].
    """

    resized_width: int
    resized_height: int
    left: int
    top: int
    width: int
    height: int

    def camera(self, camera: Intrinsics) -> Intrinsics:
        """Return the intrinsics of the crop, given those of the whole image at any size."""
        whole = camera.scaled_to(self.resized_width, self.resized_height)
        return Intrinsics(
            self.width, self.height, whole.fx, whole.fy, whole.cx - self.left, whole.cy - self.top
        )

    def cut(self, resized: Array) -> Array:
        """Crop an image (resized_height, resized_width, C)."""
        return resized[self.top : self.top + self.height, self.left : self.left + self.width]


def network_window(width: int, height: int, long_side_px: int = LONG_SIDE_PX) -> CropWindow:
    """Return the crop of images of ``width`` x ``height``.

    long_side_px  of the network's input, a multiple of 16; 512 in training
    raises        InputError where the image is too narrow for one patch

    A square image loses a quarter of its height: DUSt3R was not trained on square ones.
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
    """Return the matrix (target, source) float32 that resamples ``source`` pixels to ``target``.

    As Pillow, with which the training images were resized: Lanczos with three lobes to shrink, the
    cubic of Keys 1981 (a = -0.5) to enlarge.
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
    """Resize and crop the point map (H, W, 3) of a prior to (h, w, 3) float32.

    Resizing overshoots beyond 0 and 1, as it did in training.
    """
    size = window.resized_width, window.resized_height
    shrinks = max(point_map.shape[:2]) > max(size)
    how = cv2.INTER_LANCZOS4 if shrinks else cv2.INTER_CUBIC
    return np.ascontiguousarray(window.cut(cv2.resize(point_map, size, interpolation=how)))  # type: ignore[arg-type]


def point_map_from_depth(depth_m: Array, far_m: float = math.inf) -> Array:
    """Unproject a depth map to a point map (H, W, 3) float32, each axis scaled to 0..1.

    depth_m  (H, W) float32; NaN and 0 are unknown and get the depth of the nearest known pixel;
             +inf gets the largest finite depth
    far_m    depth beyond which a pixel is treated as +inf [m]. The release has no such limit in
             inference: its minimum and maximum are over all of Depth Pro's depth, the sky at 10 km
             included. A limit keeps the foreground's share of the range where sky is visible.
    raises   InputError where it is not such an array
    """
    return _points(np.where(depth_m > far_m, np.inf, np.where(depth_m > 0, depth_m, np.nan)))


def point_map_from_disparity(disparity: Array) -> Array:
    """Unproject a relative inverse depth, taken as Z, to a point map (H, W, 3) float32.

    disparity  (H, W) float32, 0 infinitely far; NaN unknown
    raises     InputError where it is not such an array

    The weights for Depth Anything were trained on this input. Their focal length of 200 px
    cancels.
    """
    return _points(disparity)


def _points(z: NDArray[np.floating]) -> Array:
    """Unproject (H, W) and scale each axis to 0..1: unit and focal length cancel."""
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
    """Replace +inf by the largest finite value, and NaN by the nearest known pixel's."""
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
