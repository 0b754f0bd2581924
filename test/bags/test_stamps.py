# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test.support.bag_makers import (
    DELAY_NS,
    IMAGE,
    camera_messages,
    stamp_of,
    write_rosbag1,
    write_rosbag2,
)
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.stamps import Stamps, monotonic, monotonic_indices, read_stamps

S = 10**9


def places(seconds):
    return monotonic_indices(np.array(seconds, np.float64) * S // 1).tolist()


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [
        ([], []),
        ([7], [0]),
        ([1, 2, 3], [0, 1, 2]),
        ([1, 2, 9e6, 3, 4], [0, 1, 3, 4]),  # a leap
        ([1, 2, 2, 3], [0, 1, 3]),  # a stamp twice
        ([5, 6, 7, 1, 2, 3, 4, 8], [3, 4, 5, 6, 7]),  # the clock was set: the longer part
        ([5, 6, 7, 8, 1, 9, 10], [0, 1, 2, 3, 5, 6]),
        ([9, 1, 2, 3], [1, 2, 3]),
    ],
)
def test_the_longest_growing_order_is_kept(seconds, expected):
    assert places(seconds) == expected


def test_a_few_alone_at_either_end_have_wrong_stamps():
    seconds = [0.0, *(1000 + np.arange(30) / 10), 1e6, 1e6 + 1]
    assert places(seconds) == list(range(1, 31))


def test_a_pause_is_none_of_them():
    assert places([*range(10), *range(20_000, 20_003)]) == list(range(13))
    assert places([0, 300, 600]) == [0, 1, 2]
    assert places([0, 9e9]) == [0, 1]


@given(st.lists(st.integers(0, 50), max_size=9))
def test_no_growing_order_is_longer(stamps):
    found = monotonic_indices(np.array(stamps, np.int64)).tolist()
    assert found == sorted(found)
    assert all(stamps[a] < stamps[b] for a, b in pairwise(found))
    longest = [1] * len(stamps)
    for b, later in enumerate(stamps):
        longest[b] = max([1, *(longest[a] + 1 for a in range(b) if stamps[a] < later)])
    assert len(found) == max(longest, default=0)


@pytest.mark.parametrize('write', [write_rosbag1, write_rosbag2])
def test_stamps_are_read_without_their_messages(tmp_path, write):
    ticks = []
    with open_bag(write(tmp_path / 'bag.bag', camera_messages(4))) as bag:
        stamps = read_stamps(bag, IMAGE, lambda: ticks.append(1))
    assert stamps.stamp_ns.tolist() == [stamp_of(k) for k in range(4)]
    assert (stamps.recorded_ns - stamps.stamp_ns == DELAY_NS).all()
    assert len(ticks) == 4


def test_a_stamp_of_zero_is_the_time_of_recording():
    stamps = Stamps(np.array([5, 7]), np.array([5, 8]))
    assert stamps.contains(5, 0)
    assert stamps.contains(5, 5)
    assert stamps.contains(8, 7)
    assert not stamps.contains(8, 8)
    assert not stamps.contains(9, 7)  # recorded again
    assert not stamps.contains(3, 3)
    assert not stamps.contains(9, 9)


def test_a_topic_is_reduced_to_one_course():
    both = np.array([1, 2, 9, 3, 4])
    assert monotonic(Stamps(both, np.arange(5))).recorded_ns.tolist() == [0, 1, 3, 4]
