# SPDX-License-Identifier: Apache-2.0
from videodepth_ros.refine.stages.stereo import distrust_notes


def test_frames_of_the_prior_are_named():
    (note,) = distrust_notes([2, 3, 4, 9])
    assert 'frames 2 to 4, 9 (from 0)' in note
    assert 'depth is that of the prior' in note


def test_no_note_without_such_frames():
    assert distrust_notes([]) == ()
