# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that give a live node evidence of the scale, and the transforms of the robot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2
from tf2_msgs.msg import TFMessage

from videodepth_ros.core.errors import InputError
from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.transform_buffer import TransformBuffer
from videodepth_ros.messages.camera_info import intrinsics_from
from videodepth_ros.messages.cloud_points import points_from_cloud
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.laser_scan import points_from_scan
from videodepth_ros.messages.transforms import (
    matrix_from_pose,
    matrix_from_transform,
    orientation_from_imu,
    stamp_ns,
)
from videodepth_ros.nodes.subscriptions import DynamicSubscription, compatible_config
from videodepth_ros.scale.fusion import FusedScale

TF_DEPTH = 100
"""Transforms that may wait for the executor, as in tf2_ros."""
LIDAR, SCAN, DEPTH, DEPTH_INFO, ODOMETRY, IMU = (
    f'scale/{name}'
    for name in ('points', 'scan', 'depth/image', 'depth/camera_info', 'odometry', 'imu')
)


class ScaleEvidenceSubscriptions:
    """Subscribe to the evidence that is published, and to transforms where they are needed.

    rejected    messages that could not be used; ``last_error``: why the last one could not
    """

    def __init__(self, node: Node, scale: FusedScale) -> None:
        self.rejected, self.last_error = 0, ''
        self._node, self._scale = node, scale
        self._depth_info: CameraInfo | None = None
        sources = scale.settings.sources
        wanted: list[tuple[type, str, Callable[[Any], None], bool]] = [
            (PointCloud2, LIDAR, self._on_points, ScaleSource.LIDAR in sources),
            (LaserScan, SCAN, self._on_scan, ScaleSource.LIDAR in sources),
            (Image, DEPTH, self._on_depth, ScaleSource.DEPTH in sources),
            (CameraInfo, DEPTH_INFO, self._on_depth_info, ScaleSource.DEPTH in sources),
            (Odometry, ODOMETRY, self._on_odometry, ScaleSource.ODOMETRY in sources),
            (Imu, IMU, self._on_imu, ScaleSource.CAMERA_HEIGHT in sources),
        ]
        self._topics = [
            (
                kind,
                node.resolve_topic_name(topic),
                DynamicSubscription(node, kind, self._safe(use)),
            )
            for kind, topic, use, is_wanted in wanted
            if is_wanted
        ]
        self._transforms: list[Subscription] = []

    def refresh(self, needs_transforms: bool) -> None:
        """Follow the publishers of now.

        needs_transforms  whether something else of the node needs them
        """
        found = False
        for kind, topic, subscription in self._topics:
            publishers = [
                each
                for each in self._node.get_publishers_info_by_topic(topic)
                if each.topic_type.endswith(f'/{kind.__name__}')
            ]
            found |= bool(publishers)
            if publishers:
                subscription.update(compatible_config(topic, publishers))
        wanted = found or needs_transforms or bool(self._scale.settings.mount.base_frame)
        if wanted and not self._transforms:
            self._transforms = [
                self._subscribe_transforms(False),
                self._subscribe_transforms(True),
            ]

    def clear(self) -> None:
        """Drop transforms and odometry, as after a jump of the clock."""
        for buffer in (self._scale.transforms, self._scale.odometry):
            if isinstance(buffer, TransformBuffer):
                buffer.clear()

    def close(self) -> None:
        """Unsubscribe from everything."""
        for _, _, subscription in self._topics:
            subscription.update(None)
        for each in self._transforms:
            self._node.destroy_subscription(each)
        self._transforms = []

    def _subscribe_transforms(self, is_static: bool) -> Subscription:
        qos = QoSProfile(
            depth=TF_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL
            if is_static
            else DurabilityPolicy.VOLATILE,
        )
        return self._node.create_subscription(
            TFMessage,
            '/tf_static' if is_static else '/tf',
            self._safe(lambda message: self._on_transforms(message, is_static)),
            qos,
        )

    def _safe(self, use: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a callback that counts messages that cannot be used."""

        def receive(message: Any) -> None:
            try:
                use(message)
            except InputError as error:
                self.rejected += 1
                self.last_error = str(error)
                self._node.get_logger().warning(
                    f'evidence of the scale rejected: {error}', throttle_duration_sec=5.0
                )

        return receive

    def _on_points(self, message: PointCloud2) -> None:
        self._add_points(message, points_from_cloud(message))

    def _on_scan(self, message: LaserScan) -> None:
        self._add_points(message, points_from_scan(message))

    def _add_points(self, message: Any, points_m: np.ndarray[Any, Any]) -> None:
        header = message.header
        self._scale.add_points(
            stamp_ns(header.stamp), header.frame_id.strip('/'), points_m.astype(np.float32)
        )

    def _on_depth(self, message: Image) -> None:
        depth_m = decode_depth(message)
        camera = self._depth_info and intrinsics_from(
            self._depth_info, depth_m.shape[1], depth_m.shape[0]
        )
        header = message.header
        self._scale.add_depth(stamp_ns(header.stamp), header.frame_id.strip('/'), depth_m, camera)

    def _on_depth_info(self, message: CameraInfo) -> None:
        self._depth_info = message

    def _on_odometry(self, message: Odometry) -> None:
        parent, child = message.header.frame_id.strip('/'), message.child_frame_id.strip('/')
        if not parent or not child:
            raise InputError(
                f'odometry from {parent!r} to {child!r} lacks a frame; set header.frame_id and '
                'child_frame_id'
            )
        stamp = stamp_ns(message.header.stamp)
        self._scale.odometry.add(parent, child, stamp, matrix_from_pose(message.pose.pose))

    def _on_imu(self, message: Imu) -> None:
        self._scale.orientations.add(
            message.header.frame_id.strip('/'),
            stamp_ns(message.header.stamp),
            orientation_from_imu(message),
        )

    def _on_transforms(self, message: TFMessage, is_static: bool) -> None:
        buffer = self._scale.transforms
        assert isinstance(buffer, TransformBuffer)
        for each in message.transforms:
            buffer.add(
                each.header.frame_id.strip('/'),
                each.child_frame_id.strip('/'),
                stamp_ns(each.header.stamp),
                matrix_from_transform(each.transform),
                is_static=is_static,
            )
