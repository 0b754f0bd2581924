# SPDX-License-Identifier: Apache-2.0
"""Stereo of one view with its neighbours: coarse to fine plane sweep and semi-global matching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.mvs.matching_cost import cost_volume
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.semi_global import aggregate, best_labels
from videodepth_ros.mvs.views import View, outline, parallax_px, transfer

COARSE = 0.5
FINE_PRIOR_COST, FINE_PRIOR_RANGE = 0.03, 0.3
"""As `prior_cost` and `prior_range`, about the coarse result."""
MARGIN_OF_NONE, MARGIN_OF_FULL, MARGIN_POWER = 0.8, 3.0, 1.5
"""Margin of the best label over its rivals at which a match has no weight, and weight 1; on the
test sequences 1 in 5 matches is right at the first and 9 in 10 at the second."""


@dataclass(frozen=True)
class Match:
    """Stereo depth of one view: inverse depth (H, W) float32 in 1/m, and weight in [0, 1].

    parallax_px  median parallax of the view's prior in the neighbours, their mean
    """

    per_m: Float32Array
    weight: Float32Array
    parallax_px: float


def match_view(view: View, neighbours: Sequence[View], options: StereoOptions) -> Match:
    """Match one view with its neighbours, at least one, by `views.choose_neighbours`."""
    width, height = view.camera.width, view.camera.height
    half = (width // 2, height // 2)
    base = _resized(view.prior_per_m, *half)
    ratios = _ratios(options.coarse_labels, options.coarse_range)
    bias = _prior_bias(ratios, options.prior_cost, options.prior_range)
    coarse, _ = _sweep(view, neighbours, base, ratios, bias, COARSE, options)
    smooth = cv2.resize(cv2.medianBlur(coarse, 5), (width, height))  # bilinear
    base = smooth.astype(np.float32, copy=False)
    ratios = _ratios(options.fine_labels, options.fine_range)
    bias = _prior_bias(ratios, FINE_PRIOR_COST, FINE_PRIOR_RANGE)
    per_m, margin = _sweep(view, neighbours, base, ratios, bias, 1.0, options)
    share = (margin - MARGIN_OF_NONE) / (MARGIN_OF_FULL - MARGIN_OF_NONE)
    weight = (np.clip(share, 0, 1) ** MARGIN_POWER).astype(np.float32)
    reference = outline(view)
    parallaxes = [parallax_px(reference, outline(other))[0] for other in neighbours]
    return Match(per_m, weight, float(np.mean(parallaxes)))


def _ratios(labels: int, log_range: float) -> Float32Array:
    return np.exp(np.linspace(-log_range, log_range, labels)).astype(np.float32)


def _sweep(
    view: View,
    neighbours: Sequence[View],
    base: Float32Array,
    ratios: Float32Array,
    bias: Float32Array,
    scale: float,
    options: StereoOptions,
) -> tuple[Float32Array, Float32Array]:
    """Return inverse depth and margin of the best labels, both of the shape of ``base``."""
    transfers = [transfer(view, other, scale) for other in neighbours]
    height, width = base.shape
    grey = _resized(view.grey, width, height)
    volume = cost_volume(
        grey,
        np.stack([_resized(other.grey, width, height) for other in neighbours]),
        np.stack([A for A, _ in transfers]),
        np.stack([b for _, b in transfers]),
        base,
        ratios,
        np.float32(options.noise_variance),
        np.float32(options.small_window_variance),
        options.best_views,
    )
    volume += bias
    total = aggregate(
        volume,
        grey,
        np.float32(options.p1),
        np.float32(options.p2),
        np.float32(options.p2_grey_scale),
    )
    label, margin = best_labels(total)
    step = np.log(ratios[1] / ratios[0])
    return base * np.exp((label - (len(ratios) - 1) / 2) * step).astype(np.float32), margin


def _prior_bias(ratios: Float32Array, most: float, log_range: float) -> Float32Array:
    """Return what each label costs for its distance from the prior, (K,) float32."""
    return (most * np.minimum(np.abs(np.log(ratios)) / log_range, 1)).astype(np.float32)


def _resized(image: Float32Array, width: int, height: int) -> Float32Array:
    if image.shape == (height, width):
        return image
    smaller = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return smaller.astype(np.float32, copy=False)
