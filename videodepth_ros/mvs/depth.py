# SPDX-License-Identifier: Apache-2.0
"""Depth of a sequence of views by multi-view stereo, in two passes over the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray, StampArray, UInt8Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.mvs.bending import SURE, bend_prior
from videodepth_ros.mvs.confidence import USUAL_PRIOR_ERROR, expected_error, missing_parallax
from videodepth_ros.mvs.fusion import fuse
from videodepth_ros.mvs.matching import Match, match_view
from videodepth_ros.mvs.motion import moving_mask, stand_on_ground
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.trust import certainty_of, trust_of
from videodepth_ros.mvs.upsampling import snap_edges, upsample
from videodepth_ros.mvs.views import (
    Outline,
    View,
    choose_fused,
    choose_matched,
    choose_moments,
    choose_neighbours,
)

MOST_MISSING_OF_SURFACE = np.float32(4.0)
"""Share of the preferred parallax, as its reciprocal, from which on certain stereo is a surface
where the prior hits nothing: with less, clouds would be one."""


@dataclass(frozen=True)
class StereoDepth:
    """Depth of one frame at the size of its image.

    depth_m    (H, W) float32, Z in metres, > 0; +inf where the prior hits nothing and stereo is
               not certain; NaN unknown
    relative_error  (H, W) float32, its expected error as a share, by `confidence.expected_error`
    moving     (H, W) bool, what moves by itself: its depth is the prior's, bent by what is around
    certainty  (h, w) float32 in [0, 1], at the working size: 0 where depth is the bent prior
    trust      how much stereo counts against the prior, 0 to 1, by `trust.trust_of`
    """

    depth_m: Float32Array
    relative_error: Float32Array
    moving: MaskArray
    certainty: Float32Array
    trust: float

    @classmethod
    def unknown(cls, shape: tuple[int, ...]) -> StereoDepth:
        """Return unknown depth of an image (H, W)."""
        nothing = np.zeros(shape, np.float32)
        return cls(np.full_like(nothing, np.nan), nothing + 1, nothing > 0, nothing, 1.0)


@dataclass(frozen=True)
class Plan:
    """Which views are matched and fused with which, and why a recording has no stereo.

    neighbours  per view, indices of the views that it is matched with; empty: it is not
    fused       per view, indices of the matched views that it is compared with
    moments     per view, (step, index) of frames just before and after, by `views.choose_moments`
    reason      why no view is matched, empty if some are
    """

    neighbours: tuple[tuple[int, ...], ...]
    fused: tuple[tuple[int, ...], ...]
    moments: tuple[tuple[tuple[int, int], ...], ...]
    reason: str


def plan_stereo(outlines: Sequence[Outline], stamp_ns: StampArray, options: StereoOptions) -> Plan:
    """Choose the neighbours of every view of a recording.

    outlines  by `views.outline`, in order of time; stamp_ns (N,) int64
    """
    to_match = set(choose_matched(outlines, options))
    neighbours = tuple(
        tuple(choose_neighbours(outlines, k, options)) if k in to_match else ()
        for k in range(len(outlines))
    )
    moments = tuple(tuple(choose_moments(stamp_ns, k, options)) for k in range(len(outlines)))
    matched = [k for k, chosen in enumerate(neighbours) if chosen]
    if not matched:
        nothing = tuple(() for _ in outlines)
        return Plan(neighbours, nothing, moments, _no_stereo(outlines, options))
    fused = tuple(tuple(choose_fused(outlines, k, matched, options)) for k in range(len(outlines)))
    return Plan(neighbours, fused, moments, '')


def without_stereo(plan: Plan, reason: str) -> Plan:
    """Return a plan of as many views in which none is compared: their depth is the prior's."""
    nothing = tuple(() for _ in plan.neighbours)
    return Plan(nothing, nothing, plan.moments, reason)


def _no_stereo(outlines: Sequence[Outline], options: StereoOptions) -> str:
    if len(outlines) < 2:
        return 'stereo needs two frames'
    return (
        f'no two frames of {len(outlines)} have {options.least_parallax_px:g} px of parallax: '
        'the camera stands or only turns'
    )


def finish_view(
    view: View,
    match: Match | None,
    others: Sequence[tuple[View, Match]],
    moments: Sequence[tuple[int, View]],
    image: UInt8Array,
    options: StereoOptions,
) -> StereoDepth:
    """Fuse, bend and upsample one view.

    match   the view's own, None where it was not matched
    others  by `Plan.fused`; moments: by `Plan.moments`
    image   (H, W, 3) uint8 RGB, at full size
    """
    fused = fuse(view, match, others, options)
    certainty = certainty_of(fused)
    trust = trust_of(view, fused, certainty, options)
    if not trust.stereo:
        return _prior_only(view, image, options)
    per_m = bend_prior(view, fused, certainty, trust, options)
    moving = moving_mask(view, per_m, moments, image, options)
    if moving.any():
        touched = _touched(moving, certainty.shape)
        certainty = np.where(touched, np.float32(0), certainty)
        per_m = bend_prior(view, fused, certainty, trust, options)
        per_m = stand_on_ground(per_m, view.prior_per_m, touched)
    certainty *= np.float32(trust.stereo)
    snapped = snap_edges(per_m, certainty, view.rgb, options)
    if options.prior_weight > 0:  # a depth camera has edges of its own
        snapped = np.where(view.known, per_m, snapped)
    per_m = snapped
    depth_m = np.reciprocal(upsample(per_m, certainty, view.rgb, image, options))
    matches = [one for one in (match, *(theirs for _, theirs in others)) if one is not None]
    missing = _missing_parallax(view, per_m, matches, options)
    return _stereo_depth(view, depth_m, certainty, missing, moving, trust.stereo)


def agreement_of(
    view: View, match: Match | None, others: Sequence[tuple[View, Match]], options: StereoOptions
) -> float:
    """Return `StereoDepth.trust` of one view; arguments as of `finish_view`."""
    fused = fuse(view, match, others, options)
    return trust_of(view, fused, certainty_of(fused), options).stereo


def _missing_parallax(
    view: View, per_m: Float32Array, matches: Sequence[Match], options: StereoOptions
) -> Float32Array:
    """Return the preferred parallax over that of each pixel; 1 where depth was measured."""
    parallax_px = max((one.parallax_px for one in matches), default=0.0)
    missing = missing_parallax(per_m, parallax_px, options.parallax_px)
    if options.prior_weight > 0:
        missing = np.where(view.known, np.float32(1), missing)
    return missing


def _prior_only(view: View, image: UInt8Array, options: StereoOptions) -> StereoDepth:
    """Return the prior with the edges of the image; nothing is certain, and what moves unknown.

    Depth that a network does not give stays unknown: no view can fill it.
    """
    certainty = np.zeros(view.grey.shape, np.float32)
    per_m = view.prior_per_m if view.fallback_per_m is None else view.fallback_per_m
    depth_m = np.reciprocal(upsample(per_m, certainty, view.rgb, image, options))
    still = np.zeros(depth_m.shape, bool)
    depth = _stereo_depth(view, depth_m, certainty, np.ones_like(certainty), still, 0.0)
    if options.prior_weight > 0:  # the holes of a depth camera are filled
        return depth
    unknown = _enlarged(~(view.known | view.sky), depth_m.shape)
    return replace(
        depth,
        depth_m=np.where(unknown, np.float32(np.nan), depth.depth_m),
        relative_error=np.where(unknown, np.float32(1), depth.relative_error),
    )


def _stereo_depth(
    view: View,
    depth_m: Float32Array,
    certainty: Float32Array,
    missing: Float32Array,
    moving: MaskArray,
    trust: float,
) -> StereoDepth:
    """Set the sky to infinity, and add the expected error."""
    surface = (certainty >= SURE) & (missing < MOST_MISSING_OF_SURFACE)
    sky = _enlarged(view.sky & ~surface, depth_m.shape)
    size = depth_m.shape[::-1]
    prior_error = view.prior_error
    if prior_error is None:
        prior_error = np.full_like(certainty, USUAL_PRIOR_ERROR)
    certain, far, before = (
        np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_LINEAR), np.float32)
        for one in (certainty, missing, prior_error)
    )
    error = expected_error(certain, far, sky | moving, before, trust)
    depth_m = np.where(sky, np.float32(np.inf), depth_m)
    return StereoDepth(depth_m, error, moving, certainty, trust)


def _touched(mask: MaskArray, shape: tuple[int, ...]) -> MaskArray:
    """Return the mask at a smaller size: pixels of which any part is in it."""
    share = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return share > 0


def _enlarged(mask: MaskArray, shape: tuple[int, ...]) -> MaskArray:
    size = shape[::-1]
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


def estimate_depth(
    views: Sequence[View], images: Sequence[UInt8Array], plan: Plan, options: StereoOptions
) -> list[StereoDepth]:
    """Return the depth of every view of a short sequence, all held in memory.

    views   by `views.make_view`; images (H, W, 3) uint8 RGB; plan: by `plan_stereo`
    raises  InputError where the plan has no stereo
    """
    if plan.reason:
        raise InputError(f'{plan.reason}; keep the prior')
    matches = [
        match_view(view, [views[j] for j in chosen], options) if chosen else None
        for view, chosen in zip(views, plan.neighbours, strict=True)
    ]
    depths = []
    for k, view in enumerate(views):
        others = [(views[j], match) for j in plan.fused[k] if (match := matches[j]) is not None]
        moments = [(step, views[j]) for step, j in plan.moments[k]]
        depths.append(finish_view(view, matches[k], others, moments, images[k], options))
    return depths
