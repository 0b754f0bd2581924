# SPDX-License-Identifier: Apache-2.0
"""Depth of several cameras in one process: one live node for each, in its own namespace.

The parameter ``streams`` gives the names, ``streams_namespace`` a namespace around them, within
that of the process: with ``-r __ns:=/robot1`` the camera front is /robot1/front. All nodes have
the same parameters, unless a parameter file names a node; each has its own recurrent state, scale,
counters and services. On a GPU cameras of one size share one plan, so its weights are loaded once;
torch computes images that wait at the same time as one batch (engines/batching.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.nodes.live_node import LiveNode
from videodepth_ros.nodes.process import run

NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*')


TOPICS = ('image', 'image/compressed', 'camera_info')  # inputs of a camera


def read_cameras() -> list[list[str]]:
    """Return the command-line arguments of the node of each camera.

    They have the namespace of the camera within that of the process, which ``__ns`` would put in
    its place, and the remapping rules of its inputs that are given without the latter.
    raises  ConfigError as `check_names`
    """
    node = rclpy.create_node('videodepth_cameras', start_parameter_services=False)
    try:
        node.declare_parameter(
            'streams',
            Parameter.Type.STRING_ARRAY,
            ParameterDescriptor(
                description='Names of the cameras; each is the namespace of its topics.'
            ),
        )
        names = list(node.get_parameter_or('streams', Parameter('streams', value=[])).value or ())
        prefix = node.declare_parameter(
            'streams_namespace', '', ParameterDescriptor(description='Namespace of all cameras.')
        ).value.strip('/')
        return [_arguments(node, f'{prefix}/{name}'.strip('/')) for name in check_names(names)]
    finally:
        node.destroy_node()


def _arguments(process: Node, camera: str) -> list[str]:
    """Return the arguments of the node of a camera; ``camera`` is its relative namespace."""
    outer = process.get_namespace().rstrip('/')
    rules = [f'__ns:={outer}/{camera}']
    for topic in TOPICS if outer else ():
        given = f'/{camera}/{topic}', f'{outer}/{camera}/{topic}'
        targets = [process.resolve_topic_name(name) for name in given]
        rules += [
            f'{topic}:={target}'
            for name, target in zip(given, targets, strict=True)
            if target != name
        ][:1]
    return ['--ros-args', *(word for rule in rules for word in ('-r', rule))]


def check_names(names: list[str]) -> list[str]:
    """Return names of cameras; raise ConfigError if they are not distinct namespaces."""
    if not names or len(set(names)) < len(names) or not all(map(NAME.fullmatch, names)):
        raise ConfigError(
            f'streams is {names}; give the cameras different names of letters, '
            'digits and _, as streams:="[front, rear]"'
        )
    return names


def create_live_nodes(make_node: Callable[..., LiveNode] = LiveNode) -> Sequence[LiveNode]:
    """Return a live node for each stream.

    Raise ConfigError if a name or a parameter is invalid; no node is left then.
    """
    nodes: list[LiveNode] = []
    try:
        for arguments in read_cameras():
            nodes.append(make_node(cli_args=arguments))
    except BaseException:
        for node in nodes:
            node.destroy_node()
        raise
    return nodes


def main() -> int:
    """Run the nodes with the arguments of the command line."""
    return run(create_live_nodes, sys.argv)


if __name__ == '__main__':
    sys.exit(main())
