# SPDX-License-Identifier: Apache-2.0
"""Things that move: the image motion that depth and camera motion leave over.

Frames a moment before and after are warped into the view by its depth. What stands still then
fits, but for occlusion, which is on one side only; optical flow (DIS, Kroeger et al., ECCV 2016)
between view and warped frames is left over where something moves. There it brings alike pixels
together, which it does not where a surface is out of sight or its depth is wrong. Its blobs are
vague, and GrabCut (Rother et al., SIGGRAPH 2004) finds their outline in the full-size image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray, UInt8Array
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.views import View, is_inside, project

FLOW_PATCH_PX, FLOW_STRIDE_PX = 8, 4
ONE_SIDED = 0.4
"""What counts of the flow where only one side in time sees a pixel: it may be occlusion."""
GAIN_WINDOW_PX = 5
"""Side of the window in which pixels are compared before and after the flow."""
GRABCUT_ITERATIONS, GRABCUT_MARGIN_PX, GRABCUT_COLOUR_MODELS = 4, 8, 65
FOOT_ROWS, FOOT_SHARE, FOOT_SIDES = 2, 0.15, 1.5
"""Rows below a moving thing that are looked at, the share of its height that is its foot, and how
many widths of that are looked at on each side: a shoe that rests is not the ground."""
MOST_RELIEF = 1.15
"""Ratio of depths up to which the prior shapes a moving thing."""
DILATION = 5
"""Pixels around a blob that may belong to it, as the side of a square."""


def warp(view: View, other: View, per_m: Float32Array) -> tuple[Float32Array, MaskArray]:
    """Sample another view where the pixels of this one are in it.

    per_m    (H, W) float32, inverse depth of ``view``
    returns  grey (H, W) float32, and where it is inside the other image
    """
    u, v, _ = project(view, other, per_m)
    inside = is_inside(other, u, v)
    grey = cv2.remap(other.grey, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return grey.astype(np.float32, copy=False), inside


@dataclass(frozen=True)
class ResidualFlow:
    """Length of the optical flow that depth and camera motion do not explain, in one step of time.

    px         (H, W) float32, working pixels
    proven_px  (H, W) float32, the same where the flow brings alike pixels together, else 0
    """

    px: Float32Array
    proven_px: Float32Array


def residual_flow(
    view: View, per_m: Float32Array, moments: Sequence[tuple[int, View]], options: StereoOptions
) -> ResidualFlow:
    """Measure the optical flow that depth and camera motion do not explain.

    per_m    (H, W) float32, inverse depth; moments: (step, view), frames so many steps of time
             away, less than 0 before
    The least over the moments counts, for a pixel that stands still fits in one of them at least.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)
    flow.setPatchSize(FLOW_PATCH_PX)
    flow.setPatchStride(FLOW_STRIDE_PX)
    flow.setVariationalRefinementIterations(0)  # it smears what is small over its surroundings
    here = view.grey.astype(np.uint8)
    least = np.full((2, *per_m.shape), np.inf, np.float32)
    seen_before, seen_after = np.zeros(per_m.shape, bool), np.zeros(per_m.shape, bool)
    for step, other in moments:
        warped, inside = warp(view, other, per_m)
        there = np.clip(warped, 0, 255).astype(np.uint8)
        left_over = np.asarray(flow.calc(here, there, np.empty(0)), np.float32)
        length = np.linalg.norm(left_over, axis=2) / np.sqrt(abs(step))
        proven = np.where(_gain(here, there, left_over) > options.moving_gain, length, 0)
        np.minimum(least, np.stack([length, proven]), out=least, where=inside)
        seen = seen_before if step < 0 else seen_after
        seen |= inside
    one_sided = np.where(seen_before | seen_after, np.float32(ONE_SIDED), np.float32(0))
    share = np.where(seen_before & seen_after, np.float32(1), one_sided)
    px, proven_px = np.where(np.isfinite(least), least, 0).astype(np.float32) * share
    return ResidualFlow(px, proven_px)


def _gain(here: UInt8Array, there: UInt8Array, flow: Float32Array) -> Float32Array:
    """Return by how many grey levels a flow (H, W, 2) makes two images more alike, (H, W)."""
    height, width = here.shape
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    moved = cv2.remap(there, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    size = (GAIN_WINDOW_PX, GAIN_WINDOW_PX)
    before, after = (
        cv2.blur(cv2.absdiff(here, other).astype(np.float32), size) for other in (there, moved)
    )
    return np.asarray(before - after, np.float32)


def moving_mask(
    view: View,
    per_m: Float32Array,
    moments: Sequence[tuple[int, View]],
    image: UInt8Array,
    options: StereoOptions,
) -> MaskArray:
    """Return what moves by itself, (H, W) bool at the size of the image.

    per_m   inverse depth at the working size; moments: as for `residual_flow`, empty: none known
    image   (H, W, 3) uint8 RGB
    """
    if not moments:
        return np.zeros(image.shape[:2], bool)
    blobs = find_blobs(residual_flow(view, per_m, moments, options), ~view.sky, options)
    return _outlines(image, blobs) if blobs.any() else np.zeros(image.shape[:2], bool)


def find_blobs(flow: ResidualFlow, ground: MaskArray, options: StereoOptions) -> MaskArray:
    """Return connected pixels that move, of which enough clearly do (hysteresis)."""
    moves = (flow.px > options.moving_low * options.moving_px) & ground
    count, label = cv2.connectedComponents(moves.astype(np.uint8))
    clear = np.bincount(label[(flow.proven_px > options.moving_px) & ground], minlength=count)
    keep = clear >= np.maximum(
        options.least_moving_area_px, options.least_proven * np.bincount(label.ravel())
    )
    keep[0] = False
    return np.asarray(keep[label])


def _outlines(image: UInt8Array, blobs: MaskArray) -> MaskArray:
    """Return the blobs with the outlines that the full-size image shows."""
    rows, columns = image.shape[0] / blobs.shape[0], image.shape[1] / blobs.shape[1]
    joined = cv2.dilate(blobs.astype(np.uint8), np.ones((3, 3), np.uint8))
    count, label, boxes, _ = cv2.connectedComponentsWithStats(joined)
    found = np.zeros(image.shape[:2], bool)
    for k in range(1, count):
        x, y, w, h = (int(value) for value in boxes[k, :4])
        margin = max(GRABCUT_MARGIN_PX, max(w, h) // 2)
        top, bottom = max(y - margin, 0), min(y + h + margin, blobs.shape[0])
        left, right = max(x - margin, 0), min(x + w + margin, blobs.shape[1])
        window = (
            slice(round(top * rows), round(bottom * rows)),
            slice(round(left * columns), round(right * columns)),
        )
        blob = (label == k) & blobs
        found[window] |= _grabcut(image[window], blob[top:bottom, left:right])
    return found


def _grabcut(image: UInt8Array, blob: MaskArray) -> MaskArray:
    """Return the outline of one blob; the blob itself where it has no background around it."""
    size = (image.shape[1], image.shape[0])
    near = cv2.dilate(blob.astype(np.uint8), np.ones((DILATION, DILATION), np.uint8)) > 0
    seed = np.where(near, cv2.GC_PR_BGD, cv2.GC_BGD)
    seed = np.where(blob, cv2.GC_PR_FGD, seed).astype(np.uint8)
    seed = cv2.resize(seed, size, interpolation=cv2.INTER_NEAREST)
    if (seed != cv2.GC_PR_FGD).any():
        models = np.zeros((2, 1, GRABCUT_COLOUR_MODELS))
        cv2.setRNGSeed(0)  # its k-means draws: the same bytes in every process
        cv2.grabCut(
            np.ascontiguousarray(image),
            seed,
            (0, 0, 1, 1),
            models[0],
            models[1],
            GRABCUT_ITERATIONS,
            cv2.GC_INIT_WITH_MASK,
        )
    return (seed == cv2.GC_FGD) | (seed == cv2.GC_PR_FGD)


def stand_on_ground(
    per_m: Float32Array, prior_per_m: Float32Array, moving: MaskArray
) -> Float32Array:
    """Return inverse depth in which what moves stands on the ground below it, (H, W) float32.

    per_m        (H, W) float32, of the static scene; prior_per_m: the prior, for the shape
    moving       (H, W) bool, at that size

    A moving thing has no parallax of its own. Its foot is where the static surface around and
    just below it is. What is cut off by the lower border of the image, or stands nearer already,
    stays.
    """
    count, label, boxes, _ = cv2.connectedComponentsWithStats(moving.astype(np.uint8))
    placed = per_m.copy()
    for k in range(1, count):
        height = int(boxes[k, cv2.CC_STAT_HEIGHT])
        foot = int(boxes[k, cv2.CC_STAT_TOP]) + height
        if foot + FOOT_ROWS > len(per_m):
            continue
        inside = label == k
        columns = np.flatnonzero(inside[foot - max(1, round(FOOT_SHARE * height)) : foot].any(0))
        beside = round(FOOT_SIDES * (np.ptp(columns) + 1))
        below = (
            slice(foot, foot + FOOT_ROWS),
            slice(max(columns[0] - beside, 0), columns[-1] + beside + 1),
        )
        still = per_m[below][~moving[below]]
        if still.size and (ground := float(np.median(still))) > float(np.median(per_m[inside])):
            shape = prior_per_m[inside] / np.median(prior_per_m[inside])
            placed[inside] = ground * np.clip(shape, 1 / MOST_RELIEF, MOST_RELIEF)
    return placed
