# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that fail without ending the process."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn as Result

from videodepth_ros.core.errors import VideoDepthError

Node = TypeVar('Node', bound='SafeLifecycleNode')


class SafeLifecycleNode(LifecycleNode):
    """A lifecycle node that rejects invalid transition requests, as rclcpp does.

    A lifecycle manager may configure a node that is configured already. In rclpy the RCLError of
    that request, which rcl has logged, leaves the executor and would end the process.
    """

    def __init__(self, name: str, **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        service = self._service_change_state
        change_state = service.callback

        def on_change_state(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except RCLError:
                response.success = False
                return response

        service.callback = on_change_state

    def on_transition_failure(self, error: Exception) -> None:
        """Handle an exception that a transition callback has raised."""
        raise NotImplementedError


def report_errors(
    transition: Callable[[Node, LifecycleState], Result],
) -> Callable[[Node, LifecycleState], Result]:
    """Pass the exceptions of a transition callback to the node; rclpy drops them silently."""

    @wraps(transition)
    def wrapper(node: Node, state: LifecycleState) -> Result:
        try:
            return transition(node, state)
        except Exception as error:  # the border to rclpy: every error is reported
            node.on_transition_failure(error)
            raise

    return wrapper


def error_text(error: Exception) -> str:
    """Return the message of an error, with the class name if it is not one of this package."""
    name = '' if isinstance(error, VideoDepthError) else f'{type(error).__name__}: '
    return f'{name}{error}'
