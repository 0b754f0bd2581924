# SPDX-License-Identifier: Apache-2.0
"""Everything that starts a stream afresh, as seen from the graph."""

from __future__ import annotations

import pytest
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from test.support.rig import START_NS, image_message
from videodepth_ros.messages.transforms import set_stamp


def resets(rig) -> dict[str, int]:
    status = rig.node.status()
    return {
        name.removeprefix('resets_'): getattr(status, name)
        for name in status.get_fields_and_field_types()
        if name.startswith('resets_') and getattr(status, name)
    }


def test_the_service_resets_the_state_and_counts_it(rig):
    images = rig.connect()
    reset = rig.peer.create_client(Trigger, '/videodepth/reset')
    rig.until(reset.service_is_ready)
    rig.send(images)
    answer = reset.call_async(Trigger.Request())
    rig.until(answer.done)
    assert answer.result().success
    rig.send(images)
    rig.send(images)
    assert rig.node.engines[0].seen == [0, 0, 1]
    assert resets(rig) == {'requested': 1}


def test_an_inactive_node_has_nothing_to_reset(make_rig):
    rig = make_rig()
    reset = rig.peer.create_client(Trigger, '/videodepth/reset')
    rig.until(reset.service_is_ready)
    answer = reset.call_async(Trigger.Request())
    rig.until(answer.done)
    assert not answer.result().success
    assert 'activate' in answer.result().message


@pytest.mark.parametrize(
    ('reason', 'jump'),
    [('time_back', {'k': 1}), ('gap', {'k': 200}), ('frame_id', {'k': 6, 'frame_id': 'other'})],
)
def test_a_jump_starts_afresh(rig, reason, jump):
    images = rig.connect()
    for k in (3, 4, 5):
        rig.send(images, image_message(k))
    rig.send(images, image_message(**jump))
    assert rig.node.engines[0].seen == [0, 1, 2, 0]
    assert resets(rig) == {reason: 1}


def test_another_size_starts_afresh(rig):
    images = rig.camera()
    rig.consume('depth/image', type(image_message(0)))
    rig.until(images.get_subscription_count)
    rig.send(images, image_message(0))
    rig.send(images, image_message(1, width=96, height=128))
    assert resets(rig) == {'size': 1}
    assert [engine.closed for engine in rig.node.engines] == [True, False]
    assert (
        len(
            rig.until(
                lambda: len(rig.received['depth/image']) == 2 and rig.received['depth/image']
            )
        )
        == 2
    )


def test_the_gap_is_a_parameter(make_rig):
    rig = make_rig(max_gap_s=10.0)
    rig.start()
    images = rig.connect()
    rig.send(images, image_message(0))
    rig.send(images, image_message(200))
    assert resets(rig) == {}


def test_a_bag_that_loops_in_simulated_time_starts_afresh(make_rig):
    rig = make_rig(use_sim_time=True)
    rig.start()
    images, clock = rig.connect(), rig.peer.create_publisher(Clock, '/clock', 10)
    rig.until(clock.get_subscription_count)

    def play(k: int) -> None:
        message = image_message(k)
        clock.publish(Clock(clock=message.header.stamp))
        rig.until(lambda: rig.node.get_clock().now().nanoseconds == START_NS + k * 33_000_000)
        rig.send(images, message)

    for k in (0, 1, 2, 0, 1, 2):
        play(k)
    assert rig.node.engines[0].seen == [0, 1, 2, 0, 1, 2]
    assert resets(rig) == {'clock_jump': 1}
    assert rig.node.status().age_p50_s == 0  # ages are in simulated time


def test_a_simulated_clock_without_time_is_a_warning(make_rig):
    rig = make_rig(use_sim_time=True)
    rig.start()
    rig.send(rig.connect())
    warnings = rig.node.warnings(rig.node.status())
    assert any('/clock is not published' in text for text in warnings), warnings


def test_a_leap_of_the_simulated_clock_starts_afresh(make_rig):
    rig = make_rig(use_sim_time=True)
    rig.start()
    images, clock = rig.connect(), rig.peer.create_publisher(Clock, '/clock', 10)
    rig.until(clock.get_subscription_count)
    for k, now_s in ((0, 0), (1, 0), (2, 60), (3, 60)):
        message = Clock()
        set_stamp(message.clock, START_NS + now_s * 10**9)
        clock.publish(message)
        rig.until(lambda s=now_s: rig.node.get_clock().now().nanoseconds == START_NS + s * 10**9)
        rig.send(images, image_message(k))
    assert resets(rig) == {'clock_jump': 1}
