# SPDX-License-Identifier: Apache-2.0
import numpy as np

from videodepth_ros.refine.stages.stereo import contradicts, distrust_notes


def test_frames_of_the_prior_are_named():
    (note,) = distrust_notes([2, 3, 4, 9])
    assert 'frames 2 to 4, 9 (from 0)' in note
    assert 'depth is that of the prior' in note


def test_no_note_without_such_frames():
    assert distrust_notes([]) == ()


def test_alignment_contradicts_a_prior_that_it_bends_far():
    prior_m = np.full((12, 16), 5.0, np.float32)
    prior_m[0] = np.nan
    assert not contradicts(prior_m, 1.2 * prior_m)
    assert contradicts(prior_m, 2 * prior_m)
    assert not contradicts(np.full_like(prior_m, np.nan), prior_m)
