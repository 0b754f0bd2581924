# SPDX-License-Identifier: Apache-2.0
"""Snippets of relative depth, and the few pixels of each that co-alignment looks at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

READ_AT_ONCE = 1_000_000
RANGE_SAMPLES = 200_000
RANGE_QUANTILES = (0.02, 0.98)
WILD = 10.0
FAR = 1e30


class Stack(Protocol):
    """Pictures that are read a slice at a time: an array, a memory map, a data set on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (S, L, H, W)."""
        ...

    def __getitem__(self, index: Any) -> NDArray[np.floating[Any]]:
        """Return the pictures of one snippet, of a slice of them, or one picture."""
        ...


@dataclass(frozen=True)
class Snippets:
    """The snippets of one kind, usually of one dilation.

    frames          (S, L) int64, the frame that each picture shows
    relative_depth  (S, L, H, W) floating, up to a scale and a shift of each snippet; NaN unknown.
                    Values span about 1 or 2: the published weights take them so
    """

    frames: Indices
    relative_depth: Stack

    def __post_init__(self) -> None:
        """Refuse frames and pictures that do not match.

        raises  InputError if their numbers differ, a frame is negative or twice in a snippet
        """
        shape = tuple(self.relative_depth.shape)
        if len(shape) != 4 or shape[:2] != self.frames.shape:
            raise InputError(
                f'snippets of frames {self.frames.shape} need pictures (S, L, H, W) '
                f'of the same S and L, not {shape}'
            )
        ordered = np.sort(self.frames, axis=1)
        if self.frames.size and (ordered[:, 0].min() < 0 or (np.diff(ordered) == 0).any()):
            raise InputError('a snippet shows a frame twice, or one before frame 0')


@dataclass(frozen=True)
class Samples:
    """What is known of each frame: F frames, R snippets at most that show one, P pixels.

    values   (F, R, P) float32, relative depth less `offset`, 0 where unknown
    known    (F, R, P) bool
    snippet  (F, R) int64, which snippet a row is from; 0 in rows that stay empty
    kind     (K,) int64, which of the given `Snippets` each snippet is of
    cells    number that the residuals are divided by: pixels of all frames in rows for every
             position in a snippet of each kind, whether a snippet is there or not
    offset   the least value of all snippets
    lowest, highest   values beyond are wild and count as unknown
    """

    values: Floats
    known: NDArray[np.bool_]
    snippet: Indices
    kind: Indices
    cells: int
    offset: float
    lowest: float
    highest: float

    def without(self, broken: NDArray[np.bool_]) -> Samples:
        """Return the samples with nothing known of some snippets, (K,) bool."""
        known = self.known & ~broken[self.snippet][..., None]
        return replace(self, values=np.where(known, self.values, np.float32(0)), known=known)


def sample_snippets(
    snippets: Sequence[Snippets], stride_px: int, border_px: int, max_samples: int
) -> Samples:
    """Read all snippets once and keep every `stride_px`-th pixel within a border.

    The stride grows where a clip would leave more than `max_samples` values.
    raises  InputError if there is no snippet, or their pictures differ in size
    """
    sizes = {tuple(kind.relative_depth.shape[2:]) for kind in snippets if len(kind.frames)}
    if len(sizes) != 1:
        raise InputError(f'co-alignment needs snippets of one picture size, not of {sizes}')
    kinds = [kind for kind in snippets if len(kind.frames)]
    rows, frame_count = _rows(kinds)
    row_count = max(int(row.max()) for row in rows) + 1
    window = _window(sizes.pop(), stride_px, border_px, max_samples / (frame_count * row_count))
    pixels = math.prod(len(range(side.start, side.stop, side.step)) for side in window)
    values = np.full((frame_count, row_count, pixels), np.nan, np.float32)
    snippet = np.zeros((frame_count, row_count), np.int64)
    lows, before = [], 0
    for kind, row in zip(kinds, rows, strict=True):
        for part, pictures in _read(kind):
            frames = kind.frames[part]
            thin = pictures[(..., *window)]
            values[frames, row[part]] = thin.reshape(*frames.shape, pixels)
            snippet[frames, row[part]] = np.arange(before, before + len(row))[part, None]
            lows.append(_least(pictures.reshape(frames.size, -1)))
        before += len(row)
    return _known(values, snippet, kinds, np.concatenate(lows))


def _known(values: Floats, snippet: Indices, kinds: list[Snippets], lows: Floats) -> Samples:
    """Tell the known values from the others and set their least to 0, in place."""
    lowest, highest = _range(values)
    with np.errstate(invalid='ignore'):
        known = (values >= lowest) & (values <= highest)
        offset = float(
            min(lows[lows >= lowest].min(initial=np.inf), values[known].min(initial=np.inf))
        )
    values -= np.float32(offset)
    values[~known] = 0
    return Samples(
        values,
        known,
        snippet,
        kind=np.repeat(np.arange(len(kinds)), [len(kind.frames) for kind in kinds]),
        cells=len(values) * sum(kind.frames.shape[1] for kind in kinds) * values.shape[2],
        offset=offset,
        lowest=lowest,
        highest=highest,
    )


def _range(values: Floats) -> tuple[float, float]:
    """Return the range beyond which a value is wild: far out of that of nearly all.

    raises  InputError if no value is finite
    """
    some = values.reshape(-1)[:: max(1, values.size // RANGE_SAMPLES)]
    finite = some[np.isfinite(some)]
    if not finite.size:
        finite = values[np.isfinite(values)]
    if not finite.size:
        raise InputError('co-alignment needs a finite value, and all snippets are empty')
    low, high = (float(q) for q in np.quantile(finite, RANGE_QUANTILES))
    reach = WILD * (high - low) if high > low else FAR
    return low - reach, high + reach


def _rows(kinds: list[Snippets]) -> tuple[list[Indices], int]:
    """Return the row of each picture among those of its frame, (S, L), and the frame count.

    Rows are in the order of the release, by kind and by position in the snippet: where snippets
    nearly agree, the signs of residuals hang on the order in which a mean is summed up.
    """
    frames = np.concatenate([kind.frames.T.ravel() for kind in kinds])
    order = np.argsort(frames, kind='stable')
    counts = np.bincount(frames)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    row = np.empty(len(frames), np.int64)
    row[order] = np.arange(len(frames)) - starts
    ends = np.cumsum([kind.frames.size for kind in kinds])[:-1]
    parts = np.split(row, ends)
    return [
        part.reshape(kind.frames.T.shape).T for part, kind in zip(parts, kinds, strict=True)
    ], len(counts)


def _window(
    size: tuple[int, ...], stride_px: int, border_px: int, max_pixels: float
) -> tuple[slice, slice]:
    """Return which rows and columns are kept of a picture of (H, W)."""
    border = min(border_px, (min(size) - 1) // 2)
    height, width = (side - 2 * border for side in size)
    while (
        stride_px < max(height, width)
        and -(-height // stride_px) * -(-width // stride_px) > max_pixels
    ):
        stride_px += 1
    return (slice(border, border + height, stride_px), slice(border, border + width, stride_px))


def _read(kind: Snippets) -> Iterator[tuple[slice, Floats]]:
    """Yield a few snippets at a time, so that memory does not grow with the clip."""
    at_once = max(1, READ_AT_ONCE // math.prod(kind.relative_depth.shape[1:]))
    for start in range(0, len(kind.frames), at_once):
        part = slice(start, start + at_once)
        yield part, np.asarray(kind.relative_depth[part], np.float32)


def _least(pictures: Floats) -> Floats:
    """Return the least value of each picture, unknown ones aside; NaN if all are."""
    least = pictures.min(axis=1)
    unsure = np.isnan(least)
    least[unsure] = np.fmin.reduce(pictures[unsure], axis=1)
    return least
