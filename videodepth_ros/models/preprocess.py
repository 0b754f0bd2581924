# SPDX-License-Identifier: Apache-2.0
"""Network input of a camera image, and its size. Free of torch.

Robots use ``budget_size`` and ``network_input``. The official functions reproduce FlashDepth's own
path for videos, for comparison with published results.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.frames import Frame
from videodepth_ros.models.imagenet import MEAN, STD

Number = TypeVar('Number', np.uint8, np.float64)
Triple = tuple[float, float, float]

OFFICIAL_MAX_SIDE_PX = 2044
"""The official path first makes larger images this long."""


def official_size(width: int, height: int, patch: int = 14) -> tuple[int, int]:
    """Width and height that FlashDepth computes at: the camera's own, in whole patches."""
    width, height = _limited(width, height)
    return _whole_patches(width, patch), _whole_patches(height, patch)


def budget_size(width: int, height: int, max_pixels: int, patch: int) -> tuple[int, int]:
    """Return width and height of the network's input for an image of ``width`` x ``height``.

    The official size where it has at most ``max_pixels``, else of the four sizes of whole patches
    around the budget the one within it that changes the aspect least.

    raises  ConfigError where the budget is below one patch
    """
    if max_pixels < patch * patch:
        raise ConfigError(
            f'a budget of {max_pixels} pixels holds no patch of {patch}x{patch}: '
            f'allow at least {patch * patch}'
        )
    official = official_size(width, height, patch)
    if math.prod(official) <= max_pixels:
        return official
    scale = math.sqrt(max_pixels / (width * height)) / patch
    around = (
        sorted({max(1, math.floor(n * scale)), max(1, math.ceil(n * scale))})
        for n in (width, height)
    )
    fitting = [
        (w * patch, h * patch) for w, h in product(*around) if w * h * patch**2 <= max_pixels
    ]
    if not fitting:  # a strip: one patch across, as long as the budget allows
        long = max_pixels // patch**2 * patch
        return (long, patch) if width > height else (patch, long)
    return min(fitting, key=lambda size: abs(math.log(size[0] * height / (size[1] * width))))


def network_input(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """Return the normalised network input (3, height, width) float32 of a camera image.

    image   (H, W, 3) uint8, red green blue
    raises  InputError where the image is not such an array

    Resizes in uint8: the official path's float64 takes tens of times as long.
    """
    return normalised(resized_image(image, width, height), MEAN, STD)


def normalised(
    image: NDArray[np.uint8], mean: Triple, std: Triple, channels: str = 'rgb'
) -> NDArray[np.float32]:
    """Return ``(image / 255 - mean) / std`` as planes (3, H, W) float32.

    image      (H, W, 3) uint8, red green blue
    mean, std  of red, green and blue, as shares of full scale
    channels   order of the planes: ``rgb`` or ``bgr``
    """
    planes = np.empty((3, *image.shape[:2]), np.float32)
    for plane, name in zip(planes, channels, strict=True):
        channel = 'rgb'.index(name)
        np.multiply(image[..., channel], np.float32(1 / (255 * std[channel])), out=plane)
        plane -= np.float32(mean[channel] / std[channel])
    return planes


def resized_image(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return a camera image (H, W, 3) uint8 at the size (height, width, 3).

    raises  InputError where the image is not such an array
    """
    _check_image(image)
    return image if image.shape[:2] == (height, width) else _resized(image, width, height)


def resized_frame(frame: Frame, width: int, height: int) -> NDArray[np.uint8]:
    """Return the rectified image of a frame at the size (height, width, 3) uint8.

    raises  InputError where its image is not (H, W, 3) uint8
    """
    _check_image(frame.raw)
    return resized_image(frame.at_least(2 * width, 2 * height), width, height)


def _resized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Average where the image shrinks, else interpolate, in uint8.

    Large images are halved first: for a factor of two OpenCV has a kernel that is ten times
    faster, and averages of averages are the same up to rounding and the borders of the windows.
    """
    if width > image.shape[1] or height > image.shape[0]:
        return _resize(image, (width, height), cv2.INTER_CUBIC)
    while 4 * width <= image.shape[1] and 4 * height <= image.shape[0]:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = _resize(image, half, cv2.INTER_AREA)
    return _resize(image, (width, height), cv2.INTER_AREA)


def official_input(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the network input (3, h, w) float32 at ``official_size``, in FlashDepth's own way.

    image   (H, W, 3) uint8, red green blue
    raises  InputError where the image is not such an array
    """
    _check_image(image)
    height, width = image.shape[:2]
    unit: NDArray[np.float64] = image / 255.0
    for size in (_limited(width, height), official_size(width, height)):
        unit = _resize(unit, size, cv2.INTER_CUBIC).clip(0, 1)
    return ((unit - MEAN) / STD).transpose(2, 0, 1).astype(np.float32)


def _resize(image: NDArray[Number], size: tuple[int, int], how: int) -> NDArray[Number]:
    return cv2.resize(image, size, interpolation=how)  # type: ignore[return-value]


def _check_image(image: NDArray[np.uint8]) -> None:
    """Raise InputError unless the image is (H, W, 3) uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(
            f'an image of shape {image.shape} and type {image.dtype} cannot be used: '
            'it must be (H, W, 3) uint8'
        )


def _limited(width: int, height: int) -> tuple[int, int]:
    """Size with the longer side at most ``OFFICIAL_MAX_SIDE_PX``, rounded down."""
    longer = max(width, height)
    if longer <= OFFICIAL_MAX_SIDE_PX:
        return width, height
    scale = OFFICIAL_MAX_SIDE_PX / longer
    return int(width * scale), int(height * scale)


def _whole_patches(length: int, patch: int) -> int:
    return max(1, -(-length // patch)) * patch
