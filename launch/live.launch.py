# SPDX-License-Identifier: Apache-2.0
"""Live depth of one camera.

    ros2 launch videodepth live.launch.py image_topic:=/camera/image_raw

An argument that is empty leaves params_file and preset in effect.
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import Action, LaunchContext, LaunchDescription
from videodepth_ros.nodes.launch_arguments import (
    argument_values,
    given_options,
    option_arguments,
    parameter_files,
    preset_argument,
    process_arguments,
    process_settings,
    rviz_actions,
    rviz_arguments,
    sim_time_argument,
)
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.transport import camera_info_topic_for
from videodepth_ros.view.launch import view_actions, view_arguments


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'image_topic',
                default_value='image',
                description='Topic of the images, raw or compressed; compressed ones are also '
                'read from IMAGE_TOPIC/compressed.',
            ),
            DeclareLaunchArgument(
                'camera_info_topic',
                default_value='',
                description='Calibration topic; empty: camera_info beside the images.',
            ),
            DeclareLaunchArgument(
                'name', default_value='videodepth', description='Name of the node.'
            ),
            preset_argument(),
            *process_arguments('config/live.yaml'),
            sim_time_argument(),
            *rviz_arguments('camera_optical_frame'),
            *view_arguments(),
            *option_arguments(LiveParameters),
            OpaqueFunction(function=actions),
        ]
    )


def actions(context: LaunchContext) -> list[Action]:
    """Return the processes."""
    value = argument_values(context)
    image = value('image_topic')
    info = value('camera_info_topic') or camera_info_topic_for(image)
    sim_time = {'use_sim_time': value('use_sim_time') == 'true'}
    live = Node(
        executable='live_node',
        name=value('name'),
        namespace=value('namespace'),
        parameters=[*parameter_files(value), given_options(LiveParameters, value), sim_time],
        remappings=[('image', image), ('camera_info', info)],
        **process_settings(value),
    )
    rviz = rviz_actions(
        value, 'config/rviz/live.rviz', image, use_sim_time=value('use_sim_time') == 'true'
    )
    return [live, *rviz, *view_actions(value)]
