# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.bags.stamps import Stamps
from videodepth_ros.core.errors import BagError
from videodepth_ros.refine.depth_association import associate_depth, nearest_indices

MS = 1_000_000
IMAGES_MS = np.arange(0, 3000, 100)


def stamps(at_ms, recorded_ms=None):
    at_ns = np.asarray(at_ms, np.int64) * MS
    return Stamps(at_ns, at_ns if recorded_ms is None else np.asarray(recorded_ms, np.int64) * MS)


def matched(depth):
    return associate_depth(stamps(IMAGES_MS).stamp_ns, stamps(IMAGES_MS), depth, '/depth')


def test_depth_at_the_frames_needs_no_word():
    match = matched(stamps(IMAGES_MS + 20))
    match.check()
    assert (match.lacking, match.notes, match.max_offset_ns) == (0, (), 50 * MS)


def test_frames_without_depth_are_counted_in_a_note():
    match = matched(stamps(IMAGES_MS + 1000))
    match.check()
    assert match.lacking == 10
    (note,) = match.notes
    assert '10 of 30 frames have no depth of /depth within 50 ms' in note
    assert match.has_depth.tolist() == 10 * [False] + 20 * [True]
    assert 'starts 1.00 s after them' in note


def test_most_frames_without_depth_are_an_error():
    with pytest.raises(BagError, match=r'20 of 30 .*starts 2\.00 s after them.*Synchronise'):
        matched(stamps(IMAGES_MS + 2000)).check()
    with pytest.raises(BagError, match=r'30 of 30.*40\.00 s before them.*--depth-topic'):
        matched(stamps(IMAGES_MS - 40_000)).check()
    with pytest.raises(BagError, match=r'median distance from the frames is 0\.20 s.*--stride'):
        matched(stamps(np.arange(0, 3000, 900))).check()
    with pytest.raises(BagError, match='has no depth image'):
        matched(stamps([])).check()


def test_another_clock_is_detected_by_the_times_of_recording():
    match = matched(stamps(IMAGES_MS, IMAGES_MS - 2000))
    (note,) = match.notes
    assert 'are 2.00 s ahead of those of the images' in note


def test_a_single_depth_image_is_matched_within_the_longest_offset():
    assert matched(stamps([140])).lacking == 29


def test_nearest():
    at = np.array([0, 4, 5, 6, 99])
    assert nearest_indices(np.array([5]), at).tolist() == [0] * 5
    assert nearest_indices(np.array([2, 8]), at).tolist() == [0, 0, 1, 1, 1]
