# SPDX-License-Identifier: Apache-2.0
"""Refine a recording, and play the results with their time on /clock.

    ros2 launch videodepth offline.launch.py bag:=drive.mcap rviz:=true

Without a recording the node waits for goals. What an argument leaves empty stays as params_file
has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from videodepth_ros.nodes.offline_parameters import DECLARATIONS
from videodepth_ros.nodes.transport import share

PARAMETERS = tuple(
    d for d in DECLARATIONS if not d.name.startswith('cloud.') and d.name != 'status_period_s'
)
"""Parameters of the node that have an argument of the same name."""

PATHS = ('bag', 'output')
YES_NO = ['true', 'false']


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            'namespace', default_value='', description='of the node and of what it publishes'
        ),
        DeclareLaunchArgument(
            'name', default_value='videodepth_offline', description='of the node'
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=str(share('config/offline.yaml')),
            description='values of all parameters',
        ),
        DeclareLaunchArgument(
            'rviz',
            default_value='false',
            choices=YES_NO,
            description='show trajectory, cloud, images and depth',
        ),
        DeclareLaunchArgument(
            'fixed_frame', default_value='map', description='frame that RViz shows everything in'
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='least severity that is logged',
        ),
        *(argument_of(declaration) for declaration in PARAMETERS),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=actions)])


def argument_of(declaration: Any) -> DeclareLaunchArgument:
    """Declare the argument that overrides one parameter."""
    choices = YES_NO if isinstance(declaration.default, bool) else list(declaration.choices)
    return DeclareLaunchArgument(
        declaration.name,
        default_value='',
        description=declaration.sentence,
        choices=['', *choices] if choices else None,
    )


def actions(context: LaunchContext) -> list[Node]:
    """Return the processes, now that the arguments have values."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    offline = Node(
        package='videodepth',
        executable='offline_node',
        name=value('name'),
        namespace=value('namespace'),
        output='screen',
        parameters=[value('params_file'), overrides(value)],
        ros_arguments=['--log-level', value('log_level')],
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=value('namespace'),
        parameters=[{'use_sim_time': True}],
        arguments=['-d', str(share('config/rviz/offline.rviz')), '-f', value('fixed_frame')],
        remappings=[('image', value('image_topic') or 'image')],
    )
    return [offline, rviz] if value('rviz') == 'true' else [offline]


def overrides(value: Any) -> dict[str, Any]:
    """Return the parameters whose argument is not empty, in the parameter's own type."""
    return {d.name: typed(d, value(d.name)) for d in PARAMETERS if value(d.name)}


def typed(declaration: Any, text: str) -> Any:
    """Return the value of a parameter that somebody has written on the command line."""
    if declaration.name in PATHS:  # the node need not start in the same folder
        return str(Path(text).expanduser().absolute())
    return declaration.parse(text)
