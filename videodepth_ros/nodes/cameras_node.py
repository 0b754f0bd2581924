# SPDX-License-Identifier: Apache-2.0
"""Depth of several cameras in one process: a live node for each, in a namespace of its own.

The parameter ``streams`` names them. All have the same parameters, unless a file of parameters
names a node; each has its own engine's state, scale, counters and services. On a GPU cameras of
the same size share one plan, so that its weights are there once; torch steps as one batch what
waits at the same time (engines/batching.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.parameter import Parameter

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.nodes.live_node import LiveNode
from videodepth_ros.nodes.process import run

NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*')


def streams() -> list[str]:
    """Return the names that the parameter ``streams`` holds.

    raises  ConfigError as ``checked_names``
    """
    asker = rclpy.create_node('videodepth_cameras', start_parameter_services=False)
    try:
        asker.declare_parameter(
            'streams',
            Parameter.Type.STRING_ARRAY,
            ParameterDescriptor(
                description='Names of the cameras, each the namespace of its topics.'
            ),
        )
        names = list(asker.get_parameter_or('streams', Parameter('streams', value=[])).value or ())
    finally:
        asker.destroy_node()
    return checked_names(names)


def checked_names(names: list[str]) -> list[str]:
    """Return the names of cameras.

    raises  ConfigError if there is none, or one cannot be a namespace or is there twice
    """
    if not names or len(set(names)) < len(names) or not all(map(NAME.fullmatch, names)):
        raise ConfigError(
            f'streams is {names}; give the cameras different names of letters, '
            'digits and _, as streams:="[front, rear]"'
        )
    return names


def live_nodes(make_node: Callable[..., LiveNode] = LiveNode) -> Sequence[LiveNode]:
    """Return a live node for each stream.

    raises  ConfigError as ``streams``, and if a parameter is wrong; no node is left then
    """
    nodes: list[LiveNode] = []
    try:
        for name in streams():
            nodes.append(make_node(namespace=name))
    except BaseException:
        for node in nodes:
            node.destroy_node()
        raise
    return nodes


def main() -> int:
    """Run the nodes with the arguments of the command line."""
    return run(live_nodes, sys.argv)
