# SPDX-License-Identifier: Apache-2.0
"""From aligned clips and the camera's images to refined frames, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.parallel import load_clip
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.pictures import Image, colour_range, colourise, resized
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.upsampling import upsample_maps

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

GLIMPSE_HEIGHT_PX = 160


@dataclass(frozen=True)
class AlignedFrame:
    """What is known of a frame at the size that the job works at, in metres.

    depth_m      (h, w) float32; NaN unknown, +inf nothing hit; confidence likewise, in [0, 1]
    moving       (h, w) bool; None where nobody looked
    camera       intrinsics at that size
    T_world_cam  (4, 4) float64
    """

    depth_m: Array
    confidence: Array
    moving: NDArray[np.bool_] | None
    camera: Intrinsics
    T_world_cam: Array64


def aligned_frames(
    clips: Iterable[Path], prior_depth: Array, metres: float
) -> Iterator[AlignedFrame]:
    """Yield every frame as it was aligned.

    clips        files of the aligned clips, in the order of time; one is held at a time
    prior_depth  (N, h, w) float32: says where nothing was hit, and what no pair knows
    metres       to a unit of the clips
    """
    for clip in map(load_clip, clips):
        for k, number in enumerate(clip.frames):
            depth_m = fill_with_prior(clip.depth[k], prior_depth[number]) * np.float32(metres)
            T_world_cam = clip.T_world_cam[k].copy()
            T_world_cam[:3, 3] *= metres
            yield AlignedFrame(
                depth_m,
                clip.confidence[k],
                None if clip.moving is None else clip.moving[k],
                clip.cameras[k],
                T_world_cam,
            )


def unposed_frames(depth_m: Array, camera: Intrinsics) -> Iterator[AlignedFrame]:
    """Yield every frame of depths (N, h, w) as it is; it is trusted wherever it is known."""
    for one in depth_m:
        known = (~np.isnan(one)).astype(np.float32)
        yield AlignedFrame(np.asarray(one), known, None, camera, np.eye(4))


def upsample_frames(
    frames: Iterable[Frame],
    working: Iterable[AlignedFrame],
    max_range_m: float,
    tick: Callable[[Image], None],
) -> Iterator[RefinedFrame]:
    """Yield every frame at the camera's size.

    frames       in full size, as many as ``working``
    max_range_m  nothing was hit beyond; 0: no limit
    tick         called after each frame with a small picture of it
    """
    for frame, one in zip(frames, working, strict=True):
        depth_m = one.depth_m
        if max_range_m:
            depth_m = np.where(depth_m > max_range_m, np.float32(np.inf), depth_m)
        maps = upsample_maps(depth_m, one.confidence, one.moving, frame.image)
        camera = frame.camera or one.camera.scaled_to(*frame.size)
        yield RefinedFrame(
            frame.stamp_ns,
            frame.frame_id,
            maps.depth_m,
            maps.confidence,
            maps.moving,
            camera,
            one.T_world_cam,
            frame.image,
        )
        tick(preview_image(frame.image, maps.depth_m))


def preview_image(image: Image, depth_m: Array) -> Image:
    """Return an image (H, W, 3) and its depth (H, W) beside each other, small, for who waits."""
    height, width = depth_m.shape
    size = max(1, round(GLIMPSE_HEIGHT_PX * width / height)), GLIMPSE_HEIGHT_PX
    depth_m = np.asarray(cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST), np.float32)
    return np.hstack([resized(image, *size), colourise(depth_m, colour_range([depth_m]))])


def fill_with_prior(aligned: Array, prior: Array) -> Array:
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
