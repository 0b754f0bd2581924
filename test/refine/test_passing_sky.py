# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.refine.passing_sky import find_passing_sky, passing_sky_notes


def depths(shares):
    frames = np.ones((len(shares), 10, 10), np.float32)
    for frame, share in zip(frames, shares, strict=True):
        frame.ravel()[: round(100 * share)] = np.inf
    return frames


@pytest.mark.parametrize(
    ('shares', 'passing'),
    [
        ([0, 0, 0, 0.02, 0.22, 0, 0, 0], [3, 4]),
        ([0.3, 0.3, 0.3, 0.32, 0.3, 0.28, 0.3], []),
        ([0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5], []),  # the camera turns to the sky
        ([0.1, 0.1, 0.1, 0.9, 0.1, 0.1], [3]),
        ([0, 0, 0.01, 0, 0], []),
        ([0.5], []),
    ],
)
def test_sky_of_a_frame_or_two_is_passing(shares, passing):
    assert np.flatnonzero(find_passing_sky(depths(shares))).tolist() == passing


def test_the_note_names_the_frames():
    assert passing_sky_notes(np.zeros(5, bool)) == ()
    (note,) = passing_sky_notes(np.array([0, 0, 1, 1, 0], bool))
    assert 'sky at frames 2 to 3 (from 0)' in note
