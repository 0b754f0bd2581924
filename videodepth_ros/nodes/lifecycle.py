# SPDX-License-Identifier: Apache-2.0
"""Transitions as other clients than ours ask for them, and as they fail."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn as Result

from videodepth_ros.core.errors import VideoDepthError

Node = TypeVar('Node', bound='ToldNode')


class ToldNode(LifecycleNode):
    """A lifecycle node that refuses a transition which its state has not, as those of rclcpp do.

    A lifecycle manager may well configure a node that has started by itself. rclpy lets the
    refusal of rcl, which has logged it, run through the executor, and the process would end.
    """

    def __init__(self, name: str, **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        service = self._service_change_state
        change_state = service.callback

        def answer(request: Any, response: Any) -> Any:
            try:
                return change_state(request, response)
            except RCLError:
                response.success = False
                return response

        service.callback = answer

    def tell_failure(self, error: Exception) -> None:
        """Be told what a transition has raised."""
        raise NotImplementedError


def told(
    transition: Callable[[Node, LifecycleState], Result],
) -> Callable[[Node, LifecycleState], Result]:
    """Let a node tell what one of its transitions raises: rclpy drops it without a word."""

    @wraps(transition)
    def carried_out(node: Node, state: LifecycleState) -> Result:
        try:
            return transition(node, state)
        except Exception as error:  # the border to rclpy: whatever it is, the node tells
            node.tell_failure(error)
            raise

    return carried_out


def described(error: Exception) -> str:
    """Return what an operator is told of an error; one that is not ours is named."""
    name = '' if isinstance(error, VideoDepthError) else f'{type(error).__name__}: '
    return f'{name}{error}'
