# SPDX-License-Identifier: Apache-2.0
"""From aligned clips and the camera's images to refined frames, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.frames import Frame
from videodepth_ros.offline.clips import load_clip
from videodepth_ros.offline.results.frame import RefinedFrame
from videodepth_ros.offline.results.fullsize import full_size_maps
from videodepth_ros.pictures import Image, colour_range, colourise, resized

Array = NDArray[np.float32]

GLIMPSE_HEIGHT_PX = 160


def refined_frames(frames: Iterable[Frame], clips: Sequence[Path], prior_depth: Array,
                   metres: float, max_range_m: float, tick: Callable[[Image], None]
                   ) -> Iterator[RefinedFrame]:
    """Yield every frame with its depth and pose at the camera's size.

    frames       in full size, as many as the clips hold
    clips        files of the aligned clips, in the order of time; one is held at a time
    prior_depth  (N, h, w) float32: says where nothing was hit, and what no pair knows
    metres       to a unit of the clips
    max_range_m  nothing was hit beyond; 0: no limit
    tick         called after each frame with a small picture of it
    """
    source = iter(frames)
    for path in clips:
        clip = load_clip(path)
        for k, number in enumerate(clip.frames):
            frame = next(source)
            depth_m = whole_depth(clip.depth[k], prior_depth[number]) * np.float32(metres)
            if max_range_m:
                depth_m = np.where(depth_m > max_range_m, np.float32(np.inf), depth_m)
            moving = None if clip.moving is None else clip.moving[k]
            maps = full_size_maps(depth_m, clip.confidence[k], moving, frame.image)
            T_world_cam = clip.T_world_cam[k].copy()
            T_world_cam[:3, 3] *= metres
            camera = frame.camera or clip.cameras[k].scaled_to(*frame.size)
            yield RefinedFrame(frame.stamp_ns, frame.frame_id, maps.depth_m, maps.confidence,
                               maps.moving, camera, T_world_cam, frame.image)
            tick(glimpse(frame.image, maps.depth_m))


def glimpse(image: Image, depth_m: Array) -> Image:
    """Return an image (H, W, 3) and its depth (H, W) beside each other, small, for who waits."""
    height, width = depth_m.shape
    size = max(1, round(GLIMPSE_HEIGHT_PX * width / height)), GLIMPSE_HEIGHT_PX
    depth_m = np.asarray(cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST), np.float32)
    return np.hstack([resized(image, *size), colourise(depth_m, colour_range([depth_m]))])


def whole_depth(aligned: Array, prior: Array) -> Array:
    """Return the aligned depth (h, w) float32, completed by the prior's in the aligned unit.

    What no pair knows keeps the prior's depth, at confidence 0; where the prior has hit nothing
    it is +inf; what neither knows is NaN.
    """
    with np.errstate(invalid='ignore'):
        ratio = aligned / prior
    known = np.isfinite(ratio)
    if not known.any():
        return aligned
    filled: Array = prior * np.float32(np.median(ratio[known]))
    return np.where(np.isfinite(aligned) & ~np.isinf(prior), aligned, filled)
