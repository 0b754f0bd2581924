# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
from results_bag import LATENCY_NS, START_NS, once, stamp_of, write_recording, write_results

from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.errors import BagError, ConfigError
from videodepth_ros.nodes.playlist import CAMERA_INFO, Entry, Playlist, Track, as_ros2, in_order

FRAMES = 8


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / 'results', FRAMES)


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / 'recording', FRAMES)


def by_topic(playlist):
    found = {}
    for entry in playlist.entries():
        found.setdefault(entry.track.topic, []).append(entry)
    return found


def test_everything_has_its_time(results, recording):
    with Playlist(results, recording) as playlist:
        assert (playlist.begin_ns, playlist.end_ns) == (stamp_of(0), stamp_of(FRAMES - 1))
        due = [entry.due_ns for entry in playlist.entries()]
        found = by_topic(playlist)
    assert due == sorted(due)
    assert set(found) == {'depth/image', 'depth/confidence', 'depth/camera_info', 'path', '/tf',
                          '/camera/image_raw', '/camera/camera_info'}
    for topic in ('depth/image', '/camera/image_raw', '/camera/camera_info'):
        assert [entry.due_ns for entry in found[topic]] == [stamp_of(k) for k in range(FRAMES)]


def test_transforms_of_both_are_played_and_reach_before_the_first_image(results, recording):
    with Playlist(results, recording) as playlist:
        entries = by_topic(playlist)['/tf']
        static = playlist.static_transforms().transforms
    children = [each.child_frame_id for entry in entries for each in entry.message.transforms]
    assert children.count('odom') == FRAMES
    assert children.count('base') == FRAMES + 4
    assert entries[0].due_ns == START_NS
    assert {(each.header.frame_id, each.child_frame_id) for each in static} == {
        ('world', 'map'), ('base', 'optical')}


def test_no_frame_gets_a_second_parent(results, tmp_path):
    with BagWriter(tmp_path / 'recording') as bag:
        bag.write_transform(stamp_of(1), 'earth', 'odom', np.eye(4))
        bag.write_transform(stamp_of(0), 'earth', 'map', np.eye(4), static=True)
        bag.write_image('camera/image', stamp_of(1), 'optical', np.zeros((4, 4, 3), np.uint8))
    with Playlist(results, tmp_path / 'recording') as playlist:
        parents = {each.child_frame_id: each.header.frame_id
                   for entry in by_topic(playlist)['/tf'] for each in entry.message.transforms}
        static = {each.child_frame_id: each.header.frame_id
                  for each in playlist.static_transforms().transforms}
    assert parents == {'odom': 'map'}
    assert static == {'map': 'world'}


def test_a_recorder_with_another_clock(results, tmp_path):
    recording = write_recording(tmp_path / 'recording', FRAMES, clock_ns=10 ** 15)
    with Playlist(results, recording, 'all') as playlist:
        found = by_topic(playlist)
    assert [entry.due_ns for entry in found['/camera/image_raw']] == [
        stamp_of(k) for k in range(FRAMES)]
    due = [entry.due_ns for entry in found['/bumper']]
    assert due == [stamp_of(k) - LATENCY_NS for k in range(1, FRAMES)]


def test_all_that_the_recording_has(results, recording):
    with Playlist(results, recording, 'all') as playlist:
        found = by_topic(playlist)
    assert len(found['/bumper']) == FRAMES
    assert [(entry.due_ns, entry.track.latched) for entry in found['/description']] == [
        (START_NS, True)]


def test_results_alone(results, recording):
    for given in ((results, None), (results, recording, 'none')):
        with Playlist(*given) as playlist:
            assert playlist.image is None
            assert set(by_topic(playlist)) == {'depth/image', 'depth/confidence', 'path', '/tf',
                                               'depth/camera_info'}


def test_images_that_the_results_hold_are_not_played_twice(tmp_path, recording):
    with BagWriter(tmp_path / 'results') as bag:
        for k in range(FRAMES):
            bag.write_depth('videodepth/depth/image', stamp_of(k), 'optical',
                            np.ones((4, 4), np.float32))
            bag.write_image('camera/image_raw', stamp_of(k), 'optical',
                            np.zeros((4, 4, 3), np.uint8))
    with Playlist(tmp_path / 'results', recording) as playlist:
        assert len(by_topic(playlist)['/camera/image_raw']) == FRAMES
        assert playlist.image is not None


def test_what_cannot_be_played_says_why(tmp_path, results):
    with pytest.raises(BagError, match='nothing does not exist'):
        Playlist(tmp_path / 'nothing', None)
    with BagWriter(tmp_path / 'deaf') as bag:
        bag.write(*once('bumper', START_NS))
    with pytest.raises(ConfigError, match='no topic with camera images'):
        Playlist(results, tmp_path / 'deaf')
    (tmp_path / 'broken').mkdir()
    with pytest.raises(BagError, match='cannot be read'):
        Playlist(tmp_path / 'broken', None)


def test_entries_are_put_in_order():
    track = Track('t', 't', 'std_msgs/msg/String', False)
    due = list(range(100))
    jumbled = [Entry(10 * k, track, k) for k in sorted(due, key=lambda k: k
               + random.Random(k).uniform(0, 5))]
    assert [entry.message for entry in jumbled] != due
    assert [entry.message for entry in in_order(jumbled, 60)] == due


def test_the_calibration_of_ros_1_becomes_one_of_ros_2():
    numbers = {'D': [0.1] * 5, 'K': list(range(9)), 'R': [0.0] * 9, 'P': [1.0] * 12}
    old = SimpleNamespace(header='header', height=3, width=4, distortion_model='plumb_bob',
                          binning_x=0, binning_y=0, roi='roi', **numbers)
    new = as_ros2(old, CAMERA_INFO)
    assert (new.k, new.d, new.width, new.header) == (list(range(9)), [0.1] * 5, 4, 'header')
    assert as_ros2(new, CAMERA_INFO) is new
