# SPDX-License-Identifier: Apache-2.0
"""Live depth of one camera.

    ros2 launch videodepth live.launch.py image_topic:=/camera/image_raw

What an argument leaves empty stays as params_file and preset have it.
"""

from __future__ import annotations

from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from videodepth_ros.nodes.declaration import given
from videodepth_ros.nodes.parameters import DECLARATIONS
from videodepth_ros.nodes.transport import camera_info_beside, share

PRESETS = ('nav2', 'nvblox', 'rtabmap')
PARAMETERS = (
    'model',
    'engine',
    'max_pixels',
    'output',
    'image_transport',
    'scale.factor',
    'keep_state_warm',
    'autostart',
    'build_only',
)
"""Parameters of the node that have an argument of the same name."""

YES_NO = ['true', 'false']


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            'image_topic',
            default_value='image',
            description='images of the camera, raw; compressed ones are taken '
            'from IMAGE_TOPIC/compressed',
        ),
        DeclareLaunchArgument(
            'camera_info_topic',
            default_value='',
            description='calibration; empty: camera_info beside the images',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='of the node and of what it publishes'
        ),
        DeclareLaunchArgument('name', default_value='videodepth', description='of the node'),
        DeclareLaunchArgument(
            'params_file',
            default_value=str(share('config/live.yaml')),
            description='values of all parameters',
        ),
        DeclareLaunchArgument(
            'preset',
            default_value='',
            choices=['', *PRESETS],
            description='values that suit who uses the depth',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=YES_NO,
            description='take the time from /clock, as when a bag is played',
        ),
        DeclareLaunchArgument(
            'rviz',
            default_value='false',
            choices=YES_NO,
            description='show images, depth and cloud',
        ),
        DeclareLaunchArgument(
            'fixed_frame',
            default_value='camera_optical_frame',
            description='frame that RViz shows the cloud in',
        ),
        DeclareLaunchArgument(
            'respawn',
            default_value='false',
            choices=YES_NO,
            description='start the node again when it ends',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='least severity that is logged',
        ),
        *(argument_of(name) for name in PARAMETERS),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=actions)])


def argument_of(name: str) -> DeclareLaunchArgument:
    """Declare the argument that overrides one parameter."""
    declaration = next(d for d in DECLARATIONS if d.name == name)
    choices = YES_NO if isinstance(declaration.default, bool) else list(declaration.choices)
    return DeclareLaunchArgument(
        name,
        default_value='',
        description=declaration.sentence,
        choices=['', *choices] if choices else None,
    )


def actions(context: LaunchContext) -> list[Node]:
    """Return the processes, now that the arguments have values."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    image = value('image_topic')
    info = value('camera_info_topic') or camera_info_beside(image)
    preset = [str(share(f'config/presets/{value("preset")}.yaml'))] if value('preset') else []
    sim_time = {'use_sim_time': value('use_sim_time') == 'true'}
    live = Node(
        package='videodepth',
        executable='live_node',
        name=value('name'),
        namespace=value('namespace'),
        output='screen',
        respawn=value('respawn') == 'true',
        parameters=[value('params_file'), *preset, overrides(value), sim_time],
        remappings=[('image', image), ('camera_info', info)],
        ros_arguments=['--log-level', value('log_level')],
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=value('namespace'),
        parameters=[sim_time],
        arguments=['-d', str(share('config/rviz/live.rviz')), '-f', value('fixed_frame')],
        remappings=[('image', image)],
    )
    return [live, rviz] if value('rviz') == 'true' else [live]


def overrides(value: Any) -> dict[str, Any]:
    """Return the parameters whose argument is not empty, in the parameter's own type."""
    return given(DECLARATIONS, PARAMETERS, value)
