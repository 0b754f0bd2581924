# SPDX-License-Identifier: Apache-2.0
"""Refine the depth of a stream by stereo between its images (motion stereo).

Poses are those of the tracked corners (stabilization.py), so depth keeps its scale. A few times a
second the image is matched with keyframes of little, of more and of much parallax, for what is
near and what is far (mvs/matching.py). The log ratio of stereo depth and given depth is averaged
along the camera's motion and spread over the image up to its edges (mvs/bending.py). A camera
that stands or only turns has no parallax: its depth is not matched. At last depth is averaged with
that of the frame before, against flicker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.mvs.bending import bend_prior
from videodepth_ros.mvs.fusion import Fused
from videodepth_ros.mvs.matching import match_view
from videodepth_ros.mvs.motion import residual_flow, warp
from videodepth_ros.mvs.trust import Trust
from videodepth_ros.mvs.views import (
    Outline,
    View,
    is_inside,
    make_view,
    outline,
    parallax_px,
    project,
    transfer,
    working_size,
)
from videodepth_ros.stream.options import MotionStereoOptions
from videodepth_ros.stream.stabilization import TrackedFrame

DEFAULTS = MotionStereoOptions()
TINY = np.float32(1e-6)
SOBEL_SCALE = 1 / 8
"""Makes the Sobel operator the derivative of grey by pixel."""


class Correction(NamedTuple):
    """What earlier frames make of the depth of one.

    factor   (h, w) float32, by which depth is multiplied
    matched  (H, W) float32 in [0, 1], weight of stereo; None without
    """

    factor: Float32Array
    matched: Float32Array | None = None


class _Keyframe(NamedTuple):
    """A view that others are matched with, and its outline."""

    view: View
    outline: Outline


@dataclass(frozen=True)
class _LogRatio:
    """Log of stereo depth over given depth: mean and weight in [0, 1], (H, W) float32 each."""

    mean: Float32Array
    weight: Float32Array


class _Refined(NamedTuple):
    """A view, what stereo found in it, and its refined inverse depth (H, W) float32."""

    view: View
    ratio: _LogRatio
    per_m: Float32Array


class MotionStereo:
    """Stereo of one stream with its own past; not thread-safe."""

    def __init__(self, options: MotionStereoOptions = DEFAULTS) -> None:
        self._options = options
        self._keyframes: deque[_Keyframe] = deque(maxlen=options.keyframes)
        self._last: _Refined | None = None
        self._matched_ns: int | None = None

    def restart(self) -> None:
        """Drop all state: the next frame starts another world."""
        self._keyframes.clear()
        self._last = self._matched_ns = None

    def refine(self, frame: Frame, depth_m: Float32Array, tracked: TrackedFrame) -> Correction:
        """Return what is to be done with the depth of the next frame.

        depth_m  (h, w) float32, with the factor of ``tracked``; NaN or +inf where unknown
        """
        options = self._options
        if tracked.is_first:
            self.restart()
        if not (np.isfinite(depth_m) & (depth_m > 0)).any():
            return Correction(np.ones(depth_m.shape, np.float32))
        view = _view_of(frame, depth_m, tracked, options)
        last, ratio = self._last, _carried(self._last, view, options)
        if tracked.inlier_share >= options.inlier_share:
            ratio = self._matched(frame.stamp_ns, view, ratio)
        per_m = view.prior_per_m / _factor(view, ratio, options)
        if last is not None:
            per_m = average_over_time(view, per_m, last.view, last.per_m, options)
        self._last = _Refined(view, ratio, per_m)
        factor = cv2.resize(view.prior_per_m / per_m, depth_m.shape[::-1])
        return Correction(np.asarray(factor, np.float32), ratio.weight)

    def _matched(self, stamp_ns: int, view: View, carried: _LogRatio) -> _LogRatio:
        """Match a view if that is due, average what is found, and keep keyframes."""
        current = _Keyframe(view, outline(view))
        if self._is_due(stamp_ns):
            neighbours = choose_by_parallax(
                current.outline, [each.outline for each in self._keyframes], self._options
            )
            views = [self._keyframes[k].view for k in neighbours]
            views = [other for other in views if is_explained(view, other, self._options)]
            if views:
                carried = _averaged(carried, _measure(view, views, self._options), self._options)
                self._matched_ns = stamp_ns
        if self._is_new(current.outline):
            self._keyframes.append(current)
        return carried

    def _is_due(self, stamp_ns: int) -> bool:
        last = self._matched_ns
        return last is None or (stamp_ns - last) * 1e-9 >= self._options.period_s

    def _is_new(self, current: Outline) -> bool:
        """Return whether the view differs enough from the last keyframe to be one."""
        if not self._keyframes:
            return True
        parallax, overlap = parallax_px(current, self._keyframes[-1].outline)
        return (
            parallax > self._options.keyframe_parallax_px
            or overlap < self._options.keyframe_overlap
        )


def choose_by_parallax(
    reference: Outline, keyframes: Sequence[Outline], options: MotionStereoOptions = DEFAULTS
) -> list[int]:
    """Return the keyframes with parallaxes nearest to the preferred ones, at most one for each."""
    parallax = {}
    for k, other in enumerate(keyframes):
        median_px, overlap = parallax_px(reference, other)
        if median_px >= options.least_parallax_px and overlap >= options.least_overlap:
            parallax[k] = median_px
    chosen: list[int] = []
    for preferred_px in options.parallax_px:
        if parallax:
            best = min(parallax, key=lambda k: abs(np.log(parallax[k] / preferred_px)))
            chosen.append(best)
            del parallax[best]
    return chosen


@cache
def compile_kernels() -> None:
    """Have numba compile what a match needs, or load it: 10 s once on a machine, then 0.3 s.

    Without it the first match of a stream would take as long.
    """
    grey, depth_m = np.zeros((24, 32, 3), np.uint8), np.ones((24, 32), np.float32)
    camera, matching = Intrinsics.centred(32, 24, 32.0), DEFAULTS.matching
    views = [make_view(grey, camera, np.eye(4), depth_m, matching) for _ in range(2)]
    _factor(views[0], _measure(views[0], views[1:], DEFAULTS), DEFAULTS)


def is_explained(view: View, other: View, options: MotionStereoOptions = DEFAULTS) -> bool:
    """Return whether depth and poses explain the motion between two images.

    They do if the other image is clearly more alike when it is warped by them than as it is. It is
    not if the camera stands, and the corners are those of things that move.
    """
    warped, inside = warp(view, other, view.prior_per_m)
    if not inside.any():
        return False
    by_pose, as_it_is = (
        float(np.minimum(np.abs(view.grey - grey), options.most_difference)[inside].mean())
        for grey in (warped, other.grey)
    )
    return by_pose < options.explained_share * as_it_is


def _view_of(
    frame: Frame, depth_m: Float32Array, tracked: TrackedFrame, options: MotionStereoOptions
) -> View:
    """Return the frame at the working size, in units of its world's first frame.

    So what is kept of earlier frames holds, however the world is scaled since.
    """
    width, height = frame.size
    wanted = working_size(Intrinsics.centred(width, height, width), options.matching)
    image = frame.at_least(*wanted)
    T_map_cam = np.eye(4)
    T_map_cam[:3, :3] = tracked.pose.rotation.T
    T_map_cam[:3, 3] = -tracked.pose.translation_m @ tracked.pose.rotation / tracked.unit_m
    camera = tracked.camera.scaled_to(image.shape[1], image.shape[0])
    depth = np.asarray(depth_m / np.float32(tracked.unit_m), np.float32)
    return make_view(image, camera, T_map_cam, depth, options.matching)


def _carried(last: _Refined | None, view: View, options: MotionStereoOptions) -> _LogRatio:
    """Return the log ratio of the last view for the depth of this one, weight 0 where hidden."""
    if last is None:
        nothing = np.zeros(view.grey.shape, np.float32)
        return _LogRatio(nothing, nothing)
    before, ratio, _ = last
    u, v, z = project(view, before, view.prior_per_m)
    mean, weight, per_m = (
        np.asarray(cv2.remap(values, u, v, cv2.INTER_LINEAR), np.float32)
        for values in (ratio.mean, ratio.weight, before.prior_per_m)
    )
    change = np.log(np.maximum(z / view.prior_per_m * per_m, TINY))  # of the given depth
    same = (z > TINY) & (np.abs(change) < options.same_surface)
    mean, weight = (
        np.where(same, values, 0).astype(np.float32) for values in (mean - change, weight)
    )
    return _LogRatio(mean, weight)


def average_over_time(
    view: View,
    per_m: Float32Array,
    before: View,
    before_per_m: Float32Array,
    options: MotionStereoOptions = DEFAULTS,
) -> Float32Array:
    """Average inverse depth (H, W) with that of the view before, where both see one surface.

    They do where grey is the same and depth is nearly. It is noise that is averaged: what moves
    changes the grey of its pixels. Where the pose explains nothing the camera is taken to stand.
    """
    if not is_explained(view, before, options):
        before = replace(before, T_map_cam=view.T_map_cam)
    u, v, z = project(view, before, per_m)
    grey, earlier = (
        np.asarray(cv2.remap(values, u, v, cv2.INTER_LINEAR), np.float32)
        for values in (before.grey, before_per_m)
    )
    log_ratio = np.log(np.maximum(earlier * z / per_m, TINY))
    window = (options.gradient_window_px, options.gradient_window_px)
    difference = cv2.blur(np.abs(view.grey - grey), window)
    alike = np.exp(-np.square(difference / options.same_grey))
    near = np.square(np.maximum(1 - np.square(log_ratio / options.same_surface), 0))
    share = np.where(z > TINY, options.earlier_share * alike * near, 0)
    return np.asarray(per_m * np.exp(share * log_ratio), np.float32)


def _measure(view: View, neighbours: Sequence[View], options: MotionStereoOptions) -> _LogRatio:
    """Match a view, and weigh each pixel by its margin and by the precision of its depth.

    Where optical flow is left over something moves, or the match is wrong: its weight is 0.
    """
    match = match_view(view, neighbours, options.matching)
    information, seen = _information(view, neighbours, match.per_m, options)
    precision = 1 / (1 + 1 / np.maximum(information * options.log_depth_sigma**2, TINY))
    left_over = residual_flow(view, match.per_m, [(-1, neighbours[0])], options.matching)
    fits = seen & (left_over.px < options.most_left_over_px)
    weight = np.where(fits, match.weight * precision, 0).astype(np.float32)
    return _LogRatio(np.log(view.prior_per_m / match.per_m).astype(np.float32), weight)


def _information(
    view: View, neighbours: Sequence[View], per_m: Float32Array, options: MotionStereoOptions
) -> tuple[Float32Array, MaskArray]:
    """Return 1 / variance of log depth, and the pixels that a neighbour sees alike, (H, W).

    Grey changes with log depth by its gradient along the epipolar line times the parallax.
    """
    dx, dy = (
        cv2.Sobel(view.grey, cv2.CV_32F, *order, scale=SOBEL_SCALE) for order in ((1, 0), (0, 1))
    )
    window = (options.gradient_window_px, options.gradient_window_px)
    xx, xy, yy = (
        cv2.boxFilter(product, -1, window, normalize=False)
        for product in (dx * dx, dx * dy, dy * dy)
    )
    information, seen = np.zeros(view.grey.shape, np.float32), np.zeros(view.grey.shape, bool)
    for other in neighbours:
        u, v, z = project(view, other, per_m)
        _, b = transfer(view, other)
        inside = np.abs(np.log(np.maximum(z, TINY))) < np.log(options.most_zoom)
        inside &= is_inside(other, u, v)
        along_x, along_y = ((b[k] - at * b[2]) * per_m / z for k, at in enumerate((u, v)))
        squares = along_x * along_x * xx + 2 * along_x * along_y * xy + along_y * along_y * yy
        information += np.where(inside, squares, 0)
        seen |= inside
    return information / np.float32(options.grey_sigma**2), seen


def _averaged(earlier: _LogRatio, found: _LogRatio, options: MotionStereoOptions) -> _LogRatio:
    """Return the weighted mean of earlier matches and another."""
    kept = earlier.weight * np.float32(options.kept_share)
    total = kept + found.weight
    mean = (kept * earlier.mean + found.weight * found.mean) / np.maximum(total, TINY)
    return _LogRatio(mean.astype(np.float32), np.minimum(total, 1))


def _factor(view: View, ratio: _LogRatio, options: MotionStereoOptions) -> Float32Array:
    """Spread the ratio over the image up to its edges, (H, W) float32."""
    mean = cv2.medianBlur(ratio.mean, options.median_px)
    per_m = np.asarray(view.prior_per_m * np.exp(-mean), np.float32)
    trust = Trust(min(1.0, float(ratio.weight.mean()) / options.trusted_weight), fill=1.0)
    certainty = ratio.weight * np.float32(options.certainty)
    fused = Fused(per_m, support=ratio.weight, total=ratio.weight)
    return view.prior_per_m / bend_prior(view, fused, certainty, trust, options.matching)
