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
    built: bool | None
    """Whether the engine that ``build_only`` asks for is there; None while that is open."""

    def trigger_configure(self) -> Any:
        """Go from unconfigured to inactive."""

    def trigger_activate(self) -> Any:
        """Go from inactive to active."""

    def close(self) -> bool:
        """Free what the node holds; False if an engine is still being loaded."""

    def destroy_node(self) -> None:
        """Leave the graph."""


def run(make_nodes: Callable[[], Sequence[StreamNode]], arguments: list[str] | None) -> int:
    """Run nodes in one process until SIGINT or SIGTERM; return the exit code.

    With ``build_only`` it is until each engine is built or has failed, and 0 if all are there.
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
        while rclpy.utilities.ok() and not _are_done(nodes):
            executor.spin_once()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        have_ended = [node.close() for node in nodes]
        executor.shutdown()
        for node in nodes:
            node.destroy_node()
        rclpy.utilities.try_shutdown()
    code = 0 if all(node.built or not node.parameters.build_only for node in nodes) else 1
    if not all(have_ended):   # an engine is being loaded, and only the end of the process stops it
        os._exit(code)
    return code


def _are_done(nodes: Sequence[StreamNode]) -> bool:
    """Tell whether building was all that was asked for, and there is nothing left to build."""
    return all(node.parameters.build_only and node.built is not None for node in nodes)
