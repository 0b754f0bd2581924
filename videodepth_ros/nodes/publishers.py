# SPDX-License-Identifier: Apache-2.0
"""What the live node sends out, and who wants it."""

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
from videodepth_ros.nodes.parameters import LiveParameters
from videodepth_ros.stream.session import StepResult


@dataclass(frozen=True)
class Demand:
    """Which outputs somebody subscribes to."""

    depth: bool = False
    camera_info: bool = False
    points: bool = False
    confidence: bool = False

    def __bool__(self) -> bool:
        return self.depth or self.camera_info or self.points or self.confidence


class Outputs:
    """The publishers of one stream, each with one message that is written in place every time.

    ``publish`` of rclpy has copied the message when it returns, so that one can be used again.
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
        """Which outputs somebody subscribes to at this moment."""
        return Demand(
            self._depth.get_subscription_count() > 0,
            self._camera_info.get_subscription_count() > 0,
            self._points.get_subscription_count() > 0,
            self._confidence.get_subscription_count() > 0,
        )

    def cloud_range_m(self, stamp_ns: int, parameters: LiveParameters) -> float | None:
        """Return up to which Z the engine should make the points of a frame, if it can.

        None where nobody wants them now, or not at every pixel: a cloud that is thinned out is
        made faster here than the whole one is fetched.
        """
        if (
            self._points.get_subscription_count()
            and parameters.cloud_stride == 1
            and self._is_due(stamp_ns, parameters)
        ):
            return parameters.cloud_max_range_m or np.inf
        return None

    def publish(self, result: StepResult, frame: Frame, parameters: LiveParameters) -> None:
        """Publish what somebody subscribes to, under the header of ``frame``.

        Without intrinsics there is neither a camera_info nor a cloud.
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
        """Take the publishers off the graph."""
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
        """Tell whether the next cloud is due, in data time; it is where time has run backwards."""
        last_ns, rate_hz = self._last_points_ns, parameters.cloud_max_rate_hz
        return last_ns is None or rate_hz <= 0 or not 0 <= (stamp_ns - last_ns) * rate_hz < 0.99e9
