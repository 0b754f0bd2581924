# SPDX-License-Identifier: Apache-2.0
"""Live depth of several cameras in one process.

    ros2 launch videodepth multi_camera.launch.py \
        cameras:="front=/front/image_raw rear=/rear/image_raw"

The depth of each camera is published in its own namespace: front/depth/image, rear/depth/image. On
a GPU cameras of one size share one engine. An argument that is empty leaves params_file and preset
in effect. Namespaces that a launch file pushes around this one are kept. With build_only:=true the
process exits when the engines of all cameras are built.
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.nodes.cameras_node import check_names
from videodepth_ros.nodes.launch_arguments import (
    argument_values,
    given_options,
    option_arguments,
    parameter_files,
    preset_argument,
    process_arguments,
    process_settings,
    sim_time_argument,
)
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.transport import camera_info_topic_for


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'cameras',
                description='NAME=TOPIC of the images of each camera, separated by spaces; its '
                'calibration topic is camera_info beside the images.',
            ),
            preset_argument(),
            *process_arguments('config/live.yaml'),
            sim_time_argument(),
            *option_arguments(LiveParameters),
            OpaqueFunction(function=actions),
        ]
    )


def actions(context: LaunchContext) -> list[Node]:
    """Return the process."""
    value = argument_values(context)
    pairs = [camera.split('=', 1) for camera in value('cameras').split()]
    if not all(len(pair) == 2 for pair in pairs):
        raise ConfigError(
            f'cameras is {value("cameras")!r}: give each camera as NAME=TOPIC, separated by spaces'
        )
    names = check_names([name for name, _ in pairs])
    prefix = value('namespace').strip('/')
    remappings = []
    for name, image in pairs:
        camera = '/'.join(['', *filter(None, [prefix, name])])
        remappings += [
            (f'{camera}/image', image),
            (f'{camera}/camera_info', camera_info_topic_for(image)),
        ]
    return [
        Node(
            executable='cameras_node',
            remappings=remappings,
            parameters=[
                *parameter_files(value),
                given_options(LiveParameters, value),
                {
                    'streams': names,
                    'streams_namespace': value('namespace'),
                    'use_sim_time': value('use_sim_time') == 'true',
                },
            ],
            **process_settings(value),  # without namespace: it would replace those of the cameras
        )
    ]
