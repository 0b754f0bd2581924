# SPDX-License-Identifier: Apache-2.0
"""An offline node with a job of the test's choice, and a client beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from videodepth.action import Refine

from videodepth_ros.nodes.job_process import Job
from videodepth_ros.nodes.offline_node import OfflineNode
from videodepth_ros.nodes.options import OFFLINE, OfflineNodeOptions


class OfflineRig:
    """The node under test and its client."""

    def __init__(
        self,
        executor: SingleThreadedExecutor,
        job: Job,
        options: OfflineNodeOptions = OFFLINE,
        **parameters: Any,
    ) -> None:
        overrides = [
            Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()
        ]
        self.executor = executor
        self.node = OfflineNode(job, options=options, parameter_overrides=overrides)
        self.peer = rclpy.create_node('peer')
        self.client = ActionClient(self.peer, Refine, '/videodepth_offline/refine')
        self.feedback: list[Refine.Feedback] = []
        executor.add_node(self.node)
        executor.add_node(self.peer)

    def close(self) -> None:
        self.client.destroy()
        for node in (self.node, self.peer):
            self.executor.remove_node(node)
            node.destroy_node()

    def until(self, condition: Callable[[], Any], timeout_s: float = 120.0) -> Any:
        """Spin until a condition holds and return what it gives."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < deadline, 'the condition did not come true'
            self.executor.spin_once(timeout_sec=0.02)
        return value

    def send(self, **goal: Any) -> Any:
        """Send a goal and return its handle."""
        self.until(self.client.server_is_ready)
        goal = {
            name: str(value) if isinstance(value, Path) else value for name, value in goal.items()
        }
        sent = self.client.send_goal_async(
            Refine.Goal(**goal), lambda told: self.feedback.append(told.feedback)
        )
        self.until(sent.done)
        return sent.result()

    def result(self, handle: Any) -> Any:
        """Return status and result of a goal that comes to its end."""
        future = handle.get_result_async()
        self.until(future.done)
        return future.result()

    def refine(self, **goal: Any) -> Any:
        """Send a goal and return its status and result."""
        return self.result(self.send(**goal))

    def call(self, kind: Any, service: str, **fields: Any) -> Any:
        client = self.peer.create_client(kind, f'/videodepth_offline/{service}')
        self.until(client.service_is_ready)
        future = client.call_async(kind.Request(**fields))
        self.until(future.done)
        self.peer.destroy_client(client)
        return future.result()

    def hear(
        self, topic: str, kind: type, *, latched: bool = False, best_effort: bool = False
    ) -> list[Any]:
        heard: list[Any] = []
        self.peer.create_subscription(
            kind,
            topic,
            heard.append,
            QoSProfile(
                depth=5000,  # whoever is late hears everything nevertheless
                reliability=ReliabilityPolicy.BEST_EFFORT
                if best_effort
                else ReliabilityPolicy.RELIABLE,
                durability=DurabilityPolicy.TRANSIENT_LOCAL
                if latched
                else DurabilityPolicy.VOLATILE,
            ),
        )
        return heard
