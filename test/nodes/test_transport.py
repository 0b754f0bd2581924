# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.nodes.subscriptions import SubscriptionConfig, compatible_config
from videodepth_ros.nodes.transport import (
    PROFILE_VARIABLES,
    camera_info_topic_for,
    package_file,
    prepare_process,
)


def offer(*, reliable: bool = False, latched: bool = False) -> TopicEndpointInfo:
    return TopicEndpointInfo(
        qos_profile=QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
    )


@pytest.mark.parametrize(
    ('images', 'info'),
    [
        ('/a/b/image_raw', '/a/b/camera_info'),
        ('/image', '/camera_info'),
        ('/a/image_raw/compressed', '/a/camera_info'),
        ('/camera/jpeg', '/camera/camera_info'),
        ('image', 'camera_info'),
        ('a/image', 'a/camera_info'),
    ],
)
def test_the_calibration_is_beside_the_images(images, info):
    assert camera_info_topic_for(images) == info


@pytest.mark.parametrize(
    ('offers', 'reliability', 'config'),
    [
        ([], 'auto', SubscriptionConfig('t')),
        ([offer()], 'auto', SubscriptionConfig('t')),
        ([offer(reliable=True)], 'auto', SubscriptionConfig('t', reliable=True)),
        ([offer(reliable=True), offer()], 'auto', SubscriptionConfig('t')),
        (
            [offer(reliable=True, latched=True)],
            'auto',
            SubscriptionConfig('t', reliable=True, latched=True),
        ),
        ([offer(latched=True)], 'auto', SubscriptionConfig('t')),
        (
            [offer(reliable=True, latched=True), offer(reliable=True)],
            'auto',
            SubscriptionConfig('t', reliable=True),
        ),
        ([offer(reliable=True, latched=True)], 'best_effort', SubscriptionConfig('t')),
        ([offer()], 'reliable', SubscriptionConfig('t', reliable=True)),
    ],
)
def test_the_config_is_compatible_with_every_publisher(offers, reliability, config):
    assert compatible_config('t', offers, reliability) == config


def test_a_reliable_subscription_has_room_and_a_best_effort_one_keeps_the_newest():
    assert SubscriptionConfig('t', reliable=True).qos.depth == 5
    assert SubscriptionConfig('t').qos.depth == 1


def test_the_profile_is_set_unless_the_user_has_one(monkeypatch):
    for variable in PROFILE_VARIABLES:
        monkeypatch.setenv(variable, 'mine.xml')  # so that monkeypatch restores both
        monkeypatch.delenv(variable)
    monkeypatch.setenv(PROFILE_VARIABLES[0], 'mine.xml')
    prepare_process()
    import os

    assert os.environ[PROFILE_VARIABLES[0]] == 'mine.xml'
    assert PROFILE_VARIABLES[1] not in os.environ
    monkeypatch.delenv(PROFILE_VARIABLES[0])
    prepare_process()
    for variable in PROFILE_VARIABLES:
        assert Path(os.environ[variable]).name == 'fastdds.xml'


def test_a_file_that_is_missing_is_named():
    assert package_file('config/live.yaml').is_file()
    with pytest.raises(ConfigError, match='no_such'):
        package_file('config/no_such.yaml')
