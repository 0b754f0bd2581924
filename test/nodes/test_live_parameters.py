# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from rclpy.parameter import Parameter

from videodepth_ros.core.options import options_of
from videodepth_ros.nodes.live_parameters import LiveParameters


def set_parameter(rig, name: str, value: object):
    return rig.node.set_parameters([Parameter(name, value=value)])[0]


@pytest.mark.parametrize('name', ['scale.factor', 'cloud.stride', 'scale.prior'])
def test_names_of_groups_stay(name):
    assert name in {option.name for option in options_of(LiveParameters)}


def test_a_dynamic_parameter_takes_effect_at_once(rig):
    images = rig.connect()
    rig.send(images)
    assert set_parameter(rig, 'scale.factor', 2.0).successful
    assert set_parameter(rig, 'output', 'network').successful
    rig.send(images)
    first, second = rig.until(
        lambda: len(rig.received['depth/image']) == 2 and rig.received['depth/image']
    )
    assert second.data[:4] != first.data[:4]
    assert rig.node.status().scale_factor == 2.0
    assert rig.node.engines[0].seen == [0, 1]


def test_other_parameters_wait_for_the_next_configure(make_rig):
    rig = make_rig()
    assert set_parameter(rig, 'max_pixels', 50_000).successful
    rig.start()
    refused = set_parameter(rig, 'max_pixels', 60_000)
    assert not refused.successful
    assert 'clean up' in refused.reason
    assert set_parameter(rig, 'max_pixels', 50_000).successful
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    assert set_parameter(rig, 'max_pixels', 60_000).successful
    assert rig.node.parameters.max_pixels == 60_000


def test_a_wrong_value_at_run_time_is_refused_with_the_reason(rig):
    refused = set_parameter(rig, 'output', 'both')
    assert not refused.successful
    assert refused.reason == "output is 'both'; give one of camera, network"
    assert rig.node.parameters.output == 'camera'


def test_every_descriptor_is_that_of_the_declaration(rig):
    for option in options_of(LiveParameters):
        descriptor = rig.node.describe_parameter(option.name)
        assert descriptor.description.startswith(option.description)
        assert ('next configure' in descriptor.description) is not option.dynamic
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        if ranges:
            assert (ranges[0].from_value, ranges[0].to_value) == (option.minimum, option.maximum)
