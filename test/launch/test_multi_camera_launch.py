# SPDX-License-Identifier: Apache-2.0
"""The launch file of several cameras, where launch is installed."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip('rclpy', reason='the parameters of the node need ROS 2')
pytest.importorskip(
    'launch_ros',
    reason='launch and launch_ros are not on PyPI; they come with any ROS installation',
)

from launch.actions import DeclareLaunchArgument
from launch.launch_context import LaunchContext
from launch.utilities import perform_substitutions
from launch_ros.utilities import evaluate_parameters

from videodepth_ros.core.errors import ConfigError


def load(root):
    spec = importlib.util.spec_from_file_location('multi', root / 'launch/multi_camera.launch.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def launched(module, **arguments):
    """Return the node that the launch file starts, and the context it was made in."""
    context = LaunchContext()
    context.launch_configurations.update(arguments)
    for entity in module.generate_launch_description().entities:
        if isinstance(entity, DeclareLaunchArgument):
            assert entity.description
            entity.execute(context)
    (node,) = module.actions(context)
    return node, context


def test_arguments_have_the_types_of_their_parameters(root):
    node, context = launched(
        load(root), cameras='front=/front/image_raw', max_pixels='76800', build_only='true'
    )
    given = evaluate_parameters(context, node._Node__parameters)
    assert {'max_pixels': 76800, 'build_only': True} in given


def test_a_camera_without_a_topic_is_refused_in_words(root):
    with pytest.raises(ConfigError, match='NAME=TOPIC'):
        launched(load(root), cameras='front')


@pytest.mark.parametrize('cameras', ['front=/a front=/b', 'front-left=/a', ''])
def test_names_that_make_no_namespaces_are_refused_in_words(root, cameras):
    with pytest.raises(ConfigError, match='different names'):
        launched(load(root), cameras=cameras)


def test_a_value_of_another_type_is_refused_with_its_name(root):
    with pytest.raises(ConfigError, match="max_pixels is 'many'; give a value of type integer"):
        launched(load(root), cameras='front=/a', max_pixels='many')
    with pytest.raises(RuntimeError, match=r'build_only.*yes'):
        launched(load(root), cameras='front=/a', build_only='yes')


def test_a_namespace_is_around_those_of_the_cameras(root):
    node, context = launched(load(root), cameras='front=/a/image', namespace='/robot/')
    (names, _) = [perform_substitutions(context, list(name)) for name, _ in node._Node__remappings]
    assert names == '/robot/front/image'
    given = evaluate_parameters(context, node._Node__parameters)
    assert {'streams': ('front',), 'streams_namespace': '/robot/', 'use_sim_time': False} in given


def test_preset_and_log_level_are_those_of_a_single_camera(root):
    node, context = launched(
        load(root), cameras='front=/a/image', preset='nav2', log_level='debug'
    )
    files = [
        str(each)
        for each in evaluate_parameters(context, node._Node__parameters)
        if not isinstance(each, dict)
    ]
    assert [path.rpartition('config/')[2] for path in files] == ['live.yaml', 'presets/nav2.yaml']
    words = [perform_substitutions(context, list(part)) for part in node.cmd]
    assert words[words.index('--log-level') + 1] == 'debug'


def test_each_camera_is_remapped_into_its_namespace(root):
    node, context = launched(
        load(root),
        cameras='front=/front/image_raw rear=/back/image_raw left=image_raw right=raw/image',
    )
    found = {
        perform_substitutions(context, list(name)): perform_substitutions(context, list(target))
        for name, target in node._Node__remappings
    }
    assert found == {
        '/front/image': '/front/image_raw',
        '/front/camera_info': '/front/camera_info',
        '/rear/image': '/back/image_raw',
        '/rear/camera_info': '/back/camera_info',
        '/left/image': 'image_raw',
        '/left/camera_info': 'camera_info',
        '/right/image': 'raw/image',
        '/right/camera_info': 'raw/camera_info',
    }
