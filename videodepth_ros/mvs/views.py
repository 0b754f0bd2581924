# SPDX-License-Identifier: Apache-2.0
"""Views at the working size, and which of them to match: by parallax, not by index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.core.arrays import (
    Float32Array,
    Float64Array,
    MaskArray,
    StampArray,
    UInt8Array,
)
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.pose import invert_poses
from videodepth_ros.mvs.options import StereoOptions

GRID_STEP = 16
"""Pixels of the working size from one sample of the prior to the next, for parallax."""
FAR_RATIO = 1.5
"""Where a prior sees nothing (+inf), its depth is this times its 99.5th percentile."""
CANDIDATES = 48
"""Views whose parallax is computed; among more, they are thinned out by distance."""
LEAST_Z = np.float32(1e-6)
"""Divisor of a projection at least."""
FARTHEST_BASELINE = 0.7
"""Distance of a neighbour, as a share of the median depth, beyond which it is no candidate."""


@dataclass(frozen=True)
class View:
    """One frame at the working size.

    rgb        (H, W, 3) uint8; grey (H, W) float32
    prior_per_m  (H, W) float32, inverse depth of the prior in 1/m, > 0, without holes
    known      (H, W) bool, where the prior had a value; sky (H, W) bool, where that was +inf
    camera     intrinsics at this size
    T_map_cam  (4, 4) float64, metres
    fallback_per_m  (H, W) float32, as the prior, for a view on which the others do not agree;
               None: the prior
    prior_error  (H, W) float32, expected relative error of the prior; None: not known
    """

    rgb: UInt8Array
    grey: Float32Array
    prior_per_m: Float32Array
    known: MaskArray
    sky: MaskArray
    camera: Intrinsics
    T_map_cam: Float64Array
    fallback_per_m: Float32Array | None = None
    prior_error: Float32Array | None = None


@dataclass(frozen=True)
class Outline:
    """What the choice of neighbours needs of a view: points (P, 3) in its frame, camera, pose."""

    points_m: Float64Array
    camera: Intrinsics
    T_map_cam: Float64Array


def make_view(
    image: UInt8Array,
    camera: Intrinsics,
    T_map_cam: Float64Array,
    prior_m: Float32Array,
    options: StereoOptions,
) -> View:
    """Shrink a frame to the working size.

    image    (H, W, 3) uint8 RGB, rectified; camera: its intrinsics
    prior_m  (h, w) float32, Z in metres; NaN unknown, +inf nothing hit; any size of that aspect
    raises   InputError if image and camera differ in size, or the prior has no value at all
    """
    if image.shape[:2] != (camera.height, camera.width):
        raise InputError(
            f'the image is {image.shape[1]}x{image.shape[0]} but its camera is '
            f'{camera.width}x{camera.height}; scale the intrinsics first'
        )
    width, height = working_size(camera, options)
    rgb = image
    if (camera.width, camera.height) != (width, height):
        smaller = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        rgb = smaller.astype(np.uint8, copy=False)
    prior_per_m, known = _inverse_depth(prior_m, width, height)
    nothing_hit = np.isposinf(prior_m).astype(np.uint8)
    sky = cv2.resize(nothing_hit, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return View(rgb, grey, prior_per_m, known, sky, camera.scaled_to(width, height), T_map_cam)


def working_size(camera: Intrinsics, options: StereoOptions) -> tuple[int, int]:
    """Return width and height for matching: even, and never more than the image has."""
    scale = min(1.0, (options.working_pixels / (camera.width * camera.height)) ** 0.5)
    return 2 * max(round(camera.width * scale / 2), 8), 2 * max(
        round(camera.height * scale / 2), 8
    )


def _inverse_depth(
    prior_m: Float32Array, width: int, height: int
) -> tuple[Float32Array, MaskArray]:
    """Return the prior's inverse depth, holes filled from around them, and where it had none."""
    finite = prior_m[np.isfinite(prior_m) & (prior_m > 0)]
    if not finite.size:
        raise InputError('the prior has no depth in this frame; leave the frame out')
    farthest_m = FAR_RATIO * float(np.percentile(finite, 99.5))
    with np.errstate(divide='ignore', invalid='ignore'):
        per_m = np.where(prior_m > 0, np.maximum(1 / prior_m, 1 / farthest_m), np.nan)
    small = cv2.resize(per_m, (width, height), interpolation=cv2.INTER_NEAREST)
    known = np.isfinite(small)
    return fill_holes(small.astype(np.float32), known), known


def fill_holes(values: Float32Array, known: MaskArray) -> Float32Array:
    """Return ``values`` with unknown pixels as means of known ones around them, (H, W)."""
    filled = np.where(known, values, np.float32(0))
    missing, size = ~known, 5
    weight = known.astype(np.float32)
    while missing.any():
        total, count = cv2.blur(filled, (size, size)), cv2.blur(weight, (size, size))
        ready = missing & (count > 1e-6)
        filled = np.where(ready, total / np.maximum(count, 1e-6), filled).astype(np.float32)
        missing &= ~ready
        weight = (~missing).astype(np.float32)
        size = 2 * size + 1
    return filled


def outline(view: View) -> Outline:
    """Sample a view's prior on a grid."""
    half = GRID_STEP // 2
    height, width = view.grey.shape
    rows, columns = np.mgrid[half:height:GRID_STEP, half:width:GRID_STEP]
    z = 1.0 / view.prior_per_m[rows, columns].astype(np.float64).ravel()
    x = (columns.ravel() - view.camera.cx) / view.camera.fx * z
    y = (rows.ravel() - view.camera.cy) / view.camera.fy * z
    return Outline(np.stack([x, y, z], axis=1), view.camera, view.T_map_cam)


def parallax_px(reference: Outline, other: Outline) -> tuple[float, float]:
    """Return the median parallax of the reference's points in another view, and the share seen.

    Parallax is how far a point is from where one at infinity would be: the camera's turning
    cancels, and motion along the optical axis counts by what it shows.
    """
    T = invert_poses(other.T_map_cam) @ reference.T_map_cam
    turned = reference.points_m @ T[:3, :3].T
    at, at_infinity = turned + T[:3, 3], turned
    front = (at[:, 2] > 1e-6) & (at_infinity[:, 2] > 1e-6)
    focal = np.array([other.camera.fx, other.camera.fy])
    centre = np.array([other.camera.cx, other.camera.cy])
    place = at[front, :2] / at[front, 2:] * focal
    shift = place - at_infinity[front, :2] / at_infinity[front, 2:] * focal
    pixel = place + centre
    last = np.array([other.camera.width - 1, other.camera.height - 1])
    inside = ((pixel >= 0) & (pixel <= last)).all(axis=1)
    if not inside.any():
        return 0.0, 0.0
    return float(np.median(np.linalg.norm(shift[inside], axis=1))), float(
        np.count_nonzero(inside) / len(front)
    )


def choose_neighbours(
    outlines: Sequence[Outline], reference: int, options: StereoOptions
) -> list[int]:
    """Return the views to match with one view, best first; empty where none has enough parallax.

    A view scores by how near its parallax is to `parallax_px`, by overlap and by angle; views
    whose centres are near to those of views already chosen add little and score less.
    """
    centres = np.stack([each.T_map_cam[:3, 3] for each in outlines])
    scores = {}
    for other in _candidates(outlines, reference, centres, options):
        parallax, overlap = parallax_px(outlines[reference], outlines[other])
        if parallax < options.least_parallax_px or overlap < options.least_overlap:
            continue
        turn_deg = _turn_deg(outlines[reference], outlines[other])
        scores[other] = (
            -abs(np.log(parallax / options.parallax_px)) + np.log(overlap) - turn_deg / 40
        )
    chosen: list[int] = []
    distance_m = np.linalg.norm(centres - centres[reference], axis=1)
    while scores and len(chosen) < options.neighbours:
        best = max(scores, key=lambda j: (scores[j], -j))
        del scores[best]
        chosen.append(best)
        for j in scores:
            apart_m = np.linalg.norm(centres[j] - centres[best])
            scores[j] -= 0.6 * np.exp(-apart_m / (0.5 * distance_m[j] + 1e-9))
    return chosen


def choose_matched(outlines: Sequence[Outline], options: StereoOptions) -> list[int]:
    """Return the views to match: of views that see almost the same, every `most_skipped`-th or so.

    The others have their depth from the matched views around them.
    """
    matched = [0]
    for k in range(1, len(outlines)):
        parallax, overlap = parallax_px(outlines[matched[-1]], outlines[k])
        same = parallax < options.same_view_px and overlap > options.same_view_overlap
        if not same or k - matched[-1] > options.most_skipped:
            matched.append(k)
    return matched


def choose_fused(
    outlines: Sequence[Outline], reference: int, matched: Sequence[int], options: StereoOptions
) -> list[int]:
    """Return the matched views whose depth maps are compared with one view's.

    They are spread over those that overlap best with about half of `parallax_px`: views that are
    almost the same are wrong in the same way.
    """
    centres = np.stack([each.T_map_cam[:3, 3] for each in outlines])
    allowed = set(matched)
    found = []
    for other in _candidates(outlines, reference, centres, options):
        if other in allowed:
            parallax, overlap = parallax_px(outlines[reference], outlines[other])
            if overlap >= 0.8 * options.least_overlap:
                distance = abs(np.log(max(parallax, 0.5) / (options.parallax_px / 2)))
                found.append((distance - 2 * np.log(overlap), other))
    best = [other for _, other in sorted(found)[: 3 * options.fused_views]]
    step = max(1, len(best) // options.fused_views)
    return best[::step][: options.fused_views]


def choose_moments(
    stamp_ns: StampArray, reference: int, options: StereoOptions
) -> list[tuple[int, int]]:
    """Return (step, view) of frames about one and two steps of `moment_s` before and after.

    Frames that are more than half a step away from where they should be are left out.
    """
    step_ns = options.moment_s * 1e9
    moments = []
    for step in (-2, -1, 1, 2):
        offset = np.abs(stamp_ns - stamp_ns[reference] - step * step_ns)
        nearest = int(np.argmin(offset))
        if offset[nearest] <= step_ns / 2 and nearest != reference:
            moments.append((step, nearest))
    return moments


def _candidates(
    outlines: Sequence[Outline], reference: int, centres: Float64Array, options: StereoOptions
) -> list[int]:
    """Return views that are near enough and look the same way, thinned out by distance."""
    distance_m = np.linalg.norm(centres - centres[reference], axis=1)
    median_m = float(np.median(outlines[reference].points_m[:, 2]))
    axes = np.stack([each.T_map_cam[:3, 2] for each in outlines])
    turned = axes @ axes[reference] < np.cos(np.radians(options.most_turn_deg))
    near = np.flatnonzero((distance_m < FARTHEST_BASELINE * median_m) & ~turned)
    near = near[near != reference]
    order = near[np.argsort(distance_m[near], kind='stable')]
    keep = np.unique(np.linspace(0, len(order) - 1, min(CANDIDATES, len(order))).astype(int))
    return [int(j) for j in order[keep]]


def _turn_deg(reference: Outline, other: Outline) -> float:
    R = other.T_map_cam[:3, :3].T @ reference.T_map_cam[:3, :3]
    return float(np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))


def transfer(source: View, target: View, scale: float = 1.0) -> tuple[Float32Array, Float32Array]:
    """Return A (3, 3) and b (3,): pixel x of inverse depth q in ``source`` falls on A x + b q.

    The third component is the depth in ``target`` times q. With a scale, both images are resized
    by it.
    """
    size = (round(source.camera.width * scale), round(source.camera.height * scale))
    size_to = (round(target.camera.width * scale), round(target.camera.height * scale))
    K, K_to = source.camera.scaled_to(*size).matrix, target.camera.scaled_to(*size_to).matrix
    T = invert_poses(target.T_map_cam) @ source.T_map_cam
    A, b = K_to @ T[:3, :3] @ np.linalg.inv(K), K_to @ T[:3, 3]
    return A.astype(np.float32), b.astype(np.float32)


def project(
    source: View, target: View, per_m: Float32Array
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return where the pixels of ``source`` fall in ``target``: u, v and z, (H, W) float32 each.

    per_m  (H, W) float32, inverse depth of ``source``; z is the depth in ``target`` times it, and
           u and v are meaningless where it is not positive
    """
    A, b = transfer(source, target)
    height, width = per_m.shape
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    right, down, z = (A[i, 0] * x + A[i, 1] * y + A[i, 2] + b[i] * per_m for i in range(3))
    safe = np.maximum(z, LEAST_Z)
    return right / safe, down / safe, z


def is_inside(view: View, u: Float32Array, v: Float32Array) -> MaskArray:
    """Return which of the positions (H, W) are inside the image of a view."""
    width, height = view.camera.width, view.camera.height
    return np.asarray((u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1))
