# SPDX-License-Identifier: Apache-2.0
"""Refine a recording, and play the results with their time on /clock.

    ros2 launch videodepth offline.launch.py bag:=drive.mcap rviz:=true

Without a recording the node waits for goals. An argument that is empty leaves params_file in
effect.
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import Action, LaunchContext, LaunchDescription
from videodepth_ros.nodes.launch_arguments import (
    argument_values,
    given_options,
    option_arguments,
    process_arguments,
    process_settings,
    rviz_actions,
    rviz_arguments,
)
from videodepth_ros.nodes.offline_parameters import OfflineParameters


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'name', default_value='videodepth_offline', description='Name of the node.'
            ),
            *process_arguments('config/offline.yaml'),
            *rviz_arguments('map'),
            *option_arguments(OfflineParameters),
            OpaqueFunction(function=actions),
        ]
    )


def actions(context: LaunchContext) -> list[Action]:
    """Return the processes."""
    value = argument_values(context)
    offline = Node(
        executable='offline_node',
        name=value('name'),
        namespace=value('namespace'),
        parameters=[value('params_file'), given_options(OfflineParameters, value)],
        **process_settings(value),
    )
    # the time of the results, which the node publishes
    rviz = rviz_actions(
        value, 'config/rviz/offline.rviz', value('image_topic') or 'image', use_sim_time=True
    )
    return [offline, *rviz]
