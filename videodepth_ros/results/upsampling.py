# SPDX-License-Identifier: Apache-2.0
"""Upsampling of depth from the working size to the camera's, guided by the image.

On one surface inverse depth is interpolated linearly, which is exact on planes: their inverse
depth is affine in the pixel. At a discontinuity each pixel is assigned to one of the surfaces
around it by joint bilateral upsampling (Kopf et al., SIGGRAPH 2007), with the mode of the samples
in place of their mean: the mean of two surfaces would be a flying pixel. Each sample is first
extrapolated to the pixel by its slope, so that slanted surfaces stay planes up to their edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, IndexArray, MaskArray, UInt8Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.results.options import UPSAMPLING, UpsamplingOptions

WINDOW = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


@dataclass(frozen=True)
class UpsampledMaps:
    """Maps at the camera's size: depth and confidence (H, W) float32, moving (H, W) bool."""

    depth_m: Float32Array
    confidence: Float32Array
    moving: MaskArray | None


def upsample_depth(depth_m: Float32Array, guide: UInt8Array) -> Float32Array:
    """Upsample depth (h, w) float32 to the size of ``guide`` (H, W, 3) uint8.

    NaN (unknown) and +inf (nothing hit) stay.
    """
    return upsample_maps(depth_m, np.ones_like(depth_m), None, guide).depth_m


def upsample_maps(
    depth_m: Float32Array,
    confidence: Float32Array,
    moving: MaskArray | None,
    guide: UInt8Array,
    options: UpsamplingOptions = UPSAMPLING,
) -> UpsampledMaps:
    """Upsample the maps of one frame to the size of its image.

    depth_m     (h, w) float32, Z in metres; NaN unknown, +inf nothing hit
    confidence  (h, w) float32 in [0, 1]
    moving      (h, w) bool; None: not segmented
    guide       (H, W, 3) uint8, not smaller than the depth and of its aspect
    raises      InputError if the sizes do not fit

    At a discontinuity confidence and motion mask are those of the surface of the pixel. Maps of
    the same size are returned unchanged.
    """
    if depth_m.shape == guide.shape[:2]:
        return UpsampledMaps(depth_m, np.where(np.isnan(depth_m), 0, confidence), moving)
    grid = _Grid(depth_m.shape, guide.shape, options)
    with np.errstate(divide='ignore'):
        inverse_depth = (1 / depth_m).astype(np.float32)
    layers = [confidence.astype(np.float32)]
    layers += [] if moving is None else [moving.astype(np.float32)]
    out, *others = (
        np.asarray(cv2.resize(layer, grid.size), np.float32) for layer in [inverse_depth, *layers]
    )
    samples = _Samples(inverse_depth, guide, options)
    for pixels in grid.pixels_at(samples.at_jump):
        agreement = samples.agreement(pixels, guide, grid)
        out.ravel()[pixels] = agreement.inverse_depth
        for resized, layer in zip(others, layers, strict=True):
            resized.ravel()[pixels] = agreement.mean(layer)
    unknown = grid.nearest(np.isnan(inverse_depth)) | np.isnan(out)
    out[unknown], others[0][unknown] = np.nan, 0
    with np.errstate(divide='ignore'):
        np.divide(np.float32(1), out, out=out)
    return UpsampledMaps(out, others[0], others[1] > 0.5 if len(others) > 1 else None)


class _Grid:
    """Positions of the pixels of the full size between the samples of the small one."""

    def __init__(
        self, small: tuple[int, ...], full: tuple[int, ...], options: UpsamplingOptions
    ) -> None:
        (h, w), (height, width) = small[:2], full[:2]
        aspect_difference = abs(width * h / (height * w) - 1)
        if height < h or width < w or aspect_difference > options.max_aspect_difference:
            raise InputError(
                f'depth of {w}x{h} cannot be upsampled to an image of {width}x{height}:'
                ' the image must be larger, and of the same aspect'
            )
        self.size, self._chunk_pixels = (width, height), options.chunk_pixels
        self.rows = ((np.arange(height) + 0.5) * (h / height) - 0.5).astype(np.float32)
        self.columns = ((np.arange(width) + 0.5) * (w / width) - 0.5).astype(np.float32)
        self.nearest_row = np.clip(np.rint(self.rows), 0, h - 1).astype(np.intp)
        self.nearest_column = np.clip(np.rint(self.columns), 0, w - 1).astype(np.intp)

    def nearest(self, mask: MaskArray) -> MaskArray:
        """Return a mask (h, w) at the full size, each pixel as its nearest sample."""
        return mask.take(self.nearest_column, axis=1).take(self.nearest_row, axis=0)

    def pixels_at(self, mask: MaskArray) -> Iterator[IndexArray]:
        """Yield the flat indices of the pixels whose nearest sample is in a mask, in chunks."""
        pixels = np.flatnonzero(self.nearest(mask))
        for first in range(0, len(pixels), self._chunk_pixels):
            yield pixels[first : first + self._chunk_pixels]


@dataclass(frozen=True)
class _Agreement:
    """The surface that the samples around each pixel agree on.

    inverse_depth  (P,) float32, NaN where all samples are unknown
    samples        (9, P), flat indices
    weights        (9, P) float32 with sum 1, of the samples of the chosen surface
    """

    inverse_depth: Float32Array
    samples: IndexArray
    weights: Float32Array

    def mean(self, layer: Float32Array) -> Float32Array:
        """Return the mean of a layer (h, w) over the chosen surface, (P,)."""
        mean: Float32Array = (self.weights * layer.ravel()[self.samples]).sum(axis=0)
        return mean


class _Samples:
    """The samples of the small map, with their slopes and weights.

    at_jump  (h, w) bool, neighbourhood of the discontinuities
    """

    def __init__(
        self, inverse_depth: Float32Array, guide: UInt8Array, options: UpsamplingOptions
    ) -> None:
        self._options = options
        height, self._width = inverse_depth.shape
        jumps = _find_jumps(inverse_depth, options)
        jumps_down = _find_jumps(np.ascontiguousarray(inverse_depth.T), options)
        self._slope = _slope(inverse_depth, jumps).ravel()
        self._slope_down = _slope(inverse_depth.T, jumps_down).T.ravel()
        self.at_jump = _neighbourhood(jumps, jumps_down.T)
        self._shape = inverse_depth.shape
        self._values = np.nan_to_num(inverse_depth, nan=0.0).ravel()
        self._weights = _sample_weights(inverse_depth, options).ravel()
        small = cv2.resize(guide, (self._width, height), interpolation=cv2.INTER_AREA)
        self._colours = np.asarray(small, np.float32).reshape(-1, 3)

    def agreement(self, pixels: IndexArray, guide: UInt8Array, grid: _Grid) -> _Agreement:
        """Assign pixels, flat indices (P,) of ``guide``, to one surface each."""
        samples, values, weights = self._around(pixels, guide, grid)
        surface = self._options.same_surface
        best_support = np.full(len(pixels), -1.0, np.float32)
        chosen = np.zeros(len(pixels), np.float32)
        for candidate, weight in zip(values, weights, strict=True):
            support = np.where(_agree(values, candidate, surface), weights, 0).sum(axis=0)
            better = (support > best_support) & (weight > 0)
            np.copyto(best_support, support, where=better)
            np.copyto(chosen, candidate, where=better)
        weights = np.where(_agree(values, chosen, surface), weights, 0)
        with np.errstate(invalid='ignore'):  # 0 / 0 where all nine are unknown
            weights /= weights.sum(axis=0)
        return _Agreement((weights * values).sum(axis=0), samples, weights)

    def _around(
        self, pixels: IndexArray, guide: UInt8Array, grid: _Grid
    ) -> tuple[IndexArray, Float32Array, Float32Array]:
        """Return the nine samples around each pixel: indices, extrapolated values, weights."""
        options = self._options
        row, column = np.divmod(pixels, guide.shape[1])
        colour = guide.reshape(-1, 3)[pixels].astype(np.float32)
        samples = np.empty((len(WINDOW), len(pixels)), np.intp)
        values, weights = (np.empty(samples.shape, np.float32) for _ in range(2))
        for k, (down, right) in enumerate(WINDOW):
            at_row = np.clip(grid.nearest_row[row] + down, 0, self._shape[0] - 1)
            at_column = np.clip(grid.nearest_column[column] + right, 0, self._shape[1] - 1)
            samples[k] = at = at_row * self._width + at_column
            dy = grid.rows[row] - at_row.astype(np.float32)
            dx = grid.columns[column] - at_column.astype(np.float32)
            value = self._values[at]
            values[k] = np.clip(
                value + self._slope[at] * dx + self._slope_down[at] * dy,
                options.min_extrapolation * value,
                options.max_extrapolation * value,
            )
            colour_distance = np.square(self._colours[at] - colour).sum(axis=1) / (
                2 * options.colour_sigma**2
            )
            distance = (dx * dx + dy * dy) / np.float32(2 * options.distance_sigma**2)
            weights[k] = self._weights[at] * np.exp(-distance) / (1 + colour_distance)
        return samples, values, weights


def _agree(values: Float32Array, value: Float32Array, share: float) -> MaskArray:
    limit = share * np.maximum(values, value)
    return np.asarray(np.abs(values - value) <= limit)


def _find_jumps(v: Float32Array, options: UpsamplingOptions) -> MaskArray:
    """Return the discontinuities between neighbours of a row of samples (h, w): (h, w - 1).

    Neither the difference of the samples nor the slope on either side explains the step; or one
    sample is unknown.
    """
    a, b = v[:, :-1], v[:, 1:]
    previous = np.hstack([v[:, :1], v[:, :-2]])
    following = np.hstack([v[:, 2:], v[:, -1:]])
    step = np.fmin(
        np.abs(a - b), np.fmin(np.abs(2 * a - previous - b), np.abs(2 * b - following - a))
    )
    return np.asarray(~(step <= options.discontinuity * np.minimum(a, b)))


def _slope(v: Float32Array, jumps: MaskArray) -> Float32Array:
    """Return the slope of each sample (h, w) along its row, the smaller one of its two sides."""
    steps = np.where(jumps, np.nan, np.diff(v, axis=1))
    edge = np.full((v.shape[0], 1), np.nan, np.float32)
    left, right = np.hstack([edge, steps]), np.hstack([steps, edge])
    smaller = np.where(np.abs(left) <= np.abs(right), left, right)
    smaller = np.where(np.isnan(right), left, smaller)
    return np.nan_to_num(smaller, nan=0.0).astype(np.float32)


def _neighbourhood(jumps: MaskArray, jumps_down: MaskArray) -> MaskArray:
    """Return the samples next to a discontinuity, and their neighbours."""
    height, width = jumps.shape[0], jumps_down.shape[1]
    adjacent = np.zeros((height, width), np.uint8)
    adjacent[:, 1:] |= jumps
    adjacent[:, :-1] |= jumps
    adjacent[1:] |= jumps_down
    adjacent[:-1] |= jumps_down
    return np.asarray(cv2.dilate(adjacent, np.ones((3, 3), np.uint8)) > 0)


def _sample_weights(v: Float32Array, options: UpsamplingOptions) -> Float32Array:
    """Return the weight of each sample, (h, w), low half-way between its neighbours.

    A network blurs its edges: a sample averaged over an edge lies between the two surfaces.
    """
    known = ~np.isnan(v)
    neighbours = np.ones((3, 3), np.uint8)
    least = cv2.erode(np.where(known, v, np.float32(np.inf)), neighbours)
    greatest = cv2.dilate(np.where(known, v, np.float32(0)), neighbours)
    with np.errstate(invalid='ignore', over='ignore'):  # all neighbours unknown
        half_way = np.minimum(v - least, greatest - v) / np.maximum(greatest - least, 1e-9)
        blurred = np.clip(1 - options.blur_penalty * half_way, options.min_weight, 1)
        weight = np.where(greatest > options.blur_contrast * least, blurred, 1)
    before_sky = (greatest > options.sky_blur_ratio * v) & (v > 0) & (least == 0)
    weight = np.where(before_sky, options.min_weight * weight, weight)
    return np.where(known, weight, 0).astype(np.float32)
