# SPDX-License-Identifier: Apache-2.0
"""The process around live nodes: from the command line to the exit code."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import rclpy
import rclpy.utilities
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn as Result
from rclpy.logging import get_logger

from videodepth_ros.errors import ConfigError
from videodepth_ros.nodes.parameters import LiveParameters
from videodepth_ros.nodes.transport import prepare_process


class StreamNode(Protocol):
    """What the process asks of a live node."""

    parameters: LiveParameters

    def trigger_configure(self) -> Any:
        """Go from unconfigured to inactive."""

    def trigger_activate(self) -> Any:
        """Go from inactive to active."""

    def close(self) -> bool:
        """Free what the node holds; False if an engine is still being opened."""

    def destroy_node(self) -> None:
        """Leave the graph."""


def run(make_nodes: Callable[[], Sequence[StreamNode]], arguments: list[str] | None) -> int:
    """Run nodes in one process until SIGINT or SIGTERM; return the exit code.

    One executor serves them all, for its callbacks only receive and tell; each computes in a
    thread of its own.
    """
    prepare_process()
    rclpy.init(args=arguments)
    try:
        nodes = make_nodes()
    except (ParameterException, ConfigError) as error:
        get_logger('videodepth').fatal(str(error))
        rclpy.utilities.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    for node in nodes:
        if node.parameters.autostart and node.trigger_configure() == Result.SUCCESS:
            node.trigger_activate()
        executor.add_node(node)   # type: ignore[arg-type,unused-ignore]
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        have_ended = [node.close() for node in nodes]
        executor.shutdown()
        for node in nodes:
            node.destroy_node()
        rclpy.utilities.try_shutdown()
    if not all(have_ended):   # an engine is being built, which only the end of the process stops
        os._exit(0)
    return 0
