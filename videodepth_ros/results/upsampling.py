# SPDX-License-Identifier: Apache-2.0
"""From the size that the job works at to the camera's, with the image as guide.

On one surface inverse depth is interpolated linearly, which is exact on planes: their inverse
depth is affine in the pixel. At a jump each pixel is given to one of the surfaces around it, the
one whose samples are near, look like the pixel and agree with each other: joint bilateral
upsampling (Kopf et al., SIGGRAPH 2007), but with the mode of the samples in place of their mean,
for a mean of near and far is a point in mid-air. Each sample is first carried along its surface's
slope to the pixel, so that slanted surfaces stay planes up to their edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]
Indices = NDArray[np.intp]

BROKEN = 0.06  # of inverse depth: two samples this far off both their slopes are a jump
ONE_SURFACE = 0.1  # of inverse depth: samples nearer to each other, at the pixel, agree
COLOUR_SIGMA = 12.0  # of 255
DISTANCE_SIGMA = 0.55  # samples
BETWEEN_RATIO = 1.25  # depth ratio to both neighbours of what may hang between something and sky
LEAST_TRUST = 0.02  # of a sample that lies half-way between its neighbours
CARRY = (0.7, 1.4)  # range of what a slope may do to a sample: slopes at edges are uncertain
PIXELS_AT_ONCE = 20_000  # nine samples of each stay in the second-level cache
WINDOW = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


@dataclass(frozen=True)
class UpsampledMaps:
    """Maps at the camera's size: depth (H, W) float32, confidence likewise, moving (H, W) bool."""

    depth_m: Array
    confidence: Array
    moving: Mask | None


def upsample_depth(depth_m: Array, guide: Image) -> Array:
    """Return depth (h, w) float32 at the size of ``guide`` (H, W, 3) uint8, edges on its edges.

    NaN (unknown) and +inf (nothing hit) stay what they are: no pixel becomes known by it.
    """
    return upsample_maps(depth_m, np.ones_like(depth_m), None, guide).depth_m


def upsample_maps(
    depth_m: Array, confidence: Array, moving: Mask | None, guide: Image
) -> UpsampledMaps:
    """Return the maps of one frame at the size of its image.

    depth_m     (h, w) float32, Z in metres; NaN unknown, +inf nothing hit
    confidence  (h, w) float32 in [0, 1]
    moving      (h, w) bool; None where nobody looked
    guide       (H, W, 3) uint8, not smaller than the depth and of its aspect
    raises      InputError if the sizes do not fit

    At a jump confidence and motion come from the surface that the pixel belongs to. Maps that
    have the size already are left alone.
    """
    if depth_m.shape == guide.shape[:2]:
        return UpsampledMaps(depth_m, np.where(np.isnan(depth_m), 0, confidence), moving)
    grid = _Grid(depth_m.shape, guide.shape)
    with np.errstate(divide='ignore'):
        inverse_depth = (1 / depth_m).astype(np.float32)
    layers = [confidence.astype(np.float32)]
    layers += [] if moving is None else [moving.astype(np.float32)]
    out, *others = (
        np.asarray(cv2.resize(layer, grid.size), np.float32) for layer in [inverse_depth, *layers]
    )
    samples = _Samples(inverse_depth, guide)
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
    """Where the pixels of the full size lie between the samples of the small one."""

    def __init__(self, small: tuple[int, ...], full: tuple[int, ...]) -> None:
        (h, w), (height, width) = small[:2], full[:2]
        if height < h or width < w or abs(width * h / (height * w) - 1) > 0.05:
            raise InputError(
                f'depth of {w}x{h} cannot be brought to an image of {width}x{height}:'
                ' the image must be larger, and of the same aspect'
            )
        self.size = width, height
        self.rows = ((np.arange(height) + 0.5) * (h / height) - 0.5).astype(np.float32)
        self.columns = ((np.arange(width) + 0.5) * (w / width) - 0.5).astype(np.float32)
        self.nearest_row = np.clip(np.rint(self.rows), 0, h - 1).astype(np.intp)
        self.nearest_column = np.clip(np.rint(self.columns), 0, w - 1).astype(np.intp)

    def nearest(self, mask: Mask) -> Mask:
        """Return a mask (h, w) at the full size, each pixel as its nearest sample."""
        return mask.take(self.nearest_column, axis=1).take(self.nearest_row, axis=0)

    def pixels_at(self, mask: Mask) -> Iterator[Indices]:
        """Yield the flat indices of the pixels whose nearest sample is in a mask, in portions."""
        pixels = np.flatnonzero(self.nearest(mask))
        for first in range(0, len(pixels), PIXELS_AT_ONCE):
            yield pixels[first : first + PIXELS_AT_ONCE]


@dataclass(frozen=True)
class _Agreement:
    """What the samples around some pixels agree on.

    inverse_depth  (P,) float32, NaN where no sample is known
    samples        (9, P), flat indices
    weights        (9, P) float32 with sum 1, of the samples of the chosen surface
    """

    inverse_depth: Array
    samples: Indices
    weights: Array

    def mean(self, layer: Array) -> Array:
        """Return the mean of a layer (h, w) over the chosen surface, (P,)."""
        mean: Array = (self.weights * layer.ravel()[self.samples]).sum(axis=0)
        return mean


class _Samples:
    """The small map, with what is needed to give pixels to its surfaces.

    at_jump  (h, w) bool, the neighbourhood of every jump
    """

    def __init__(self, inverse_depth: Array, guide: Image) -> None:
        height, self._width = inverse_depth.shape
        broken = _broken(inverse_depth)
        broken_down = _broken(np.ascontiguousarray(inverse_depth.T))
        self._slope = _slope(inverse_depth, broken).ravel()
        self._slope_down = _slope(inverse_depth.T, broken_down).T.ravel()
        self.at_jump = _neighbourhood(broken, broken_down.T)
        self._shape = inverse_depth.shape
        self._values = np.nan_to_num(inverse_depth, nan=0.0).ravel()
        self._trust = _trust(inverse_depth).ravel()
        small = cv2.resize(guide, (self._width, height), interpolation=cv2.INTER_AREA)
        self._colours = np.asarray(small, np.float32).reshape(-1, 3)

    def agreement(self, pixels: Indices, guide: Image, grid: _Grid) -> _Agreement:
        """Give pixels, flat indices (P,) of ``guide``, to one surface each."""
        samples, carried, weights = self._around(pixels, guide, grid)
        best_support = np.full(len(pixels), -1.0, np.float32)
        chosen = np.zeros(len(pixels), np.float32)
        for candidate, weight in zip(carried, weights, strict=True):
            support = np.where(_agree(carried, candidate), weights, 0).sum(axis=0)
            better = (support > best_support) & (weight > 0)
            np.copyto(best_support, support, where=better)
            np.copyto(chosen, candidate, where=better)
        weights = np.where(_agree(carried, chosen), weights, 0)
        with np.errstate(invalid='ignore'):  # 0 / 0 where all nine are unknown
            weights /= weights.sum(axis=0)
        return _Agreement((weights * carried).sum(axis=0), samples, weights)

    def _around(self, pixels: Indices, guide: Image, grid: _Grid) -> tuple[Indices, Array, Array]:
        """Return the nine samples around each pixel: indices, values carried to it, weights."""
        row, column = np.divmod(pixels, guide.shape[1])
        colour = guide.reshape(-1, 3)[pixels].astype(np.float32)
        samples = np.empty((len(WINDOW), len(pixels)), np.intp)
        carried, weights = (np.empty(samples.shape, np.float32) for _ in range(2))
        for k, (down, right) in enumerate(WINDOW):
            at_row = np.clip(grid.nearest_row[row] + down, 0, self._shape[0] - 1)
            at_column = np.clip(grid.nearest_column[column] + right, 0, self._shape[1] - 1)
            samples[k] = at = at_row * self._width + at_column
            dy = grid.rows[row] - at_row.astype(np.float32)
            dx = grid.columns[column] - at_column.astype(np.float32)
            value = self._values[at]
            carried[k] = np.clip(
                value + self._slope[at] * dx + self._slope_down[at] * dy,
                CARRY[0] * value,
                CARRY[1] * value,
            )
            unlike = np.square(self._colours[at] - colour).sum(axis=1) / (2 * COLOUR_SIGMA**2)
            away = (dx * dx + dy * dy) / np.float32(2 * DISTANCE_SIGMA**2)
            weights[k] = self._trust[at] * np.exp(-away) / (1 + unlike)
        return samples, carried, weights


def _agree(carried: Array, value: Array) -> Mask:
    return np.asarray(np.abs(carried - value) <= ONE_SURFACE * np.maximum(carried, value))


def _broken(v: Array) -> Mask:
    """Return between which samples (h, w) of a row lies a jump, or something unknown: (h, w - 1).

    Neither the samples' own difference nor the slope on either side explains the step.
    """
    a, b = v[:, :-1], v[:, 1:]
    before = np.hstack([v[:, :1], v[:, :-2]])
    behind = np.hstack([v[:, 2:], v[:, -1:]])
    step = np.fmin(np.abs(a - b), np.fmin(np.abs(2 * a - before - b), np.abs(2 * b - behind - a)))
    return np.asarray(~(step <= BROKEN * np.minimum(a, b)))


def _slope(v: Array, broken: Mask) -> Array:
    """Return the slope of each sample (h, w) along its row, the lesser one of its two sides."""
    steps = np.where(broken, np.nan, np.diff(v, axis=1))
    edge = np.full((v.shape[0], 1), np.nan, np.float32)
    left, right = np.hstack([edge, steps]), np.hstack([steps, edge])
    lesser = np.where(np.abs(left) <= np.abs(right), left, right)
    lesser = np.where(np.isnan(right), left, lesser)
    return np.nan_to_num(lesser, nan=0.0).astype(np.float32)


def _neighbourhood(broken: Mask, broken_down: Mask) -> Mask:
    """Return the samples next to a jump, and their neighbours."""
    height, width = broken.shape[0], broken_down.shape[1]
    beside = np.zeros((height, width), np.uint8)
    beside[:, 1:] |= broken
    beside[:, :-1] |= broken
    beside[1:] |= broken_down
    beside[:-1] |= broken_down
    return np.asarray(cv2.dilate(beside, np.ones((3, 3), np.uint8)) > 0)


def _trust(v: Array) -> Array:
    """Return how far each sample stands for a surface, (h, w): what lies half-way does not.

    A network blurs its edges, and what was averaged over an edge lies between its two sides.
    """
    known = ~np.isnan(v)
    neighbours = np.ones((3, 3), np.uint8)
    least = cv2.erode(np.where(known, v, np.float32(np.inf)), neighbours)
    greatest = cv2.dilate(np.where(known, v, np.float32(0)), neighbours)
    with np.errstate(invalid='ignore', over='ignore'):  # where nothing around is known
        half_way = np.minimum(v - least, greatest - v) / np.maximum(greatest - least, 1e-9)
        trust = np.where(greatest > 1.1 * least, np.clip(1 - 2.5 * half_way, LEAST_TRUST, 1), 1)
    before_sky = (greatest > BETWEEN_RATIO * v) & (v > 0) & (least == 0)
    trust = np.where(before_sky, LEAST_TRUST * trust, trust)
    return np.where(known, trust, 0).astype(np.float32)
