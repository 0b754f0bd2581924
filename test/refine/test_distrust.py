# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import numpy as np
import pytest

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.refine.stages.stereo import (
    StereoFrames,
    contradicts,
    distrust_notes,
    distrust_reason,
)


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


def test_a_recording_is_distrusted_by_less_than_two_thirds_of_its_frames():
    assert distrust_reason([1.0, 0.5, 0.0]) == ''
    assert distrust_reason([]) == ''
    reason = distrust_reason([1.0, 0.4, 0.0])
    assert '1 of 3 compared frames' in reason
    assert 'all frames is that of the prior at one scale' in reason
    assert distrust_notes([0, 1, 2], reason) == (reason,)


def frames_of(prior, aligned, prior_only):
    """Return the frames of an aligned recording whose prior is in units of 2 m."""

    class Stored:
        def __init__(self, values):
            self.values = values

        def open(self):
            return self.values

    camera = Intrinsics.centred(16, 12, 12.0)
    poses = np.tile(np.eye(4), (len(prior), 1, 1))
    scale = SimpleNamespace(metres=1.0)
    sequence = SimpleNamespace(
        depth=Stored(aligned), scale=scale, metric_T_world_cam=poses, camera_of=lambda _: camera
    )
    rgb = np.zeros((12, 16, 3), np.uint8)
    images = SimpleNamespace(images=SimpleNamespace(record=lambda _: rgb), full_size=None)
    known = tuple(range(len(prior)))
    options = StereoOptions()
    return StereoFrames(
        images, sequence, known, options, Stored(prior), 2.0, prior_only=prior_only
    )


def test_prior_of_a_distrusted_recording_has_one_scale():
    prior = np.stack([np.full((12, 16), value, np.float32) for value in (2, 2.2, 3)])
    aligned = 2 * prior * np.array([0.9, 1.1, 3], np.float32)[:, None, None]
    frames = frames_of(prior, aligned, prior_only=True)
    fallback_m = [1 / frames.view(k).fallback_per_m.mean() for k in range(3)]
    assert fallback_m == pytest.approx([4, 4.4, 6], rel=1e-5)
    bent = [frames_of(prior, aligned, prior_only=False).view(k).fallback_per_m for k in range(3)]
    assert bent[0] is None
    assert bent[1] is None
    assert 1 / bent[2].mean() == pytest.approx(6, rel=1e-5)
