# SPDX-License-Identifier: Apache-2.0
"""Recordings and refined folders behind the page."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from test.support import refined_results as m
from test.support.results_bag import DEPTH_M, write_recording, write_results
from videodepth_ros.bags import BagWriter, open_bag
from videodepth_ros.core.errors import BagError
from videodepth_ros.results.bag import SourceRecording
from videodepth_ros.results.write import ResultOptions
from videodepth_ros.results.write import write_results as write_refined
from videodepth_ros.view.recording import open_recording
from videodepth_ros.view.source import STREAMS


def opened(path, images=None):
    return open_recording(path, images, lambda progress: None)


@pytest.mark.slow
def test_a_refined_folder_has_depth_poses_and_a_map(tmp_path):
    recording = m.write_bag(tmp_path / 'in', m.write_static)
    with open_bag(recording) as bag:
        given = SourceRecording(bag, m.IMAGE)
        write_refined(m.refined(), m.trajectory(), given, tmp_path / 'out', ResultOptions())
    with opened(tmp_path / 'out', recording) as source:
        facts = source.facts()
        assert (source.newest(), facts['streams']) == (7, ['image', 'depth', 'confidence'])
        np.testing.assert_allclose(facts['stamps'], 0.1 * np.arange(8))
        assert facts['has_map']
        assert len(facts['path']) == 3 * 8
        for number in (5, 0, 7):  # in any order
            frame = source.read(number, STREAMS)
            np.testing.assert_array_equal(frame.depth_m, m.depth(number))
            np.testing.assert_array_equal(frame.image, m.image(number))
            np.testing.assert_allclose(
                frame.T_map_cam[:3, 3], facts['path'][3 * number :][:3], atol=1e-4
            )
            assert frame.camera == m.CAMERA
            assert frame.confidence.max() == pytest.approx(0.8, abs=1e-3)
        cloud, data = source.map()
        assert len(data) == 9 * cloud['count'] > 0


def test_only_what_is_shown_is_read(tmp_path):
    path = write_results(tmp_path / 'out', 3)
    with opened(path) as source:
        frame = source.read(1, {'depth'})
        assert frame.confidence is None
        np.testing.assert_array_equal(frame.depth_m, np.full((24, 32), DEPTH_M))
        assert frame.T_map_cam[0, 3] == pytest.approx(0.1)
        assert source.facts()['streams'] == ['depth', 'confidence']
        assert not source.facts()['has_map']
        assert source.map() is None


def test_a_clock_of_the_recorder_that_differs_changes_nothing(tmp_path):
    path = write_results(tmp_path / 'out', 3, clock_ns=10**15)
    images = write_recording(tmp_path / 'in', 3, clock_ns=10**15)
    with opened(path, images) as source:
        frame = source.read(2, STREAMS)
        assert frame.depth_m is not None
        assert frame.image[0, 0].tolist() == [2, 20, 30]


def test_a_camera_alone_is_shown(tmp_path):
    with opened(write_recording(tmp_path / 'in', 3)) as source:
        assert source.facts()['streams'] == ['image']
        frame = source.read(4, STREAMS)
        assert frame.image is not None
        assert frame.depth_m is None


def test_a_recording_without_either_is_refused(tmp_path):
    with BagWriter(tmp_path / 'empty') as bag:
        bag.write_transform(1, 'a', 'b', np.eye(4))
    with pytest.raises(BagError, match='neither depth nor images'), opened(tmp_path / 'empty'):
        pass


def test_parameters_are_refused(tmp_path):
    with opened(write_results(tmp_path / 'out', 1)) as source:
        assert asyncio.run(source.set_parameter('scale.factor', 2.0))
        assert asyncio.run(source.reset())
