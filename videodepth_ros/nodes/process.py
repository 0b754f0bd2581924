# SPDX-License-Identifier: Apache-2.0
"""The process around nodes: from the command line to the exit code."""

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
from videodepth_ros.nodes.parameters import LiveParameters
from videodepth_ros.nodes.transport import prepare_process

T = TypeVar('T')

LOOK_UP_S = 0.1
"""How often an idle process looks whether a signal came: waiting for messages hides it."""


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
    with ros(arguments) as interruption:
        nodes = made(make_nodes, 'videodepth')
        executor = SingleThreadedExecutor()
        for node in nodes:
            if node.parameters.autostart and node.trigger_configure() == Result.SUCCESS:
                node.trigger_activate()
            executor.add_node(node)  # type: ignore[arg-type,unused-ignore]
        try:
            spin(executor, lambda: interruption.requested or _are_done(nodes))
        finally:
            have_ended = [node.close() for node in nodes]
            executor.shutdown()
            for node in nodes:
                node.destroy_node()
    code = 0 if all(node.built or not node.parameters.build_only for node in nodes) else 1
    if not all(have_ended):  # an engine is being loaded, and only the end of the process stops it
        os._exit(code)
    return code


@contextmanager
def ros(arguments: list[str] | None) -> Iterator[Interruption]:
    """Within the ``with`` block this process talks ROS, and signals only leave a note.

    The handlers of rclpy shut it down under whoever creates, spins or publishes at that moment,
    and each of these then fails in a way of its own.
    raises  SystemExit if the arguments are not such as ROS reads
    """
    prepare_process()
    with Interruption() as interruption:
        try:
            rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        except (RCLError, UnknownROSArgsError) as error:  # a file of parameters that is no YAML
            get_logger('videodepth').fatal(str(error))
            raise SystemExit(1) from error
        try:
            yield interruption
        finally:
            rclpy.utilities.try_shutdown()


def made(make: Callable[[], T], name: str) -> T:
    """Return the node or nodes of a process.

    raises  SystemExit if a parameter is wrong, which the log has said under ``name``
    """
    try:
        return make()
    except (ParameterException, ConfigError) as error:
        get_logger(name).fatal(str(error))
        raise SystemExit(1) from error


def spin(executor: SingleThreadedExecutor, is_over: Callable[[], bool]) -> None:
    """Serve callbacks until ``is_over``, which is asked after each and every ``LOOK_UP_S``."""
    while not is_over():
        executor.spin_once(timeout_sec=LOOK_UP_S)


def _are_done(nodes: Sequence[StreamNode]) -> bool:
    """Tell whether building was all that was asked for, and there is nothing left to build."""
    return all(node.parameters.build_only and node.built is not None for node in nodes)
