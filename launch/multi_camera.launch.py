# SPDX-License-Identifier: Apache-2.0
"""Live depth of several cameras in one process.

    ros2 launch videodepth multi_camera.launch.py \
        cameras:="front=/front/image_raw rear=/rear/image_raw"

Each camera's depth is published in a namespace of its own: front/depth/image, rear/depth/image. On
a GPU cameras of one size share one engine. What an argument leaves empty stays as params_file has
it. With build_only:=true the process ends when the engines of all cameras are built.
"""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.nodes.cameras_node import checked_names
from videodepth_ros.nodes.declaration import given
from videodepth_ros.nodes.parameters import DECLARATIONS
from videodepth_ros.nodes.transport import camera_info_beside, share

PARAMETERS = ('model', 'engine', 'max_pixels', 'build_only')
"""Parameters of all nodes that have an argument of the same name."""


def generate_launch_description() -> LaunchDescription:
    sentences = {declaration.name: declaration.sentence for declaration in DECLARATIONS}
    arguments = [
        DeclareLaunchArgument(
            'cameras',
            description='NAME=TOPIC of the images of each camera, '
            'separated by blanks; its calibration is camera_info beside them',
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=str(share('config/live.yaml')),
            description='values of all parameters',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=['true', 'false'],
            description='take the time from /clock, as when a bag is played',
        ),
        *(
            DeclareLaunchArgument(name, default_value='', description=sentences[name])
            for name in PARAMETERS
        ),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=actions)])


def actions(context: LaunchContext) -> list[Node]:
    """Return the process, now that the arguments have values."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    pairs = [camera.split('=', 1) for camera in value('cameras').split()]
    if not all(len(pair) == 2 for pair in pairs):
        raise ConfigError(
            f'cameras is {value("cameras")!r}: give each camera as NAME=TOPIC, separated by blanks'
        )
    names = checked_names([name for name, _ in pairs])
    remappings = []
    for name, image in pairs:
        remappings += [
            (f'/{name}/image', image),
            (f'/{name}/camera_info', camera_info_beside(image)),
        ]
    return [
        Node(
            package='videodepth',
            executable='cameras_node',
            output='screen',
            remappings=remappings,
            parameters=[
                value('params_file'),
                given(DECLARATIONS, PARAMETERS, value),
                {'streams': names, 'use_sim_time': value('use_sim_time') == 'true'},
            ],
        )
    ]
