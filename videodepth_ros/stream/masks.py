# SPDX-License-Identifier: Apache-2.0
"""Depth without the pixels that a consumer does not accept: uncertain ones, the robot's body."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from videodepth_ros.core.arrays import MaskArray, UInt8Array
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.stream.session import StepResult

ASPECT_TOLERANCE = 0.02
"""Relative difference of the aspect ratios of a mask and its image, which rounding makes."""


def without_uncertain(result: StepResult, min_confidence: float) -> StepResult:
    """Return a result in which depth below a confidence is unknown, in the cloud too.

    Depth and confidence are changed in place. Nothing hit (+inf) stays, as its confidence is not
    that of a distance.
    """
    depth = result.depth
    if min_confidence <= 0 or depth.confidence is None:
        return result
    return _without(result, (depth.confidence < min_confidence) & (depth.depth_m < np.inf))


def without_robot(result: StepResult, path: str, image_size: tuple[int, int]) -> StepResult:
    """Return a result in which depth is unknown where a mask image is white: the robot's body.

    Depth and confidence are changed in place.
    path        of a mask of the rectified image, at any size; empty: no mask
    image_size  width and height of that image
    raises      ConfigError if it cannot be read or has another aspect ratio
    """
    if not path:
        return result
    height, width = result.depth.depth_m.shape
    return _without(result, _robot_mask(path, image_size, (width, height)))


@lru_cache(maxsize=4)
def _robot_mask(path: str, image_size: tuple[int, int], size: tuple[int, int]) -> MaskArray:
    """Return the robot's pixels, a mask (h, w) bool of a size; raise ConfigError as above."""
    mask = _read_mask(path)
    aspect = mask.shape[1] / mask.shape[0] * image_size[1] / image_size[0]
    if abs(aspect - 1) > ASPECT_TOLERANCE:
        raise ConfigError(
            f'mask.file {path} is {mask.shape[1]}x{mask.shape[0]} but the image is '
            f'{image_size[0]}x{image_size[1]}: draw it on an image of rgb/image'
        )
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)) > 127


def _read_mask(path: str) -> UInt8Array:
    """Return a mask (H, W) uint8; raise ConfigError if it is no image."""
    mask = cv2.imread(path, cv2.IMREAD_GRAYSCALE) if Path(path).is_file() else None
    if mask is None:
        raise ConfigError(f'mask.file {path} cannot be read as an image; give a PNG file')
    return np.asarray(mask, np.uint8)


def _without(result: StepResult, dropped: MaskArray) -> StepResult:
    """Return a result in which the pixels ``dropped`` (h, w) are unknown."""
    depth, cloud = result.depth, result.cloud
    np.copyto(depth.depth_m, np.float32(np.nan), where=dropped)
    if depth.confidence is not None:
        np.copyto(depth.confidence, np.float32(0), where=dropped)
    if cloud is None:
        return result
    cloud = cloud.copy()  # its memory is the engine's
    cloud[dropped, :3] = np.nan
    return replace(result, cloud=cloud)
