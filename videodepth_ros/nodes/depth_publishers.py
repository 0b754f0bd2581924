# SPDX-License-Identifier: Apache-2.0
"""Publishers of depth, camera_info, cloud and confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from videodepth_ros.frames import Frame
from videodepth_ros.messages.camera_info import fill_camera_info
from videodepth_ros.messages.cloud import write_cloud, write_points
from videodepth_ros.messages.image import write_depth
from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.stream.session import StepResult


@dataclass(frozen=True)
class Demand:
    """Outputs that have subscribers."""

    depth: bool = False
    camera_info: bool = False
    points: bool = False
    confidence: bool = False

    def __bool__(self) -> bool:
        return self.depth or self.camera_info or self.points or self.confidence


class DepthPublishers:
    """Publishers of one stream, each with one message that is overwritten for every frame.

    ``publish`` of rclpy returns when the message is serialized, so it can be reused.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._depth = self._publisher(Image, 'depth/image')
        self._camera_info = self._publisher(CameraInfo, 'depth/camera_info')
        self._points = self._publisher(PointCloud2, 'depth/points')
        self._confidence = self._publisher(Image, 'depth/confidence')
        self._depth_message, self._confidence_message = Image(), Image()
        self._camera_info_message, self._points_message = CameraInfo(), PointCloud2()
        self._last_points_ns: int | None = None

    @property
    def demand(self) -> Demand:
        """Outputs that have subscribers now."""
        return Demand(
            self._depth.get_subscription_count() > 0,
            self._camera_info.get_subscription_count() > 0,
            self._points.get_subscription_count() > 0,
            self._confidence.get_subscription_count() > 0,
        )

    def cloud_range_m(self, stamp_ns: int, parameters: LiveParameters) -> float | None:
        """Return the maximum Z of the points that the engine should compute for a frame.

        None if no cloud is due, or a sparse one: that is computed here faster than a dense one
        is copied from the device.
        """
        if (
            self._points.get_subscription_count()
            and parameters.cloud_stride == 1
            and self._is_due(stamp_ns, parameters)
        ):
            return parameters.cloud_max_range_m or np.inf
        return None

    def publish(self, result: StepResult, frame: Frame, parameters: LiveParameters) -> None:
        """Publish the outputs that have subscribers, with the header of ``frame``.

        Without intrinsics neither camera_info nor cloud is published.
        """
        demand, depth = self.demand, result.depth
        if demand.depth:
            write_depth(depth.depth_m, self._depth_message)
            self._send(self._depth, self._depth_message, frame)
        if demand.camera_info and depth.camera:
            fill_camera_info(self._camera_info_message, depth.camera)
            self._send(self._camera_info, self._camera_info_message, frame)
        if demand.points and depth.camera and self._is_due(frame.stamp_ns, parameters):
            self._last_points_ns = frame.stamp_ns
            self._write_cloud(result, frame, parameters)
            self._send(self._points, self._points_message, frame)
        if demand.confidence and depth.confidence is not None:
            write_depth(depth.confidence, self._confidence_message)
            self._send(self._confidence, self._confidence_message, frame)

    def _write_cloud(self, result: StepResult, frame: Frame, parameters: LiveParameters) -> None:
        depth = result.depth
        if result.cloud is not None:
            write_points(result.cloud, self._points_message)
        elif depth.camera:
            write_cloud(
                depth.depth_m,
                frame.image,
                depth.camera,
                parameters.cloud_stride,
                parameters.cloud_max_range_m or np.inf,
                self._points_message,
            )

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._depth, self._camera_info, self._points, self._confidence):
            self._node.destroy_publisher(publisher)

    def _publisher(self, message_type: type, topic: str) -> Publisher:
        qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
        options = QoSOverridingOptions.with_default_policies()
        return self._node.create_publisher(
            message_type, topic, qos, qos_overriding_options=options
        )

    def _send(self, publisher: Publisher, message: Any, frame: Frame) -> None:
        set_stamp(message.header.stamp, frame.stamp_ns)
        message.header.frame_id = frame.frame_id
        publisher.publish(message)

    def _is_due(self, stamp_ns: int, parameters: LiveParameters) -> bool:
        """Return whether a cloud is due in data time; one is due if time went backwards."""
        last_ns, rate_hz = self._last_points_ns, parameters.cloud_max_rate_hz
        return last_ns is None or rate_hz <= 0 or not 0 <= (stamp_ns - last_ns) * rate_hz < 0.99e9
