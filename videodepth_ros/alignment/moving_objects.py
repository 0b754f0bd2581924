# SPDX-License-Identifier: Apache-2.0
"""Moving objects in aligned frames: pixels whose flow no static point explains.

The camera's motion maps a static point of unknown depth onto its epipolar line, at a place that
depends on its depth, which may be wrong. The criterion is the distance of the measured flow from
the segment of that line that depths near the aligned one reach.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from videodepth_ros.alignment.options import MOVING_OBJECT_DEFAULTS, MovingObjectOptions
from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray, UInt8Array
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.motion_mask import ego_flow


def segment_moving_objects(
    images: Sequence[UInt8Array] | UInt8Array,
    depth: Float32Array,
    T_world_cam: Float64Array,
    cameras: Sequence[Intrinsics],
    options: MovingObjectOptions = MOVING_OBJECT_DEFAULTS,
) -> MaskArray:
    """Segment moving objects, (N, h, w) bool.

    images   of the frames, (H, W, 3) uint8 RGB, of any size
    depth    (N, h, w) float32, in the unit of the poses (N, 4, 4); cameras at that size
    """
    count, height, width = depth.shape
    greys = [_grey(image, width, height) for image in images]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    masks = np.zeros(depth.shape, np.bool_)
    for frame in range(count):
        votes, compared = np.zeros((2, height, width), np.uint8)
        for other in (frame - options.frame_distance, frame + options.frame_distance):
            if 0 <= other < count:
                T_other_cam = np.linalg.inv(T_world_cam[other]) @ T_world_cam[frame]
                flow = _checked_flow(
                    dis, greys[frame], greys[other], options.max_flow_inconsistency_px
                )
                static = _nearest_static_flow(
                    flow, depth[frame], cameras[frame], T_other_cam, cameras[other], options
                )
                distance_px = np.linalg.norm(flow - static, axis=-1)
                size = options.kernel_px
                gain = _photometric_error(
                    greys[frame], greys[other], static, size
                ) - _photometric_error(greys[frame], greys[other], flow, size)
                votes += (distance_px > options.min_motion_px) & (
                    gain > options.min_photometric_gain
                )
                compared += np.isfinite(distance_px)
        masks[frame] = _without_specks((votes > 0) & (votes == compared), options.kernel_px)
    return masks


def _grey(image: UInt8Array, width: int, height: int) -> UInt8Array:
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def _checked_flow(
    dis: cv2.DISOpticalFlow, here: UInt8Array, there: UInt8Array, max_inconsistency_px: float
) -> Float32Array:
    """Return the flow (h, w, 2) float32 [px], NaN where the backward flow differs."""
    height, width = here.shape
    forward, backward = (
        np.asarray(dis.calc(one, other, np.zeros((height, width, 2), np.float32)))
        for one, other in ((here, there), (there, here))
    )
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = columns + forward[..., 0], rows + forward[..., 1]
    returned = cv2.remap(backward, x, y, cv2.INTER_LINEAR)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    consistent = np.linalg.norm(forward + returned, axis=-1) <= max_inconsistency_px
    return np.where((inside & consistent)[..., None], forward, np.float32(np.nan))


def _nearest_static_flow(
    flow: Float32Array,
    depth: Float32Array,
    camera: Intrinsics,
    T_other_cam: Float64Array,
    other: Intrinsics,
    options: MovingObjectOptions,
) -> Float32Array:
    """Return the flow of a static point that is nearest to ``flow``, (h, w, 2) [px]; NaN unknown.

    At infinite depth it is that of the rotation.
    """
    finite = np.where(np.isinf(depth), np.float32(options.infinite_depth), depth)
    near, far = (
        ego_flow(finite * np.float32(factor), camera, T_other_cam, other)
        for factor in (1 / options.depth_range, options.depth_range)
    )
    segment, offset = far - near, flow - near
    length = np.maximum(np.square(segment).sum(axis=-1), np.float32(1e-6))
    share = np.clip((segment * offset).sum(axis=-1) / length, 0, 1)
    return np.asarray(near + share[..., None] * segment, np.float32)


def _photometric_error(
    here: UInt8Array, there: UInt8Array, flow: Float32Array, size: int
) -> Float32Array:
    """Return the difference of pixels joined by a flow (h, w, 2), box-filtered [grey levels]."""
    height, width = here.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    warped = cv2.remap(
        there,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    difference = cv2.absdiff(here, np.asarray(warped, np.uint8)).astype(np.float32)
    return np.asarray(cv2.blur(difference, (size, size)), np.float32)


def _without_specks(mask: MaskArray, size: int) -> MaskArray:
    """Open the mask, then dilate it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    return np.asarray(cv2.dilate(opened, kernel) > 0)
