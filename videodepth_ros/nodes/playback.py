# SPDX-License-Identifier: Apache-2.0
"""Playback of results in a thread, with data time on /clock."""

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
from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.nodes.cloud_builder import CloudBuilder
from videodepth_ros.nodes.lifecycle import error_text
from videodepth_ros.nodes.offline_parameters import OfflineParameters
from videodepth_ros.nodes.player_clock import PlayerClock
from videodepth_ros.nodes.playlist import CLOCK, Entry, PlaybackSources, Playlist, Track


class Playback:
    """Play results from their beginning, in a thread, until their end or ``close``.

    parameters  may be replaced at any time; dynamic ones are applied at once
    rounds      restarts by the parameter ``loop``
    late_s      accumulated lag, as data could not be published faster
    """

    def __init__(
        self,
        node: Node,
        sources: PlaybackSources,
        parameters: OfflineParameters,
        on_error: Callable[[str], None],
    ) -> None:
        """Start; ``on_error`` is called with the message of an error that ends the playback."""
        self.parameters = parameters
        self.rounds = 0
        self.begin_ns = self.end_ns = self.now_ns = 0
        self._sources = sources
        self._publishers = _PlaybackPublishers(node)
        self._clock = PlayerClock()
        self._on_error = on_error
        self._paused = self._closing = False
        self._end_state = ''
        self._clock_published_s = 0.0  # on the steady clock
        self._changed = threading.Event()  # pause or close was called
        self._thread = threading.Thread(target=self._run, name='playback', daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        """A value of ``playback`` in OfflineStatus."""
        if self._end_state:
            return self._end_state
        return str(OfflineStatus.PAUSED if self._paused else OfflineStatus.PLAYING)

    @property
    def length_ns(self) -> int:
        """Duration from the first to the last result."""
        return self.end_ns - self.begin_ns

    @property
    def late_s(self) -> float:
        """Accumulated lag behind the rate."""
        return self._clock.late_s

    def pause(self, paused: bool) -> None:
        """Stop the time on /clock, or resume it."""
        self._paused = paused
        self._changed.set()

    def close(self) -> None:
        """End the playback and destroy its publishers."""
        self._closing = True
        self._changed.set()
        self._thread.join()
        self._publishers.close()

    def _run(self) -> None:
        try:
            with Playlist(self._sources, self.parameters.play_topics) as playlist:
                self._play(playlist)
            self._end_state = OfflineStatus.ENDED
        except Exception as error:  # the border of the thread: the node reports it
            self._end_state = OfflineStatus.STOPPED
            self._on_error(f'playback: {error_text(error)}')

    def _play(self, playlist: Playlist) -> None:
        self._publishers.open(playlist)
        self.begin_ns, self.end_ns = playlist.begin_ns, playlist.end_ns
        static = playlist.static_transforms()
        while self._play_once(playlist, static) and self.parameters.loop and self.length_ns > 0:
            self.rounds += 1

    def _play_once(self, playlist: Playlist, static: bytes) -> bool:
        """Play all messages once; False if the playback was closed."""
        entries = playlist.entries()
        first = next(entries)  # found before the clock starts, as that may take a while
        self._start(playlist.begin_ns, 0.0 if self.rounds else self.parameters.play_delay_s)
        self._publishers.static.publish(static)
        clouds = CloudBuilder(playlist)
        for entry in chain([first], entries):
            if not self._wait_until(entry.due_ns):
                return False
            self._publishers.send(entry)
            if clouds.add(entry) and self._publishers.points.get_subscription_count() > 0:
                self._publishers.send_cloud(clouds, self.parameters)
        return self._wait_until(playlist.end_ns)

    def _start(self, data_ns: int, delay_s: float) -> None:
        """Set data time; it starts to run after ``delay_s``."""
        self.now_ns = data_ns
        self._clock.start(data_ns, time.monotonic() + delay_s, self.parameters.rate)
        self._publish_clock(data_ns)

    def _wait_until(self, due_ns: int) -> bool:
        """Publish /clock until ``due_ns``; False if the playback was closed."""
        while not self._closing:
            now_s, period_s = time.monotonic(), 1.0 / self.parameters.clock_rate_hz
            if self._paused or self._clock.rate != self.parameters.rate:
                self._clock.start(self.now_ns, now_s, self.parameters.rate)
            wait_s = self._clock.wait_s(due_ns, now_s)
            if wait_s <= 0 and not self._paused:
                if due_ns > self.now_ns:
                    self._publish_clock(due_ns)
                return True
            if now_s - self._clock_published_s >= period_s:
                self._publish_clock(max(self.now_ns, min(self._clock.data_ns(now_s), due_ns)))
            self._changed.wait(period_s if self._paused else min(wait_s, period_s))
            self._changed.clear()
        return False

    def _publish_clock(self, data_ns: int) -> None:
        self.now_ns, self._clock_published_s = data_ns, time.monotonic()
        self._publishers.publish_clock(data_ns)


class _PlaybackPublishers:
    """Publishers of a playback; messages of topics without subscribers are not published."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers: dict[Track, Publisher] = {}
        self._clock_message = Clock()
        self._clock = self._publisher(Clock, CLOCK)
        self.points = self._publisher(PointCloud2, 'depth/points')
        self.static = self._publisher(TFMessage, TF_STATIC, latched=True)

    def open(self, playlist: Playlist) -> None:
        """Create publishers of a playlist; topics of types that are not installed are omitted."""
        for track in playlist.tracks:
            package, _, name = track.type.partition('/msg/')
            try:
                kind = getattr(importlib.import_module(f'{package}.msg'), name)
            except (ImportError, AttributeError):
                self._node.get_logger().warning(
                    f'{track.topic} is not played: {track.type} is not installed'
                )
                continue
            self._publishers[track] = self._publisher(kind, track.topic, track.latched)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (*self._publishers.values(), self._clock, self.points, self.static):
            self._node.destroy_publisher(publisher)

    def publish_clock(self, data_ns: int) -> None:
        """Publish the data time on /clock."""
        set_stamp(self._clock_message.clock, data_ns)
        self._clock.publish(self._clock_message)

    def send(self, entry: Entry) -> None:
        """Publish one message of the playlist."""
        publisher = self._publishers.get(entry.track)
        if publisher is not None and (
            entry.track.latched or publisher.get_subscription_count() > 0
        ):
            publisher.publish(entry.data)  # rclpy publishes serialized bytes unchanged

    def send_cloud(self, clouds: CloudBuilder, parameters: OfflineParameters) -> None:
        """Publish the cloud of the collected messages."""
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
