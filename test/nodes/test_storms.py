# SPDX-License-Identifier: Apache-2.0
"""Levels that do not flap, and a state that is running only while images become depth."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest
from videodepth.msg import Status

from test.support.rig import image_message, info_message
from videodepth_ros.frames import ScaleSource
from videodepth_ros.nodes.camera_subscription import CameraTopicState
from videodepth_ros.nodes.live_diagnostics import (
    HealthInputs,
    active_state,
    find_warnings,
    is_silent,
)
from videodepth_ros.nodes.storms import ADVICE, StormMonitor
from videodepth_ros.nodes.stream_statistics import PublishedFrame, StageTimes, StreamStatistics
from videodepth_ros.nodes.worker import WorkerState
from videodepth_ros.stream.mailbox import MailboxCounts


def kinds(monitor, now_s, *, is_rejecting=False, **counts):
    status = Status(last_error='the cause', **counts)
    found = monitor.find(status, '/cam', is_rejecting=is_rejecting, now_s=now_s)
    return {warning.kind: warning.text for warning in found}


@pytest.mark.parametrize('period_s', [0.1, 1.0, 2.5, 9.0, 30.0])
def test_the_level_is_steady_while_every_image_is_rejected(period_s):
    monitor = StormMonitor()
    kinds(monitor, 0.0)
    for second in range(1, 60):
        count = int(second / period_s)
        found = kinds(monitor, second, is_rejecting=count > 0, received=count, rejected=count)
        assert ('rejected' in found) == (count > 0)


def test_the_count_and_the_cause_of_rejected_images_are_given():
    monitor = StormMonitor()
    kinds(monitor, 0.0, received=5, rejected=5)
    found = kinds(monitor, 4.0, received=25, rejected=15)
    assert found['rejected'] == '10 of 20 images of /cam were rejected in 4 s: the cause'
    assert 'rejected' in kinds(monitor, 13.9, received=60, rejected=15)
    assert kinds(monitor, 14.1, received=60, rejected=15) == {}  # ten seconds after the last


@pytest.mark.parametrize('reason', ADVICE)
def test_a_storm_of_resets_is_a_warning_with_its_cause_and_the_next_step(reason):
    monitor, field = StormMonitor(), f'resets_{reason.value}'
    kinds(monitor, 0.0)
    assert kinds(monitor, 1.0, **{field: 2}) == {}  # a bag that starts again
    text = kinds(monitor, 6.0, **{field: 18})['resets']
    assert f'the recurrent state was reset in 6 s: 18 {reason.value}' in text
    assert ADVICE[reason] in text
    assert 'resets' in kinds(monitor, 10.0, **{field: 18})
    assert kinds(monitor, 16.1, **{field: 18}) == {}


@pytest.mark.parametrize('period_s', [0.5, 2.9, 3.3, 3.4, 4.9])
def test_the_level_is_steady_while_the_stream_is_reset_again_and_again(period_s):
    """With 3.3 s a window of 10 s has now three, now four resets; with 3.4 s two or three."""
    monitor, levels = StormMonitor(), []
    kinds(monitor, 0.0)
    for tenth in range(1, 600):
        resets = int(tenth / 10 / period_s)
        levels.append('resets' in kinds(monitor, tenth / 10, resets_time_back=resets))
    assert sum(a != b for a, b in itertools.pairwise(levels)) <= 1


def test_the_clock_of_a_camera_slower_than_the_window_is_a_steady_warning():
    """One image in eight seconds: the window of five is empty for three of them."""
    frame = PublishedFrame(0, 'camera', ScaleSource.MODEL, time.monotonic() - 6, 60.0, 0.1, 0.1)
    state = worker(last_published=frame)
    inputs = HealthInputs(CameraTopicState('/i', '/c', 1), state, None, 2.0, 1)
    status = Status(state=Status.RUNNING, age_p50_s=float('nan'))
    assert '60 s behind the clock' in ' '.join(w.text for w in find_warnings(status, inputs))
    status.state = Status.WAITING
    assert 'clock' not in {w.kind for w in find_warnings(status, inputs)}


def test_requested_resets_are_no_storm():
    monitor = StormMonitor()
    kinds(monitor, 0.0)
    assert kinds(monitor, 1.0, resets_requested=50) == {}


def worker(**changes):
    counts = MailboxCounts(received=1, published=0, displaced=0, rejected=0, in_flight=0)
    state = WorkerState(
        counts=counts,
        camera_info=None,
        spec=None,
        last_published=None,
        last_received_s=time.monotonic(),
        period_s=0.0,
        last_error='',
        opening='',
        has_built=True,
        has_failed=False,
    )
    return replace(state, **changes)


def published(age_s):
    return PublishedFrame(
        0, 'camera', ScaleSource.MODEL, time.monotonic() - age_s, 0, 0, StageTimes(0, 0, 0, 0, 0)
    )


def test_the_state_is_running_only_while_images_become_depth():
    busy = MailboxCounts(received=9, published=1, displaced=0, rejected=0, in_flight=1)
    for expected, changes in (
        (Status.WAITING, {}),  # images, but no depth
        (Status.RUNNING, {'last_published': published(0.1)}),
        (Status.WAITING, {'last_published': published(3.0)}),
        (Status.RUNNING, {'last_published': published(3.0), 'period_s': 2.0}),
        (Status.RUNNING, {'last_published': published(3.0), 'counts': busy}),
        (Status.WAITING, {'last_published': published(3.0), 'counts': busy, 'is_rejecting': True}),
        (Status.OPENING, {'opening': 'nano'}),
    ):
        assert active_state(worker(**changes), 0.0, 2.0) == expected, changes
    assert active_state(worker(), None, 2.0) == Status.IDLE


def test_a_camera_slower_than_the_timeout_is_not_silent_between_its_images():
    late = worker(last_received_s=time.monotonic() - 2.4, period_s=2.5)
    assert not is_silent(late, 0.0, 2.0)
    assert is_silent(replace(late, period_s=1.0), 0.0, 2.0)
    assert is_silent(replace(late, last_received_s=time.monotonic() - 5.1), 0.0, 2.0)
    assert not is_silent(replace(late, period_s=1.0), None, 2.0)


def test_a_pause_does_not_count_as_a_period():
    statistics = StreamStatistics()
    start_s = statistics.last_received_s
    for seconds in (60.0, 60.1, 60.2):
        statistics.on_received(start_s + seconds)
    assert statistics.period_s == pytest.approx(0.1)


def test_a_stream_of_rejected_images_waits_and_says_why(rig):
    images = rig.connect()
    rig.send(images)
    assert rig.node.status().state == Status.RUNNING
    for k in range(1, 4):
        broken = image_message(k)
        broken.encoding = 'p010'
        rig.send(images, broken)
    (warning,) = (text for text in rig.node.warnings(rig.node.status()) if 'rejected' in text)
    assert '3 of 4 images of /image were rejected' in warning
    assert "'p010'" in warning
    rig.send(images)
    assert any('rejected' in text for text in rig.node.warnings(rig.node.status()))


@pytest.mark.parametrize('change', ['frame_id', 'stamp'])
def test_a_stream_that_is_reset_with_every_image_is_a_warning(rig, change):
    images = rig.connect()
    for k in range(6):
        message = image_message(k)
        if change == 'frame_id':
            message.header.frame_id = f'camera{k}'
        elif k % 2:
            message.header.stamp.sec -= 1
        rig.send(images, message)
    warnings = ' '.join(rig.node.warnings(rig.node.status()))
    assert 'depth of /image is not steady' in warnings
    assert ('frame_id' if change == 'frame_id' else 'time_back') in warnings


@pytest.mark.parametrize(
    ('model', 'D'), [('thin_prism_fisheye', [0.1] * 8), ('plumb_bob', [1500.0, -800, 0.1, 0.1, 9])]
)
def test_a_lens_that_cannot_be_removed_is_a_warning_and_depth_goes_on(rig, model, D):
    info = info_message()
    info.distortion_model, info.d = model, D
    rig.send(rig.connect(info))
    assert (rig.counts.published, rig.counts.rejected) == (1, 0)
    (warning,) = (
        text for text in rig.node.warnings(rig.node.status()) if 'lens' in text or 'D is' in text
    )
    assert warning.startswith('images of /image are used without rectification, by /camera_info')
    assert rig.received['depth/image'] is not None


def test_grey_of_twelve_bits_is_noted(rig):
    images = rig.connect()
    message = image_message(0)
    message.encoding, message.step = 'mono16', 320
    message.data = bytes([0, 15]) * (160 * 128)
    rig.send(images, message)
    rig.node.warnings(rig.node.status())
    assert rig.node._health_monitor.notes == [
        '/image: 16-bit images use 12 bits and are scaled by these'
    ]
