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

    Nothing hit (+inf) stays, as its confidence is not that of a distance.
    """
    depth = result.depth
    if min_confidence <= 0 or depth.confidence is None:
        return result
    return _without(result, (depth.confidence < min_confidence) & ~np.isinf(depth.depth_m))


def without_robot(result: StepResult, path: str, image_size: tuple[int, int]) -> StepResult:
    """Return a result in which depth is unknown where a mask image is white: the robot's body.

    path        of a mask of the rectified image, at any size; empty: no mask
    image_size  width and height of that image
    raises      ConfigError if it cannot be read or has another aspect ratio
    """
    if not path:
        return result
    mask = _read_mask(path)
    height, width = result.depth.depth_m.shape
    aspect = mask.shape[1] / mask.shape[0] * image_size[1] / image_size[0]
    if abs(aspect - 1) > ASPECT_TOLERANCE:
        raise ConfigError(
            f'mask.file {path} is {mask.shape[1]}x{mask.shape[0]} but the image is '
            f'{image_size[0]}x{image_size[1]}: draw it on an image of rgb/image'
        )
    resized = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    return _without(result, np.asarray(resized) > 127)


@lru_cache(maxsize=4)
def _read_mask(path: str) -> UInt8Array:
    """Return a mask (H, W) uint8; raise ConfigError if it is no image."""
    mask = cv2.imread(path, cv2.IMREAD_GRAYSCALE) if Path(path).is_file() else None
    if mask is None:
        raise ConfigError(f'mask.file {path} cannot be read as an image; give a PNG file')
    return np.asarray(mask, np.uint8)


def _without(result: StepResult, dropped: MaskArray) -> StepResult:
    """Return a result in which the pixels ``dropped`` (h, w) are unknown."""
    depth, cloud = result.depth, result.cloud
    confidence = depth.confidence
    if confidence is not None:
        confidence = np.where(dropped, np.float32(0), confidence)
    if cloud is not None:
        cloud = cloud.copy()  # its memory is the engine's
        cloud[dropped, :3] = np.nan
    depth_m = np.where(dropped, np.float32(np.nan), depth.depth_m)
    depth = replace(depth, depth_m=depth_m, confidence=confidence)
    return replace(result, depth=depth, cloud=cloud)
