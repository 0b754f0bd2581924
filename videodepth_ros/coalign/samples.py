# SPDX-License-Identifier: Apache-2.0
"""Snippets of relative depth, and the subsampled pixels that co-alignment compares."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.options import CoalignOptions, SamplingOptions
from videodepth_ros.core.arrays import Float32Array, IndexArray, MaskArray
from videodepth_ros.core.errors import InputError

UNBOUNDED = 1e30
"""Half-width of the valid range where all values are equal."""


class SnippetArray(Protocol):
    """Depth maps that are read in slices: an array, a memory map, an HDF5 dataset."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (S, L, H, W)."""
        ...

    def __getitem__(self, index: Any) -> NDArray[np.floating[Any]]:
        """Return the depth maps of one snippet, of a slice of snippets, or one depth map."""
        ...


@dataclass(frozen=True)
class Snippets:
    """Snippets of one length, usually of one dilation.

    frames          (S, L) int64, frame index of each depth map
    relative_depth  (S, L, H, W) floating, affine-invariant per snippet; NaN unknown. The
                    published weights assume that values span about 1 or 2
    """

    frames: IndexArray
    relative_depth: SnippetArray

    def __post_init__(self) -> None:
        """Validate the shapes.

        raises  InputError if they do not match, a frame is negative or twice in a snippet
        """
        shape = tuple(self.relative_depth.shape)
        if len(shape) != 4 or shape[:2] != self.frames.shape:
            raise InputError(
                f'snippets of frames {self.frames.shape} need depth maps (S, L, H, W) '
                f'of the same S and L, not {shape}'
            )
        ordered = np.sort(self.frames, axis=1)
        if self.frames.size and (ordered[:, 0].min() < 0 or (np.diff(ordered) == 0).any()):
            raise InputError('a snippet holds a frame twice, or a negative frame index')


@dataclass(frozen=True)
class SnippetSamples:
    """Samples of F frames at P pixels from at most R snippets a frame; K snippets in all.

    values   (F, R, P) float32, relative depth less `offset`, 0 where unknown
    known    (F, R, P) bool
    snippet  (F, R) int64, index of the snippet of each row; 0 in unused rows
    group    (K,) int64, index of the `Snippets` of each snippet
    cells    normaliser of the residuals: F * P * sum of the snippet lengths, as released
    offset   minimum over all snippets
    min_valid, max_valid   values outside are outliers, and unknown
    """

    values: Float32Array
    known: MaskArray
    snippet: IndexArray
    group: IndexArray
    cells: int
    offset: float
    min_valid: float
    max_valid: float

    def without(self, rejected: MaskArray) -> SnippetSamples:
        """Return the samples with all values of the ``rejected`` (K,) snippets unknown."""
        known = self.known & ~rejected[self.snippet][..., None]
        return replace(self, values=np.where(known, self.values, np.float32(0)), known=known)


def sample_snippets(snippets: Sequence[Snippets], options: CoalignOptions) -> SnippetSamples:
    """Read all snippets once and keep a regular grid of pixels within a border.

    The stride grows where a clip would leave more than `max_samples` values.
    raises  InputError if there is no snippet, or the image sizes differ
    """
    sizes = {tuple(group.relative_depth.shape[2:]) for group in snippets if len(group.frames)}
    if len(sizes) != 1:
        raise InputError(f'co-alignment needs snippets of one image size, not of {sizes}')
    groups = [group for group in snippets if len(group.frames)]
    rows, frame_count = _rows(groups)
    row_count = max(int(row.max()) for row in rows) + 1
    grid = _pixel_grid(sizes.pop(), options, options.max_samples / (frame_count * row_count))
    pixels = math.prod(len(range(side.start, side.stop, side.step)) for side in grid)
    values = np.full((frame_count, row_count, pixels), np.nan, np.float32)
    snippet = np.zeros((frame_count, row_count), np.int64)
    minima, before = [], 0
    for group, row in zip(groups, rows, strict=True):
        for part, maps in _read(group, options.sampling.read_values):
            frames = group.frames[part]
            sampled = maps[(..., *grid)]
            values[frames, row[part]] = sampled.reshape(*frames.shape, pixels)
            snippet[frames, row[part]] = np.arange(before, before + len(row))[part, None]
            minima.append(_minimum(maps.reshape(frames.size, -1)))
        before += len(row)
    return _without_outliers(values, snippet, groups, np.concatenate(minima), options.sampling)


def _without_outliers(
    values: Float32Array,
    snippet: IndexArray,
    groups: list[Snippets],
    minima: Float32Array,
    options: SamplingOptions,
) -> SnippetSamples:
    """Mask outliers and subtract the minimum, in place."""
    min_valid, max_valid = _valid_range(values, options)
    with np.errstate(invalid='ignore'):
        known = (values >= min_valid) & (values <= max_valid)
        offset = float(
            min(minima[minima >= min_valid].min(initial=np.inf), values[known].min(initial=np.inf))
        )
    values -= np.float32(offset)
    values[~known] = 0
    return SnippetSamples(
        values,
        known,
        snippet,
        group=np.repeat(np.arange(len(groups)), [len(group.frames) for group in groups]),
        cells=len(values) * sum(group.frames.shape[1] for group in groups) * values.shape[2],
        offset=offset,
        min_valid=min_valid,
        max_valid=max_valid,
    )


def _valid_range(values: Float32Array, options: SamplingOptions) -> tuple[float, float]:
    """Return the limits beyond which a value is an outlier, from quantiles of a subsample.

    raises  InputError if no value is finite
    """
    some = values.reshape(-1)[:: max(1, values.size // options.range_samples)]
    finite = some[np.isfinite(some)]
    if not finite.size:
        finite = values[np.isfinite(values)]
    if not finite.size:
        raise InputError('co-alignment needs a finite value, and all snippets are empty')
    low, high = (float(q) for q in np.quantile(finite, options.range_quantiles))
    margin = options.outlier_ranges * (high - low) if high > low else UNBOUNDED
    return low - margin, high + margin


def _rows(groups: list[Snippets]) -> tuple[list[IndexArray], int]:
    """Return the row of each depth map among those of its frame, (S, L), and the frame count.

    Rows are ordered as in the release, by group and by position in the snippet: where snippets
    nearly agree, the signs of residuals depend on the order of summation.
    """
    frames = np.concatenate([group.frames.T.ravel() for group in groups])
    order = np.argsort(frames, kind='stable')
    counts = np.bincount(frames)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    row = np.empty(len(frames), np.int64)
    row[order] = np.arange(len(frames)) - starts
    ends = np.cumsum([group.frames.size for group in groups])[:-1]
    parts = np.split(row, ends)
    return [
        part.reshape(group.frames.T.shape).T for part, group in zip(parts, groups, strict=True)
    ], len(counts)


def _pixel_grid(
    size: tuple[int, ...], options: CoalignOptions, max_pixels: float
) -> tuple[slice, slice]:
    """Return the sampled rows and columns of an image of (H, W)."""
    border = min(options.border_px, (min(size) - 1) // 2)
    height, width = (side - 2 * border for side in size)
    stride = options.stride_px
    while stride < max(height, width) and -(-height // stride) * -(-width // stride) > max_pixels:
        stride += 1
    return (slice(border, border + height, stride), slice(border, border + width, stride))


def _read(group: Snippets, values: int) -> Iterator[tuple[slice, Float32Array]]:
    """Yield slices of about ``values`` values, so that memory does not grow with the clip."""
    count = max(1, values // math.prod(group.relative_depth.shape[1:]))
    for start in range(0, len(group.frames), count):
        part = slice(start, start + count)
        yield part, np.asarray(group.relative_depth[part], np.float32)


def _minimum(maps: Float32Array) -> Float32Array:
    """Return the minimum of each row of (N, P) without NaN; NaN if all are."""
    minimum = maps.min(axis=1)
    unsure = np.isnan(minimum)
    minimum[unsure] = np.fmin.reduce(maps[unsure], axis=1)
    return minimum
