# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage
from videodepth.msg import OfflineStatus

from test.support import fake_jobs
from test.support.results_bag import DEPTH_M, START_NS, stamp_of, write_recording, write_results
from videodepth_ros.messages.cloud import POINT
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.nodes import playback as module
from videodepth_ros.nodes.offline_diagnostics import find_warnings

FRAMES = 20
STAMPS = [stamp_of(k) for k in range(FRAMES)]


@pytest.fixture
def make_player(make_offline, tmp_path):
    """Return a function that gives a node which is about to play results."""
    bag = write_recording(tmp_path / 'drive', FRAMES)
    write_results(tmp_path / 'drive_refined', FRAMES)

    def make(**parameters):
        return make_offline(
            fake_jobs.broken,
            bag=str(bag),
            **{'play_delay_s': 0.5, 'cloud__stride': 1, **parameters},
        )

    return make


def is_over(rig):
    return rig.node.status().playback == OfflineStatus.ENDED


def stamps(messages):
    return [stamp_ns(message.header.stamp) for message in messages]


def times(clock):
    return [stamp_ns(message.clock) for message in clock]


def test_everything_arrives_once_with_its_stamp(make_player):
    rig = make_player()
    heard = {
        topic: rig.hear(topic, kind)
        for topic, kind in {
            'depth/image': Image,
            'depth/camera_info': CameraInfo,
            'depth/confidence': Image,
            'depth/points': PointCloud2,
            '/camera/image_raw': Image,
            '/camera/camera_info': CameraInfo,
        }.items()
    }
    rig.until(lambda: is_over(rig))
    rig.until(lambda: all(len(messages) == FRAMES for messages in heard.values()))
    for topic, messages in heard.items():
        assert stamps(messages) == STAMPS, topic
        assert {message.header.frame_id for message in messages} == {'optical'}
    depth = heard['depth/image'][3]
    assert np.frombuffer(depth.data, np.float32)[5] == DEPTH_M


def test_clouds_have_the_colours_of_their_images(make_player):
    rig = make_player()
    clouds = rig.hear('depth/points', PointCloud2)
    rig.until(lambda: len(clouds) == FRAMES)
    for k, cloud in enumerate(clouds):
        points = np.frombuffer(cloud.data, POINT)
        assert (points['rgb'] == (k << 16 | 20 << 8 | 30)).all()
        np.testing.assert_allclose(points['z'], DEPTH_M)


class Waits:
    """A steady clock, and an event that means nothing: to wait for it moves that clock alone."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def wait(self, timeout_s):
        self.now_s += timeout_s

    def clear(self):
        """Nobody asks whether it was set."""

    def set(self):
        """Nobody waits in truth."""


def test_time_passes_at_the_rate(make_player, monkeypatch):
    waits, told = Waits(), []
    monkeypatch.setattr(module, 'time', SimpleNamespace(monotonic=lambda: waits.now_s))
    monkeypatch.setattr(
        module, 'threading', SimpleNamespace(Thread=threading.Thread, Event=lambda: waits)
    )
    monkeypatch.setattr(
        module._PlaybackPublishers,
        'publish_clock',
        lambda _, data_ns: told.append((waits.now_s, data_ns)),
    )
    rig = make_player(rate=2.0)
    rig.until(lambda: is_over(rig))
    begin_s = 100.0 + 0.5  # the delay
    for now_s, data_ns in told:
        assert data_ns - START_NS == pytest.approx(max(0, 2e9 * (now_s - begin_s)), abs=10)
    assert told[-1][1] == STAMPS[-1]
    assert max(after[0] - before[0] for before, after in pairwise(told)) < 0.021  # 100 Hz
    assert rig.node.status().late_s == 0


def test_time_begins_with_the_results_and_never_goes_back(make_player):
    rig = make_player(rate=2.0)
    clock = rig.hear('/clock', Clock, best_effort=True)
    rig.until(lambda: times(clock)[-1:] == STAMPS[-1:])
    assert times(clock) == sorted(times(clock))
    assert times(clock)[0] == START_NS
    assert set(STAMPS) <= set(times(clock))


def test_a_late_comer_gets_static_transforms_and_the_path(make_player):
    rig = make_player(rate=20.0, play_delay_s=0.0)
    rig.until(lambda: is_over(rig))
    static = rig.hear('/tf_static', TFMessage, latched=True)
    path = rig.hear('path', Path, latched=True)
    rig.until(lambda: static and path)
    children = {each.child_frame_id for message in static for each in message.transforms}
    assert children == {'map', 'optical'}
    assert isinstance(path[0].poses[0], PoseStamped)
    assert len(path[0].poses) == FRAMES


def test_transforms_of_results_and_recording_are_published(make_player):
    rig = make_player(rate=4.0)
    heard = rig.hear('/tf', TFMessage)
    rig.until(lambda: len(heard) == 2 * FRAMES + 4)
    placed = [
        (each.header.frame_id, each.child_frame_id)
        for message in heard
        for each in message.transforms
    ]
    assert placed.count(('map', 'odom')) == FRAMES


def test_time_stands_still_while_paused(make_player):
    rig = make_player()
    clock = rig.hear('/clock', Clock)
    depth = rig.hear('depth/image', Image)
    rig.until(lambda: len(depth) >= 3)
    assert rig.call(SetBool, 'pause', data=True).success
    rig.until(lambda: times(clock)[-20:] == 20 * [rig.node._playback.now_ns])
    assert rig.node.status().playback == OfflineStatus.PAUSED
    count, stood_ns = len(depth), times(clock)[-1]
    rig.until(lambda: times(clock).count(stood_ns) > 40)
    assert len(depth) == count
    assert rig.call(SetBool, 'pause', data=False).success
    rig.until(lambda: len(depth) == FRAMES)
    assert stamps(depth) == STAMPS
    assert times(clock) == sorted(times(clock))


def test_time_leaps_back_once_a_round(make_player):
    rig = make_player(rate=8.0, loop=True)
    clock = rig.hear('/clock', Clock)
    depth = rig.hear('depth/image', Image)
    rig.until(lambda: rig.node.status().rounds >= 2)
    rig.node.set_parameters([Parameter('loop', value=False)])
    rig.until(lambda: is_over(rig))
    rounds = rig.node.status().rounds
    rig.until(lambda: len(depth) == FRAMES * (rounds + 1))
    assert stamps(depth) == STAMPS * (rounds + 1)
    told = times(clock)
    leaps = [(before, after) for before, after in pairwise(told) if after < before]
    assert leaps == [(STAMPS[-1], START_NS)] * rounds


def test_the_rate_changes_at_once(make_player):
    rig = make_player(rate=0.01)  # by which it would take 95 s
    depth = rig.hear('depth/image', Image)
    rig.until(lambda: depth)
    rig.node.set_parameters([Parameter('rate', value=20.0)])
    rig.until(lambda: len(depth) == FRAMES, timeout_s=60)


def test_it_plays_again_on_request(make_player):
    rig = make_player(rate=20.0)
    depth = rig.hear('depth/image', Image)
    rig.until(lambda: is_over(rig))
    rig.until(lambda: len(depth) == FRAMES)
    assert rig.call(Trigger, 'play').success
    rig.until(lambda: len(depth) == 2 * FRAMES)


def test_a_blocked_subscriber_does_not_delay_playback(make_player):
    rig = make_player(rate=4.0)
    heard = rig.hear('depth/image', Image)  # reliable, and not served while nobody spins
    rig.until(lambda: heard)
    deadline_s = time.monotonic() + 120
    while not is_over(rig):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_results_that_are_damaged_are_named(make_offline, tmp_path):
    (tmp_path / 'broken').mkdir()
    rig = make_offline(fake_jobs.broken, output=str(tmp_path / 'broken'))
    rig.until(lambda: 'has no file that ends in' in rig.node.status().last_error)
    assert rig.node.status().playback == OfflineStatus.STOPPED


def test_two_clocks_are_warned_of():
    status = OfflineStatus(playback=OfflineStatus.PLAYING, late_s=3.0)
    clocks, late = find_warnings(status, 2)
    assert '/clock' in clocks
    assert '3.0 s behind' in late
    assert not find_warnings(OfflineStatus(playback=OfflineStatus.ENDED, late_s=3.0), 2)
