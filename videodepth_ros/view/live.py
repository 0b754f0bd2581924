# SPDX-License-Identifier: Apache-2.0
"""Frames, status and parameters of a live node, over ROS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Future
from types import TracebackType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger
from videodepth.msg import Status

from videodepth_ros.bags.cdr import header_stamp_ns
from videodepth_ros.bags.types import STORE
from videodepth_ros.core.options import options_of
from videodepth_ros.messages.camera_info import intrinsics_from
from videodepth_ros.messages.image import decode_depth, decode_image, decode_share
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.process import spin_until
from videodepth_ros.nodes.subscriptions import DynamicSubscription, compatible_config
from videodepth_ros.view.frame_assembly import FrameAssembly
from videodepth_ros.view.options import LIVE_SOURCE, LiveSourceOptions
from videodepth_ros.view.parameters import describe
from videodepth_ros.view.source import ViewFrame
from videodepth_ros.view.status import status_values

TOPICS = {
    'depth': (Image, 'depth/image'),
    'info': (CameraInfo, 'depth/camera_info'),
    'image': (Image, 'rgb/image'),
    'confidence': (Image, 'depth/confidence'),
}
"""Type and topic of each part of a frame."""
DYNAMIC = {each.name: each for each in options_of(LiveParameters) if each.dynamic}


class LiveSource:
    """Frames of a live node, see ``source.Source``; a context manager.

    Its topics are subscribed to while a browser shows them.
    """

    def __init__(self, name: str, options: LiveSourceOptions = LIVE_SOURCE) -> None:
        """Join the graph; name: of the live node, with its namespace. rclpy is initialized."""
        self._name, self._options = '/' + name.strip('/'), options
        namespace, _, base = self._name.rpartition('/')
        self._node = rclpy.create_node(f'{base}_view', namespace=namespace or '/')
        self._frames = FrameAssembly(options.pending_frames)
        self._streams: frozenset[str] = frozenset()
        self._notify: Callable[[], None] = lambda: None
        self._status: dict[str, Any] = {'state': 'absent', 'warnings': [], 'parameters': {}}
        self._parts = {
            part: DynamicSubscription(self._node, kind, self._receive(part), raw=True)
            for part, (kind, _) in TOPICS.items()
        }
        self._reports = [
            DynamicSubscription(self._node, Status, self._on_status),
            DynamicSubscription(self._node, DiagnosticArray, self._on_diagnostics),
        ]
        self._client = AsyncParameterClient(self._node, self._name)
        self._reset_client = self._node.create_client(Trigger, f'{self._name}/reset')
        self._node.create_timer(options.watch_period_s, self._watch)
        self._node.create_timer(options.parameter_period_s, self._poll_parameters)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._done = threading.Event()
        self._thread = threading.Thread(
            target=spin_until, args=(self._executor, self._done.is_set), name='view'
        )

    def __enter__(self) -> LiveSource:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()

    def open(self, notify: Callable[[], None]) -> None:
        """Call ``notify`` from now on."""
        self._notify = notify

    def facts(self) -> dict[str, Any]:
        """Return the title and the parameters that can change at run time."""
        return {
            'title': self._name,
            'stamps': None,
            'streams': ['image', 'depth', 'confidence'],
            'path': [],
            'yaw': 0.0,
            'has_map': False,
            'parameters': [describe(option) for option in DYNAMIC.values()],
        }

    def status(self) -> dict[str, Any]:
        """Return the last status, warnings and values of parameters."""
        return self._status

    def show(self, streams: Collection[str]) -> None:
        """Subscribe to what is shown, at the next watch."""
        self._streams = frozenset(streams)

    def newest(self) -> int:
        """Return the number of frames received, minus 1."""
        return self._frames.count - 1

    def read(self, number: int, streams: Collection[str]) -> ViewFrame:
        """Return the newest frame."""
        stamp_ns, parts = self._frames.newest
        messages: dict[str, Any] = {
            part: STORE.deserialize_cdr(data, f'sensor_msgs/msg/{TOPICS[part][0].__name__}')
            for part, data in parts.items()
            if part == 'info' or part in streams
        }
        depth, info, image, share = (messages.get(part) for part in TOPICS)
        depth_m = None if depth is None else decode_depth(depth)
        camera = None
        if depth_m is not None and info is not None:
            camera = intrinsics_from(info, depth_m.shape[1], depth_m.shape[0])
        return ViewFrame(
            stamp_ns,
            '' if depth is None else depth.header.frame_id,
            None if image is None else decode_image(image),
            depth_m,
            None if share is None else decode_share(share),
            camera,
            age_s=(self._node.get_clock().now().nanoseconds - stamp_ns) / 1e9,
        )

    def map(self) -> None:
        """Return None: a live node has no map."""

    async def set_parameter(self, name: str, value: Any) -> str:
        """Set a parameter; return why it was refused."""
        if name not in DYNAMIC:
            return f'{name} cannot change at run time'
        checked = DYNAMIC[name].check(value)
        if not self._client.services_are_ready():
            return f'{self._name} is not running'
        future = self._client.set_parameters([Parameter(name, value=checked)])
        response = await self._response(future)
        result: SetParametersResult = response.results[0]
        self._poll_parameters()
        return '' if result.successful else str(result.reason)

    async def reset(self) -> str:
        """Reset the recurrent state; return why that failed."""
        if not self._reset_client.service_is_ready():
            return f'{self._name} is not running'
        response = await self._response(self._reset_client.call_async(Trigger.Request()))
        return '' if response.success else str(response.message)

    def _response(self, future: Any) -> Awaitable[Any]:
        """Return the awaitable of a future of rclpy."""
        bridge: Future[Any] = Future()
        future.add_done_callback(lambda done: bridge.set_result(done.result()))
        return asyncio.wait_for(asyncio.wrap_future(bridge), self._options.service_timeout_s)

    def _receive(self, part: str) -> Callable[[bytes], None]:
        def receive(data: bytes) -> None:
            if self._frames.add(part, header_stamp_ns(data), data):
                self._notify()

        return receive

    def _on_status(self, status: Status) -> None:
        self._change(**status_values(status))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for entry in message.status:
            if entry.name == self._name:
                is_warning = entry.level != entry.OK
                self._change(warnings=[entry.message] if is_warning else [])

    def _change(self, **values: Any) -> None:
        """Replace values of the status; a new object only where one has changed."""
        changed = {**self._status, **values}
        if changed != self._status:
            self._status = changed
            self._notify()

    def _watch(self) -> None:
        """Subscribe as the browsers need it and as the publishers offer it."""
        shown = self._streams | ({'info'} if 'depth' in self._streams else set())
        self._frames.expect(shown)
        for part, subscription in self._parts.items():
            topic = self._node.resolve_topic_name(TOPICS[part][1])
            subscription.update(self._config(topic) if part in shown else None)
        for subscription, topic in zip(
            self._reports, (f'{self._name}/status', '/diagnostics'), strict=True
        ):
            subscription.update(self._config(topic) if shown else None)
        if shown and not self._client.services_are_ready():
            self._change(state='absent', warnings=[f'{self._name} is not running'])

    def _config(self, topic: str) -> Any:
        return compatible_config(topic, self._node.get_publishers_info_by_topic(topic))

    def _poll_parameters(self) -> None:
        if self._streams and self._client.services_are_ready():
            future = self._client.get_parameters(list(DYNAMIC))
            future.add_done_callback(self._on_parameters)

    def _on_parameters(self, future: Any) -> None:
        response = future.result()
        if response is not None and len(response.values) == len(DYNAMIC):
            values = [parameter_value_to_python(value) for value in response.values]
            self._change(parameters=dict(zip(DYNAMIC, values, strict=True)))
