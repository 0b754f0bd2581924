# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.typesys import Stores, get_typestore

from test.support.results_bag import (
    CAMERA,
    LATENCY_NS,
    START_NS,
    once,
    stamp_of,
    write_recording,
    write_results,
)
from videodepth_ros.bags.types import STORE, new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.messages.transforms import set_stamp, stamp_ns
from videodepth_ros.nodes.playlist import Entry, PlaybackSources, Playlist, Track, reorder

STORE_1 = get_typestore(Stores.ROS1_NOETIC)

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
    with Playlist(PlaybackSources(results, recording)) as playlist:
        assert (playlist.begin_ns, playlist.end_ns) == (stamp_of(0), stamp_of(FRAMES - 1))
        due = [entry.due_ns for entry in playlist.entries()]
        found = by_topic(playlist)
    assert due == sorted(due)
    assert set(found) == {
        'depth/image',
        'depth/confidence',
        'depth/camera_info',
        'path',
        '/tf',
        '/camera/image_raw',
        '/camera/camera_info',
    }
    for topic in ('depth/image', '/camera/image_raw', '/camera/camera_info'):
        assert [entry.due_ns for entry in found[topic]] == [stamp_of(k) for k in range(FRAMES)]


def tf_of(data):
    return STORE.deserialize_cdr(data, 'tf2_msgs/msg/TFMessage').transforms


def test_transforms_are_played_once_and_from_before_the_first_image(results, recording):
    with Playlist(PlaybackSources(results, recording)) as playlist:
        entries = by_topic(playlist)['/tf']
        static = tf_of(playlist.static_transforms())
    children = [each.child_frame_id for entry in entries for each in tf_of(entry.data)]
    assert children.count('odom') == FRAMES
    assert children.count('base') == FRAMES + 4
    assert entries[0].due_ns == START_NS
    assert {(each.header.frame_id, each.child_frame_id) for each in static} == {
        ('world', 'map'),
        ('base', 'optical'),
    }


def test_a_recorder_with_another_clock(tmp_path):
    results = write_results(tmp_path / 'results', FRAMES, clock_ns=10**15)
    recording = write_recording(tmp_path / 'recording', FRAMES, clock_ns=10**15)
    with Playlist(PlaybackSources(results, recording), 'all') as playlist:
        found = by_topic(playlist)
    for topic in ('/camera/image_raw', 'depth/image'):
        assert [entry.due_ns for entry in found[topic]] == [stamp_of(k) for k in range(FRAMES)]
    assert [entry.due_ns for entry in found['/bumper']] == [
        stamp_of(k) - LATENCY_NS for k in range(1, FRAMES)
    ]
    assert [entry.due_ns for entry in found['/tf']][-1] == stamp_of(FRAMES - 1)


def test_results_without_poses(tmp_path, recording):
    with BagWriter(tmp_path / 'results') as bag:
        for k in (2, 3):
            bag.write_camera_info('videodepth/depth/camera_info', stamp_of(k), 'optical', CAMERA)
    with Playlist(PlaybackSources(tmp_path / 'results', recording)) as playlist:
        assert (playlist.begin_ns, playlist.end_ns) == (stamp_of(2), stamp_of(3))
        assert len(by_topic(playlist)['/camera/image_raw']) == 2
        assert not tf_of(playlist.static_transforms())


def test_all_that_the_recording_has(results, recording):
    with Playlist(PlaybackSources(results, recording), 'all') as playlist:
        found = by_topic(playlist)
    assert len(found['/bumper']) == FRAMES
    assert [(entry.due_ns, entry.track.latched) for entry in found['/description']] == [
        (START_NS, True)
    ]


def test_results_alone(results, recording):
    for given in ((PlaybackSources(results),), (PlaybackSources(results, recording), 'none')):
        with Playlist(*given) as playlist:
            assert playlist.image is None
            assert set(by_topic(playlist)) == {
                'depth/image',
                'depth/confidence',
                'path',
                '/tf',
                'depth/camera_info',
            }


@pytest.mark.parametrize(('play_topics', 'images'), [('camera', 2), ('all', 2), ('none', 0)])
def test_images_that_the_results_hold_are_played_from_there(
    tmp_path, recording, play_topics, images
):
    with BagWriter(tmp_path / 'results') as bag:
        for k in (2, 3):
            bag.write_camera_info('videodepth/depth/camera_info', stamp_of(k), 'optical', CAMERA)
            bag.write_image('camera/image_raw', stamp_of(k), 'mine', np.zeros((4, 4, 3), np.uint8))
    with Playlist(PlaybackSources(tmp_path / 'results', recording), play_topics) as playlist:
        played = by_topic(playlist).get('/camera/image_raw', [])
        assert (playlist.image is not None) == bool(images)
    assert len(played) == images
    for entry in played:
        assert STORE.deserialize_cdr(entry.data, entry.track.type).header.frame_id == 'mine'


def test_a_recording_of_ros_1(results, tmp_path):
    path = tmp_path / 'drive.bag'
    with Writer1(path) as bag:
        for kind in ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'):
            topic = '/camera/image' if kind.endswith('Image') else '/camera/camera_info'
            to = bag.add_connection(topic, kind, typestore=STORE_1)
            for k in (1, 2):
                message = new_message(kind)
                set_stamp(message.header.stamp, stamp_of(k))
                raw = STORE.cdr_to_ros1(STORE.serialize_cdr(message, kind), kind)
                bag.write(to, stamp_of(k), raw)
    with Playlist(PlaybackSources(results, path)) as playlist:
        found = by_topic(playlist)
    for topic in ('/camera/image', '/camera/camera_info'):
        assert [entry.due_ns for entry in found[topic]] == [stamp_of(1), stamp_of(2)]
        message = STORE.deserialize_cdr(found[topic][0].data, found[topic][0].track.type)
        assert stamp_ns(message.header.stamp) == stamp_of(1)


def test_an_unplayable_bag_raises_with_the_reason(tmp_path, results, recording):
    with pytest.raises(BagError, match='nothing does not exist'):
        Playlist(PlaybackSources(tmp_path / 'nothing', None))
    with pytest.raises(BagError, match='not a refined recording'):
        Playlist(PlaybackSources(recording, None))
    with BagWriter(tmp_path / 'deaf') as bag:
        bag.write(*once('bumper', START_NS))
    with pytest.raises(ConfigError, match='no topic with camera images'):
        Playlist(PlaybackSources(results, tmp_path / 'deaf'))


def jumble(tracks, lateness_ns):
    """Return entries of some tracks, each in order, as they come: by due time plus lateness."""
    entries = [Entry(10 * k, track, bytes([k])) for k in range(100) for track in tracks]
    return sorted(entries, key=lambda entry: entry.due_ns + lateness_ns[entry.track.topic])


def test_entries_are_put_in_order_and_few_are_held_back():
    prompt, late = (Track(name, name, 'std_msgs/msg/String', False) for name in ('now', 'late'))
    came = jumble([prompt, late], {'now': 0, 'late': 35})
    taken = [0]

    def count(entries):
        for entry in entries:
            taken[0] += 1
            yield entry

    held, due = [], []
    for entry in reorder(count(came), {prompt, late}, 1000):
        due.append(entry.due_ns)
        held.append(taken[0] - len(due))
    assert due == sorted(due) != [entry.due_ns for entry in came]
    assert len(due) == 200
    assert max(held) <= 8


def test_a_track_that_stops_delays_others_by_the_window_at_most():
    here, gone = (Track(name, name, 'std_msgs/msg/String', False) for name in ('here', 'gone'))
    entries = reorder(jumble([here], {'here': 0}), {here, gone}, 50)
    assert next(entries).due_ns == 0
    assert len(list(entries)) == 99
