# SPDX-License-Identifier: Apache-2.0
"""Depth of a sequence of views by multi-view stereo, in two passes over the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array, UInt8Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.mvs.bending import bend_prior, certainty_of
from videodepth_ros.mvs.fusion import fuse
from videodepth_ros.mvs.matching import Match, match_view
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.upsampling import snap_edges, upsample
from videodepth_ros.mvs.views import Outline, View, choose_fused, choose_neighbours


@dataclass(frozen=True)
class StereoDepth:
    """Depth of one frame at the size of its image.

    depth_m    (H, W) float32, Z in metres, > 0
    certainty  (h, w) float32 in [0, 1], at the working size: 0 where it is the bent prior
    """

    depth_m: Float32Array
    certainty: Float32Array


@dataclass(frozen=True)
class Plan:
    """Which views are matched and fused with which, and why a recording has no stereo.

    neighbours  per view, indices of the views that it is matched with; empty: it is not matched
    fused       per view, indices of the matched views that it is compared with
    reason      why no view is matched, empty if some are
    """

    neighbours: tuple[tuple[int, ...], ...]
    fused: tuple[tuple[int, ...], ...]
    reason: str


def plan_stereo(outlines: Sequence[Outline], options: StereoOptions) -> Plan:
    """Choose the neighbours of every view of a recording."""
    neighbours = tuple(
        tuple(choose_neighbours(outlines, k, options)) for k in range(len(outlines))
    )
    matched = [k for k, chosen in enumerate(neighbours) if chosen]
    if not matched:
        return Plan(neighbours, tuple(() for _ in outlines), _no_stereo(outlines, options))
    fused = tuple(tuple(choose_fused(outlines, k, matched, options)) for k in range(len(outlines)))
    return Plan(neighbours, fused, '')


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
    image: UInt8Array,
    options: StereoOptions,
) -> StereoDepth:
    """Fuse, bend and upsample one view.

    match   the view's own, None where it was not matched; others: by `Plan.fused`
    image   (H, W, 3) uint8 RGB, at full size
    """
    fused = fuse(view, match, others, options)
    certainty = certainty_of(fused)
    per_m = bend_prior(view, fused, certainty, options)
    per_m = snap_edges(per_m, certainty, view.rgb, options)
    per_m = upsample(per_m, certainty, view.rgb, image, options)
    return StereoDepth(np.reciprocal(per_m), certainty)


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
        depths.append(finish_view(view, matches[k], others, images[k], options))
    return depths
