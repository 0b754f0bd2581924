# SPDX-License-Identifier: Apache-2.0
"""The launch file, where launch is installed."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip('rclpy', reason='the parameters of the node need ROS 2')
pytest.importorskip(
    'launch_ros',
    reason='launch and launch_ros are not on PyPI; they come with any ROS installation',
)

from ament_index_python.packages import PackageNotFoundError
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.launch_context import LaunchContext
from launch.utilities import perform_substitutions
from launch_ros.actions import Node

from videodepth_ros.cli import make_parser
from videodepth_ros.core.options import options_of
from videodepth_ros.nodes import launch_arguments
from videodepth_ros.nodes.launch_arguments import given_options
from videodepth_ros.nodes.live_parameters import LiveParameters


@pytest.fixture
def rviz2(monkeypatch):
    """Let the package rviz2 be installed."""
    monkeypatch.setattr(launch_arguments, 'get_package_prefix', lambda name: f'/opt/{name}')


@pytest.fixture
def module(root):
    spec = importlib.util.spec_from_file_location('live_launch', root / 'launch/live.launch.py')
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def arguments_of(module) -> list[DeclareLaunchArgument]:
    return [
        entity
        for entity in module.generate_launch_description().entities
        if isinstance(entity, DeclareLaunchArgument)
    ]


def processes(module, **given: str):
    context = LaunchContext()
    context.launch_configurations.update(given)
    for argument in arguments_of(module):
        argument.execute(context)
    return module.actions(context), context


def expanded(pairs, context) -> dict[str, str]:
    return {
        perform_substitutions(context, list(name)): perform_substitutions(context, list(target))
        for name, target in pairs
    }


def test_every_argument_is_described(module):
    for argument in arguments_of(module):
        assert argument.description, argument.name
    description = module.generate_launch_description()
    assert isinstance(description.entities[-1], OpaqueFunction)


@pytest.mark.parametrize(
    ('given', 'image', 'info'),
    [
        ({}, 'image', 'camera_info'),
        ({'image_topic': '/front/image_raw'}, '/front/image_raw', '/front/camera_info'),
        ({'image_topic': '/image'}, '/image', '/camera_info'),
        ({'image_topic': 'front/image'}, 'front/image', 'front/camera_info'),
        ({'image_topic': '/a/b', 'camera_info_topic': '/c'}, '/a/b', '/c'),
    ],
)
def test_topics_are_remapped(module, given, image, info):
    (live,), context = processes(module, **given)
    assert expanded(live._Node__remappings, context) == {'image': image, 'camera_info': info}


def test_only_given_arguments_override():
    given = {
        'model': 'flashdepth-s',
        'max_pixels': '50000',
        'scale.factor': '2',
        'autostart': 'false',
        'output': 'network',
    }
    values = {'model': '', 'engine': '', **given}
    assert given_options(LiveParameters, lambda name: values.get(name, '')) == {
        'model': 'flashdepth-s',
        'max_pixels': 50000,
        'scale.factor': 2.0,
        'autostart': False,
        'output': 'network',
    }


def test_every_parameter_is_an_argument(module):
    names = {argument.name for argument in arguments_of(module)}
    assert names >= {option.name for option in options_of(LiveParameters)}
    assert names >= {'namespace', 'name', 'params_file', 'log_level', 'use_sim_time', 'respawn'}


def test_rviz_comes_on_demand(module, rviz2):
    assert len(processes(module)[0]) == 1
    assert len(processes(module, rviz='true')[0]) == 2


def test_the_page_comes_on_demand(module):
    (_, page), context = processes(
        module, view='true', namespace='/robot1', view_port='8123', view_control='true'
    )
    command = [perform_substitutions(context, word) for word in page.cmd]
    assert command[1:4] == ['-m', 'videodepth_ros.cli', 'view']
    args = make_parser('view').parse_args(command[3:])
    assert (args.node, args.port, args.control) == ('/robot1/videodepth', 8123, True)
    assert args.host == '127.0.0.1'


def test_a_missing_rviz2_is_a_message_and_the_node_starts(module, monkeypatch):
    def fail(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(launch_arguments, 'get_package_prefix', fail)
    (node, message), context = processes(module, rviz='true')
    assert isinstance(node, Node)
    assert isinstance(message, LogInfo)
    assert 'rviz2 is not installed' in perform_substitutions(context, message.msg)


def test_a_wrong_choice_is_refused(module):
    with pytest.raises(RuntimeError, match='abacus'):
        processes(module, engine='abacus')
    processes(module, max_pixels='50000', preset='nav2')
