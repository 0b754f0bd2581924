# SPDX-License-Identifier: Apache-2.0
"""The thread that plays results back, with their time on /clock."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from itertools import chain

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2
from tf2_msgs.msg import TFMessage
from videodepth.msg import OfflineStatus

from videodepth_ros.bags.frame_tree import TF_STATIC
from videodepth_ros.core.errors import InputError, VideoDepthError
from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.nodes.coloured import CloudMaker
from videodepth_ros.nodes.offline_parameters import OfflineParameters
from videodepth_ros.nodes.pacer import Pacer
from videodepth_ros.nodes.playlist import CLOCK, Entry, Playlist, Sources, Track


class Playback:
    """Plays results from their beginning, in a thread of its own, until their end or ``close``.

    parameters  may be replaced at any time; those that are dynamic take effect at once
    rounds      times that it began afresh
    late_s      time by which it is behind, because data could not be published faster
    """

    def __init__(
        self,
        node: Node,
        sources: Sources,
        parameters: OfflineParameters,
        complain: Callable[[str], None],
    ) -> None:
        """Begin; ``complain`` is called with what ends it before its time, in words."""
        self.parameters = parameters
        self.rounds = 0
        self.begin_ns = self.end_ns = self.now_ns = 0
        self._sources = sources
        self._outputs = _Outputs(node)
        self._pacer = Pacer()
        self._complain = complain
        self._paused = self._closing = False
        self._end = ''  # the state that it has ended in
        self._told_s = 0.0  # when /clock was told last
        self._nudge = threading.Event()  # something has changed: look
        self._thread = threading.Thread(target=self._run, name='playback', daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """One of the values of ``playback`` in OfflineStatus."""
        if self._end:
            return self._end
        return str(OfflineStatus.PAUSED if self._paused else OfflineStatus.PLAYING)

    @property
    def length_ns(self) -> int:
        """Time from the first to the last result."""
        return self.end_ns - self.begin_ns

    @property
    def late_s(self) -> float:
        """Seconds by which it is behind what was asked for, in all."""
        return self._pacer.late_s

    def pause(self, wanted: bool) -> None:
        """Let the time on /clock stand still, or go on."""
        self._paused = wanted
        self._nudge.set()

    def close(self) -> None:
        """End it and take its topics off the graph."""
        self._closing = True
        self._nudge.set()
        self._thread.join()
        self._outputs.close()

    def _run(self) -> None:
        try:
            with Playlist(self._sources, self.parameters.play_topics) as playlist:
                self._play(playlist)
            self._end = OfflineStatus.ENDED
        except Exception as error:  # the border of the thread: whatever it is, the node tells
            name = '' if isinstance(error, VideoDepthError) else f'{type(error).__name__}: '
            self._end = OfflineStatus.STOPPED
            self._complain(f'playback: {name}{error}')

    def _play(self, playlist: Playlist) -> None:
        self._outputs.open(playlist)
        self.begin_ns, self.end_ns = playlist.begin_ns, playlist.end_ns
        static = playlist.static_transforms()
        while self._round(playlist, static) and self.parameters.loop and self.length_ns > 0:
            self.rounds += 1

    def _round(self, playlist: Playlist, static: bytes) -> bool:
        """Play everything once; False if the playback is to end."""
        entries = playlist.entries()
        first = next(entries)  # what it takes to find it passes before time begins
        self._start(playlist.begin_ns, 0.0 if self.rounds else self.parameters.play_delay_s)
        self._outputs.static.publish(static)
        clouds = CloudMaker(playlist)
        for entry in chain([first], entries):
            if not self._until(entry.due_ns):
                return False
            self._outputs.send(entry)
            if clouds.add(entry) and self._outputs.points.get_subscription_count() > 0:
                self._outputs.send_cloud(clouds, self.parameters)
        return self._until(playlist.end_ns)

    def _start(self, data_ns: int, delay_s: float) -> None:
        """Set the time; what follows is due ``delay_s`` later than it would be."""
        self.now_ns = data_ns
        self._pacer.start(data_ns, time.monotonic() + delay_s, self.parameters.rate)
        self._tell(data_ns)

    def _until(self, due_ns: int) -> bool:
        """Let time pass until ``due_ns``; False if the playback is to end."""
        while not self._closing:
            now_s, period_s = time.monotonic(), 1.0 / self.parameters.clock_rate_hz
            if self._paused or self._pacer.rate != self.parameters.rate:
                self._pacer.start(self.now_ns, now_s, self.parameters.rate)
            left_s = self._pacer.left_s(due_ns, now_s)
            if left_s <= 0 and not self._paused:
                if due_ns > self.now_ns:
                    self._tell(due_ns)
                return True
            if now_s - self._told_s >= period_s:
                self._tell(max(self.now_ns, min(self._pacer.data_ns(now_s), due_ns)))
            self._nudge.wait(period_s if self._paused else min(left_s, period_s))
            self._nudge.clear()
        return False

    def _tell(self, data_ns: int) -> None:
        self.now_ns, self._told_s = data_ns, time.monotonic()
        self._outputs.tell(data_ns)


class _Outputs:
    """The publishers of a playback; large messages go out only if somebody subscribes."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers: dict[Track, Publisher] = {}
        self._clock_message = Clock()
        self._clock = self._publisher(Clock, CLOCK)
        self.points = self._publisher(PointCloud2, 'depth/points')
        self.static = self._publisher(TFMessage, TF_STATIC, latched=True)

    def open(self, playlist: Playlist) -> None:
        """Offer the topics of a playlist; those whose messages are not installed are left out."""
        for track in playlist.tracks:
            package, _, name = track.type.partition('/msg/')
            try:
                kind = getattr(importlib.import_module(f'{package}.msg'), name)
            except (ImportError, AttributeError):
                self._node.get_logger().warning(
                    f'{track.topic} is not played, for {track.type} is not installed'
                )
                continue
            self._publishers[track] = self._publisher(kind, track.topic, track.latched)

    def close(self) -> None:
        """Take all of them off the graph."""
        for publisher in (*self._publishers.values(), self._clock, self.points, self.static):
            self._node.destroy_publisher(publisher)

    def tell(self, data_ns: int) -> None:
        """Say on /clock what time it is."""
        set_stamp(self._clock_message.clock, data_ns)
        self._clock.publish(self._clock_message)

    def send(self, entry: Entry) -> None:
        """Publish one message of the playlist."""
        publisher = self._publishers.get(entry.track)
        if publisher is not None and (
            entry.track.latched or publisher.get_subscription_count() > 0
        ):
            publisher.publish(entry.data)  # rclpy takes bytes as they are

    def send_cloud(self, clouds: CloudMaker, parameters: OfflineParameters) -> None:
        """Publish the points of what has been gathered."""
        try:
            cloud = clouds.cloud(parameters)
        except InputError as error:
            self._node.get_logger().warning(f'no cloud: {error}', throttle_duration_sec=5.0)
            return
        if cloud is not None:
            self.points.publish(cloud)

    def _publisher(self, kind: type, topic: str, latched: bool = False) -> Publisher:
        qos = QoSProfile(
            depth=10,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        options = QoSOverridingOptions.with_default_policies()
        return self._node.create_publisher(kind, topic, qos, qos_overriding_options=options)
