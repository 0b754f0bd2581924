# SPDX-License-Identifier: Apache-2.0
"""What moves by itself in aligned frames: pixels whose flow no still point can explain.

The camera's motion takes a still point of unknown depth along a line (its epipolar line); how far,
its depth says, and that may be wrong. So what counts is the distance of the measured flow from the
stretch of that line that depths near the aligned one can reach.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.motion_mask import ego_flow

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Images = Sequence[Image] | Image

APART = 2
"""Frames between the two that are compared: enough for a walker to show."""
DEPTH_RANGE = 1.6
"""Factor by which an aligned depth may be off, up and down."""
MOVED_PX = 1.5
AGREE_PX = 1.0
"""Flow there and back that differs by more is not known."""
GREYS = 10.0
"""By which the measured flow must join pixels that are more alike: on plain surfaces and along
edges flow is a guess, and a still scene explains the pictures as well."""

GRAIN = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


def segment_moving_objects(
    images: Images, depth: Array, T_world_cam: Array64, cameras: Sequence[Intrinsics]
) -> Mask:
    """Return what moves by itself, (N, h, w) bool.

    images   of the frames, (H, W, 3) uint8 RGB, of any size
    depth    (N, h, w) float32, in the unit of the poses (N, 4, 4); cameras at that size
    """
    count, height, width = depth.shape
    greys = [_grey(image, width, height) for image in images]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    masks = np.zeros(depth.shape, np.bool_)
    for frame in range(count):
        votes, seen = np.zeros((2, height, width), np.uint8)
        for other in (frame - APART, frame + APART):
            if 0 <= other < count:
                T_other_cam = np.linalg.inv(T_world_cam[other]) @ T_world_cam[frame]
                flow = _flow(dis, greys[frame], greys[other])
                still = _nearest_still(
                    flow, depth[frame], cameras[frame], T_other_cam, cameras[other]
                )
                away = np.linalg.norm(flow - still, axis=-1)
                gain = _difference(greys[frame], greys[other], still) - _difference(
                    greys[frame], greys[other], flow
                )
                votes += (away > MOVED_PX) & (gain > GREYS)
                seen += np.isfinite(away)
        masks[frame] = _without_specks((votes > 0) & (votes == seen))
    return masks


def _grey(image: Image, width: int, height: int) -> Image:
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def _flow(dis: cv2.DISOpticalFlow, here: Image, there: Image) -> Array:
    """Return the flow (h, w, 2) float32 in pixels, NaN where the way back says otherwise."""
    height, width = here.shape
    out, back = (
        np.asarray(dis.calc(one, other, np.zeros((height, width, 2), np.float32)))
        for one, other in ((here, there), (there, here))
    )
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = columns + out[..., 0], rows + out[..., 1]
    returned = cv2.remap(back, x, y, cv2.INTER_LINEAR)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    agree = inside & (np.linalg.norm(out + returned, axis=-1) <= AGREE_PX)
    return np.where(agree[..., None], out, np.float32(np.nan))


def _nearest_still(
    flow: Array, depth: Array, camera: Intrinsics, T_other_cam: Array64, other: Intrinsics
) -> Array:
    """Return what a still point could do that is nearest to flow, (h, w, 2) pixels; NaN unknown.

    Where nothing was hit the flow is that of the rotation.
    """
    deep = np.where(np.isinf(depth), np.float32(1e6), depth)
    near, far = (
        ego_flow(deep * np.float32(factor), camera, T_other_cam, other)
        for factor in (1 / DEPTH_RANGE, DEPTH_RANGE)
    )
    along, behind = far - near, flow - near
    length = np.maximum(np.square(along).sum(axis=-1), np.float32(1e-6))
    share = np.clip((along * behind).sum(axis=-1) / length, 0, 1)
    return np.asarray(near + share[..., None] * along, np.float32)


def _difference(here: Image, there: Image, flow: Array) -> Array:
    """Return how unlike the pixels are that a flow (h, w, 2) joins, (h, w) grey levels."""
    height, width = here.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    met = cv2.remap(
        there,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    unlike = cv2.absdiff(here, np.asarray(met, np.uint8)).astype(np.float32)
    return np.asarray(cv2.blur(unlike, (5, 5)), np.float32)


def _without_specks(mask: Mask) -> Mask:
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, GRAIN)
    return np.asarray(cv2.dilate(opened, GRAIN) > 0)
