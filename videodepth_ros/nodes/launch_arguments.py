# SPDX-License-Identifier: Apache-2.0
"""Launch arguments that are generated from declared options, for the files in launch/."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, LogInfo
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import Action, LaunchContext
from videodepth_ros.core.options import Option, Value, options_of
from videodepth_ros.nodes.transport import package_file

BOOLEANS = ['true', 'false']
PRESETS = ['nav2', 'nvblox', 'rtabmap']
LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'fatal']


def process_arguments(params_file: str) -> list[DeclareLaunchArgument]:
    """Declare the arguments that all launch files share."""
    return [
        DeclareLaunchArgument(
            'params_file',
            default_value=str(package_file(params_file)),
            description='Parameter file of the node.',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=LOG_LEVELS,
            description='Minimum severity of log messages.',
        ),
        DeclareLaunchArgument(
            'respawn',
            default_value='false',
            choices=BOOLEANS,
            description='Restart the process when it ends.',
        ),
        DeclareLaunchArgument(
            'namespace',
            default_value='',
            description='Namespace of the node and its relative topics.',
        ),
    ]


def sim_time_argument() -> DeclareLaunchArgument:
    """Declare the argument ``use_sim_time``."""
    return DeclareLaunchArgument(
        'use_sim_time',
        default_value='false',
        choices=BOOLEANS,
        description='Use the time of /clock, as of a bag that is played.',
    )


def preset_argument() -> DeclareLaunchArgument:
    """Declare the argument ``preset``."""
    return DeclareLaunchArgument(
        'preset',
        default_value='',
        choices=['', *PRESETS],
        description='Parameters for a consumer of the depth.',
    )


def parameter_files(value: Callable[[str], str]) -> list[str]:
    """Return the parameter files of the arguments ``params_file`` and ``preset``."""
    preset = value('preset')
    presets = [str(package_file(f'config/presets/{preset}.yaml'))] if preset else []
    return [value('params_file'), *presets]


def rviz_arguments(fixed_frame: str) -> list[DeclareLaunchArgument]:
    """Declare the arguments of RViz."""
    return [
        DeclareLaunchArgument(
            'rviz',
            default_value='false',
            choices=BOOLEANS,
            description='Start RViz with images, depth and cloud.',
        ),
        DeclareLaunchArgument(
            'fixed_frame', default_value=fixed_frame, description='Fixed frame of RViz.'
        ),
    ]


def rviz_actions(
    value: Callable[[str], str], config: str, image_topic: str, *, use_sim_time: bool
) -> list[Action]:
    """Return the process of RViz, if it is asked for; a message where it is not installed.

    config  configuration of RViz, a file of the package
    """
    if value('rviz') != 'true':
        return []
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        return [
            LogInfo(
                msg='rviz:=true is ignored: the package rviz2 is not installed '
                '(apt install ros-$ROS_DISTRO-rviz2)'
            )
        ]
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            namespace=value('namespace'),
            parameters=[{'use_sim_time': use_sim_time}],
            arguments=['-d', str(package_file(config)), '-f', value('fixed_frame')],
            remappings=[('image', image_topic)],
        )
    ]


def option_arguments(options: type, skip: Collection[str] = ()) -> list[DeclareLaunchArgument]:
    """Declare an argument for each option; an empty one leaves the parameter file in effect."""
    return [_argument(option) for option in options_of(options) if option.name not in skip]


def given_options(options: type, value: Callable[[str], str]) -> dict[str, Value]:
    """Return the parameters whose argument is not empty, in the type of the parameter.

    value  returns the text of an argument; see `argument_values`

    Raise ConfigError if a value is not allowed.
    """
    return {
        option.name: _parse(option, value(option.name))
        for option in options_of(options)
        if value(option.name)
    }


def argument_values(context: LaunchContext) -> Callable[[str], str]:
    """Return a function from the name of an argument to its text."""

    def value(name: str) -> str:
        return LaunchConfiguration(name, default='').perform(context)

    return value


def process_settings(value: Callable[[str], str]) -> dict[str, Any]:
    """Return the settings of the launch action Node that all launch files share."""
    return {
        'package': 'videodepth',
        'output': 'screen',
        'respawn': value('respawn') == 'true',
        'ros_arguments': ['--log-level', value('log_level')],
    }


def _argument(option: Option) -> DeclareLaunchArgument:
    choices = BOOLEANS if option.type is bool else list(option.choices)
    if option.file_suffix:
        choices = []
    unit = f' [{option.unit}]' if option.unit else ''
    return DeclareLaunchArgument(
        option.name,
        default_value='',
        description=option.description + unit,
        choices=['', *choices] if choices else None,
    )


def _parse(option: Option, text: str) -> Value:
    """Return the value of an argument; a path is relative to the folder of ``ros2 launch``."""
    is_file = option.file_suffix and text.endswith(option.file_suffix)
    if option.is_path or is_file:
        return str(Path(text).expanduser().absolute())
    return option.parse(text)
