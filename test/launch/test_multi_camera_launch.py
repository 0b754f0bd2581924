# SPDX-License-Identifier: Apache-2.0
"""The launch file of several cameras, where launch is installed."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip('rclpy', reason='the parameters of the node need ROS 2')
pytest.importorskip('launch_ros', reason='launch and launch_ros are not on PyPI; they come with '
                    'any ROS installation')

from launch.actions import DeclareLaunchArgument
from launch.launch_context import LaunchContext
from launch.utilities import perform_substitutions


def test_each_camera_is_remapped_into_its_namespace(root):
    spec = importlib.util.spec_from_file_location('multi', root / 'launch/multi_camera.launch.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    context.launch_configurations['cameras'] = 'front=/front/image_raw rear=/back/image_raw'
    for entity in module.generate_launch_description().entities:
        if isinstance(entity, DeclareLaunchArgument):
            assert entity.description
            entity.execute(context)
    (node,) = module.actions(context)
    found = {perform_substitutions(context, list(name)):
             perform_substitutions(context, list(target))
             for name, target in node._Node__remappings}
    assert found == {
        '/front/image': '/front/image_raw', '/front/camera_info': '/front/camera_info',
        '/rear/image': '/back/image_raw', '/rear/camera_info': '/back/camera_info'}
