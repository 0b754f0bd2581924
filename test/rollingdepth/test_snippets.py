# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.rollingdepth.snippets import (
    DILATIONS,
    plan_refinement,
    plan_snippets,
    release_dilation_cap,
    snippet_frames,
)

INDICES = Path(__file__).parents[2].parent / 'shared/goldens/rollingdepth/indices.json'
golden = pytest.mark.skipif(not INDICES.is_file(), reason='no ../shared/goldens/rollingdepth here')


def test_windows_are_dilated_and_reach_the_last_frame():
    assert snippet_frames(7, 3, 2).tolist() == [[0, 2, 4], [1, 3, 5], [2, 4, 6]]


def test_a_stride_adds_a_window_at_the_end():
    assert snippet_frames(8, 2, 1, 3).tolist() == [[0, 1], [3, 4], [6, 7]]
    assert snippet_frames(9, 2, 1, 3).tolist() == [[0, 1], [3, 4], [6, 7], [7, 8]]


def test_the_error_of_a_short_clip_names_a_dilation_that_fits():
    with pytest.raises(ConfigError, match='dilation to 4'):
        snippet_frames(15, 3, 25)


@pytest.mark.parametrize('numbers', [(0, 1, 1), (3, 0, 1), (3, 1, 0)])
def test_numbers_below_one_are_rejected(numbers):
    with pytest.raises(ConfigError, match='at least 1'):
        snippet_frames(9, *numbers)


@given(st.integers(1, 200), st.integers(1, 4), st.lists(st.integers(1, 60), max_size=4))
def test_a_plan_covers_every_frame_with_full_snippets(frame_count, length, more):
    plan = plan_snippets(frame_count, length, (1, *more))
    assert set(np.concatenate([frames.ravel() for frames in plan])) == set(range(frame_count))
    for frames in plan:
        assert frames.shape[1] == min(length, frame_count)
        assert (np.diff(frames, axis=1) > 0).all()


def test_a_plan_drops_dilations_that_a_short_clip_makes_equal():
    assert [frames[0].tolist() for frames in plan_snippets(12)] == [[0, 1, 2], [0, 3, 6]]


@pytest.mark.parametrize('frame_count', [1, 2, 3, 4, 5])
def test_clips_on_which_the_release_fails_have_a_plan(frame_count):
    (frames,) = plan_snippets(frame_count, dilations=DILATIONS)
    assert frames.shape == (max(1, frame_count - 2), min(3, frame_count))


@pytest.mark.parametrize('dilations, stride', [((), 1), ((1,), 5)])
def test_a_plan_that_misses_frames_is_rejected(dilations, stride):
    with pytest.raises(ConfigError, match='leave out'):
        plan_snippets(80, dilations=dilations, stride=stride)


def test_an_empty_clip_is_rejected():
    with pytest.raises(ConfigError, match='at least one frame'):
        plan_snippets(0)


def test_refinement_starts_in_the_middle_and_ends_at_dilation_one():
    plan = plan_refinement(10)
    assert plan.dilations == (6, 5, 5, 4, 4, 3, 3, 2, 1, 1)
    assert (plan.first_step, plan.total_steps) == (10, 20)
    with pytest.raises(ConfigError, match='at least 1 step'):
        plan_refinement(0)


@golden
def test_windows_equal_the_release():
    for case in json.loads(INDICES.read_text())['snippet_indices']:
        numbers = case['seq_len'], case['snippet_len'], case['dilation'], case['stride']
        if isinstance(case['out'], str):
            with pytest.raises(ConfigError):
                snippet_frames(*numbers)
        else:
            assert snippet_frames(*numbers).tolist() == case['out'], numbers


@golden
def test_caps_equal_the_release():
    for *numbers, expected in json.loads(INDICES.read_text())['cap_max_dilation_N_L_d_out']:
        assert release_dilation_cap(*numbers) == expected, numbers


@golden
def test_refinement_equals_the_release():
    for case in json.loads(INDICES.read_text())['refine_schedule']:
        length, frame_count = case['snippet_len'], case['seq_len']
        plan = plan_refinement(case['refine_step'], case['start_dilation'])
        assert list(plan.dilations) == case['dilation_per_step']
        for dilation, counts in zip(plan.dilations, case['count_per_step'], strict=True):
            frames = snippet_frames(frame_count, length, dilation)
            assert np.bincount(frames.ravel(), minlength=frame_count).tolist() == counts
