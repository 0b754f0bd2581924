# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from test.support.film_clip import GOLDENS, golden, golden_snippets, misfit, moving_clip
from videodepth_ros.coalign.options import CoalignOptions
from videodepth_ros.coalign.solver import align_snippets, merge_snippets
from videodepth_ros.rollingdepth.inference import rolling_depth, to_unit_range
from videodepth_ros.rollingdepth.snippets import plan_snippets


@pytest.mark.parametrize('frame_count', [1, 2, 5, 24])
def test_rolling_depth_recovers_a_clip_up_to_one_scale_and_shift(tmp_path, frame_count):
    clip = moving_clip(frame_count)
    random = np.random.default_rng(3)

    def predict(frames):
        return random.uniform(0.7, 1.4) * clip[frames]

    merged = np.stack(list(rolling_depth(plan_snippets(frame_count), predict, tmp_path)))
    assert merged.shape == clip.shape
    assert misfit(merged, clip) < 2e-3


def test_the_unit_range_spans_the_whole_clip_and_unknown_stays():
    clip = np.float32([[[2, np.nan]], [[4, 3]]])
    np.testing.assert_array_equal(to_unit_range(clip), [[[-1, np.nan]], [[1, 0]]])
    assert (to_unit_range(np.full((2, 1, 1), 0.3, np.float32)) == -1).all()


@golden
@pytest.mark.parametrize(
    'name, dilations',
    [
        ('e2e_n8_64_fast.npz', (1, 1)),
        ('e2e_n8_64_refine4.npz', (1, 2)),
        ('e2e_n9_60x90_odd_fast.npz', (1, 3)),
        ('e2e_n10_64_snip2_steps2.npz', (1, 3)),
        ('e2e_n12_64x96_full.npz', (1, 3, 3)),
    ],
)
def test_with_the_published_solver_the_clip_equals_that_of_the_release(name, dilations):
    if not (GOLDENS / name).is_file():
        pytest.skip(f'{name} is not among the goldens here')
    case, snippets, _ = golden_snippets(name, dilations)
    found = align_snippets(snippets, CoalignOptions(solver='adam'))
    clip = np.stack(list(merge_snippets(snippets, found)))
    # The tolerance of the goldens' README after co-alignment: Adam's steps never settle.
    np.testing.assert_allclose(clip, case['merged_raw'][:, 0], atol=5e-3)
    np.testing.assert_allclose(to_unit_range(clip), case['depth_coaligned'][:, 0], atol=5e-3)
