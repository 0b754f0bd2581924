# SPDX-License-Identifier: Apache-2.0
"""The process of one or several nodes: from its arguments to its exit code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import rclpy
import rclpy.utilities
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn as Result
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.transport import prepare_process

T = TypeVar('T')


class ManagedNode(Protocol):
    """The interface of a live node that its process uses."""

    parameters: LiveParameters
    built: bool | None
    """Result of ``build_only``; None: pending."""

    def trigger_configure(self) -> Any:
        """Go from unconfigured to inactive."""

    def trigger_activate(self) -> Any:
        """Go from inactive to active."""

    def close(self) -> bool:
        """Free the resources of the node; False if an engine is still being loaded."""

    def destroy_node(self) -> None:
        """Leave the graph."""


def run(make_nodes: Callable[[], Sequence[ManagedNode]], arguments: list[str] | None) -> int:
    """Run nodes in one process until SIGINT or SIGTERM; return the exit code.

    With ``build_only`` run until each engine is built or has failed; 0 if all are built. One
    executor serves all nodes, as callbacks only receive and publish status; each node computes
    in its own thread.
    """
    with ros_context(arguments) as interruption:
        nodes = create_nodes(make_nodes, 'videodepth')
        executor = SingleThreadedExecutor()
        for node in nodes:
            if node.parameters.autostart and node.trigger_configure() == Result.SUCCESS:
                node.trigger_activate()
            executor.add_node(node)  # type: ignore[arg-type,unused-ignore]
        try:
            spin_until(executor, lambda: interruption.requested or _is_build_done(nodes))
        finally:
            closed = [node.close() for node in nodes]
            executor.shutdown()
            for node in nodes:
                node.destroy_node()
    code = 0 if all(node.built or not node.parameters.build_only for node in nodes) else 1
    if not all(closed):  # only the end of the process interrupts the loading of an engine
        os._exit(code)
    return code


@contextmanager
def ros_context(arguments: list[str] | None) -> Iterator[Interruption]:
    """Initialize rclpy for a ``with`` block in which signals only set a flag.

    The signal handlers of rclpy shut it down while other threads create, spin or publish, each of
    which then raises a different error.

    Raise SystemExit if the ROS arguments are invalid.
    """
    prepare_process()
    with Interruption() as interruption:
        try:
            rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        except (RCLError, UnknownROSArgsError) as error:  # such as a malformed parameter file
            get_logger('videodepth').fatal(str(error))
            raise SystemExit(1) from error
        try:
            yield interruption
        finally:
            rclpy.utilities.try_shutdown()


def create_nodes(make: Callable[[], T], logger_name: str) -> T:
    """Return the node or nodes of a process; log an invalid parameter and raise SystemExit."""
    try:
        return make()
    except (ParameterException, ConfigError) as error:
        get_logger(logger_name).fatal(str(error))
        raise SystemExit(1) from error


def spin_until(
    executor: SingleThreadedExecutor, is_done: Callable[[], bool], period_s: float = 0.1
) -> None:
    """Serve callbacks until ``is_done``.

    period_s  longest time between two checks, as a signal does not interrupt the wait for messages
    """
    while not is_done():
        executor.spin_once(timeout_sec=period_s)


def _is_build_done(nodes: Sequence[ManagedNode]) -> bool:
    """Return whether all nodes only build, and each build has ended."""
    return all(node.parameters.build_only and node.built is not None for node in nodes)
