# SPDX-License-Identifier: Apache-2.0
"""Launch arguments of the page, for the files in launch/."""

from __future__ import annotations

import sys
from collections.abc import Callable

from launch.actions import DeclareLaunchArgument, ExecuteProcess

from launch import Action
from videodepth_ros.core.options import options_of
from videodepth_ros.nodes.launch_arguments import BOOLEANS
from videodepth_ros.view.options import ViewOptions


def view_arguments() -> list[DeclareLaunchArgument]:
    """Declare the arguments of the page of ``videodepth view``."""
    return [
        DeclareLaunchArgument(
            'view',
            default_value='false',
            choices=BOOLEANS,
            description='Start the page in a browser, see `videodepth view`.',
        ),
        *(
            DeclareLaunchArgument(
                f'view_{option.name}',
                default_value=str(option.default).lower(),
                choices=BOOLEANS if option.type is bool else None,
                description=option.description,
            )
            for option in options_of(ViewOptions)
        ),
    ]


def view_actions(value: Callable[[str], str]) -> list[Action]:
    """Return the process of the page, if it is asked for."""
    if value('view') != 'true':
        return []
    command = [sys.executable, '-m', 'videodepth_ros.cli', 'view']
    command += ['--node', f'{value("namespace")}/{value("name")}']
    for option in options_of(ViewOptions):
        text = value(f'view_{option.name}')
        if option.type is bool:
            command += option.flags if text == 'true' else []
        else:
            command += [*option.flags, text]
    return [ExecuteProcess(cmd=command, output='screen')]
