# SPDX-License-Identifier: Apache-2.0
"""The mean of co-aligned snippets."""

from __future__ import annotations

import numpy as np
import pytest

from test.support.film_clip import golden, golden_snippets, make_snippets, moving_clip
from videodepth_ros.coalign.samples import Snippets
from videodepth_ros.coalign.solver import SnippetAlignment, align_snippets, merge_snippets


def alignment(snippets: list[Snippets], scale=1.0, shift=0.0, usable=True) -> SnippetAlignment:
    counts = [len(kind.frames) for kind in snippets]
    return SnippetAlignment(
        tuple(np.full(n, scale) for n in counts),
        tuple(np.full(n, shift) for n in counts),
        tuple(np.full(n, usable) for n in counts),
        0.0,
        -10.0,
        10.0,
        0.0,
        0,
    )


def test_a_frame_is_the_mean_of_its_aligned_depth_maps():
    maps = np.arange(4.0)[:, None, None, None] * np.ones((4, 2, 2, 3))
    snippets = [Snippets(np.array([[0, 1], [1, 2], [2, 3], [3, 4]]), maps)]
    frames = list(merge_snippets(snippets, alignment(snippets, scale=2, shift=0.5)))
    assert [frame[1, 2] for frame in frames] == [0.5, 1.5, 3.5, 5.5, 6.5]
    assert frames[0].dtype == np.float32


def test_unknown_values_and_outliers_are_not_merged():
    maps = np.ones((2, 2, 2, 2))
    maps[0, 1, 0, 0], maps[0, 1, 0, 1], maps[0, 0, 1, 1] = np.nan, 1e6, np.inf
    snippets = [Snippets(np.array([[0, 1], [1, 2]]), maps)]
    first, second, _ = merge_snippets(snippets, alignment(snippets))
    assert np.isnan(first[1, 1])
    assert np.isfinite(first).sum() == 3
    assert (second == 1).all()


def test_an_unusable_snippet_is_merged_only_without_others():
    snippets = [
        Snippets(
            np.array([[0, 1], [1, 2]]), np.stack([np.ones((2, 2, 2)), np.full((2, 2, 2), 5.0)])
        )
    ]
    broken = alignment(snippets)
    broken.usable[0][1] = False
    assert [frame[0, 0] for frame in merge_snippets(snippets, broken)] == [1, 1, 5]


def test_frames_without_snippets_are_unknown():
    snippets = [Snippets(np.array([[0, 2]]), np.ones((1, 2, 2, 2)))]
    assert [np.isnan(frame).all() for frame in merge_snippets(snippets, alignment(snippets))] == [
        False,
        True,
        False,
    ]


@golden
@pytest.mark.parametrize(
    'name, dilations', [('e2e_n8_64_fast.npz', (1, 1)), ('e2e_n12_64x96_full.npz', (1, 3, 3))]
)
def test_merging_with_the_official_scales_equals_the_release(name, dilations):
    case, snippets, point = golden_snippets(name, dilations)
    parts = np.split(point, np.cumsum([len(kind.frames) for kind in snippets])[:-1])
    found = align_snippets(snippets)
    official = SnippetAlignment(
        tuple(part[:, 0] for part in parts),
        tuple(part[:, 1] for part in parts),
        found.usable,
        found.offset,
        found.min_valid,
        found.max_valid,
        0.0,
        0,
    )
    merged = np.stack(list(merge_snippets(snippets, official)))
    # Sums of nine float32 values below 2 in another order.
    np.testing.assert_allclose(merged, case['merged_raw'][:, 0], atol=1e-6)


def test_merging_exact_snippets_recovers_the_clip():
    clip = moving_clip(8)
    snippets = make_snippets(clip, noise=0, spread=0)
    np.testing.assert_allclose(
        list(merge_snippets(snippets, alignment(snippets))), clip, rtol=1e-6
    )
