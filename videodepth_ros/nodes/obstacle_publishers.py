# SPDX-License-Identifier: Apache-2.0
"""Publishers of obstacles and of the scan of them."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import LaserScan, PointCloud2

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.frames import DepthMap
from videodepth_ros.messages.cloud import write_xyz
from videodepth_ros.messages.laser_scan import write_scan
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.outputs import create_output, is_due, send
from videodepth_ros.obstacles.detector import ObstacleDetector, Obstacles
from videodepth_ros.obstacles.options import BASE
from videodepth_ros.obstacles.scan import ANGLE_MIN_RAD, scan_ranges
from videodepth_ros.scale.fusion import FusedScale

WARNING_PERIOD_S = 5.0
BOTH = 'obstacles and no scan'


class ObstaclePublishers:
    """Publishers of one stream; nothing is computed without subscribers."""

    def __init__(self, node: Node, scale: FusedScale) -> None:
        """Create the publishers.

        scale  has the transforms, the mount of the camera and the odometry
        """
        self._node, self._scale = node, scale
        self._detector = ObstacleDetector()
        self._cloud = create_output(node, PointCloud2, 'obstacles')
        self._scan = create_output(node, LaserScan, 'scan')
        self._cloud_message, self._scan_message = PointCloud2(), LaserScan()
        self._last_cloud_ns: int | None = None
        self._last_scan_ns: int | None = None

    @property
    def has_subscribers(self) -> bool:
        """Whether obstacles or scan have subscribers now."""
        return bool(self._cloud.get_subscription_count() or self._scan.get_subscription_count())

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._cloud, self._scan):
            self._node.destroy_publisher(publisher)

    def publish(self, depth: DepthMap, parameters: LiveParameters) -> None:
        """Publish what is due and has subscribers; nothing without intrinsics or ground."""
        stamp_ns = depth.stamp_ns
        with_cloud = self._cloud.get_subscription_count() > 0 and is_due(
            stamp_ns, self._last_cloud_ns, parameters.obstacles_max_rate_hz
        )
        with_scan = self._scan.get_subscription_count() > 0 and is_due(
            stamp_ns, self._last_scan_ns, parameters.scan_max_rate_hz
        )
        if not (with_cloud or with_scan):
            return
        found = self._detect(depth, parameters)
        if found is None:
            return
        base, T_base_cam = self._base(depth)
        if with_cloud:
            self._publish_cloud(found, depth, parameters, base, T_base_cam)
        if with_scan:
            self._publish_scan(found, depth, parameters, base, T_base_cam)

    def _detect(self, depth: DepthMap, parameters: LiveParameters) -> Obstacles | None:
        if depth.camera is None:
            self._warn(BOTH, 'the camera is uncalibrated: publish its camera_info')
            return None
        mount = self._scale.mount(depth.frame_id, depth.stamp_ns)
        if mount is None and self._scale.mounts.is_possible(depth.frame_id):
            self._warn(BOTH, f'/tf does not connect {depth.frame_id} with the ground at its stamp')
            return None
        found = self._detector.step(
            depth.depth_m,
            depth.camera,
            depth.stamp_ns,
            mount,
            parameters,
            self._scale.pose(depth.frame_id, depth.stamp_ns),
            depth.confidence,
        )
        if found is None:
            self._warn(BOTH, 'no ground is seen, and its height is not known: set base_frame')
        return found

    def _base(self, depth: DepthMap) -> tuple[str, Float64Array | None]:
        """Return the base frame, if there is one, and the pose of the camera in it."""
        base = self._scale.mounts.base_frame(depth.frame_id)
        if base is None:
            return '', None
        stamp_ns = depth.stamp_ns
        return base, self._scale.transforms.lookup(base, stamp_ns, depth.frame_id, stamp_ns)

    def _publish_cloud(
        self,
        found: Obstacles,
        depth: DepthMap,
        parameters: LiveParameters,
        base: str,
        T_base_cam: Float64Array | None,
    ) -> None:
        points_m, frame_id = found.points_m, depth.frame_id
        if parameters.obstacles_frame == BASE:
            if T_base_cam is None:
                self._warn(
                    'obstacles', 'obstacles.frame is base, but there is none: set base_frame'
                )
                return
            points_m = (points_m @ T_base_cam[:3, :3].T + T_base_cam[:3, 3]).astype(np.float32)
            frame_id = base
        write_xyz(points_m, self._cloud_message)
        send(self._cloud, self._cloud_message, depth.stamp_ns, frame_id)
        self._last_cloud_ns = depth.stamp_ns

    def _publish_scan(
        self,
        found: Obstacles,
        depth: DepthMap,
        parameters: LiveParameters,
        base: str,
        T_base_cam: Float64Array | None,
    ) -> None:
        if T_base_cam is None:
            self._warn('scan', 'a scan needs a frame with z up: set base_frame')
            return
        ranges_m = scan_ranges(found, T_base_cam, parameters)
        last_ns = self._last_scan_ns
        period_s = 0.0 if last_ns is None else max(0.0, (depth.stamp_ns - last_ns) * 1e-9)
        reach_m = parameters.obstacles_max_range_m
        write_scan(ranges_m, ANGLE_MIN_RAD, reach_m, period_s, self._scan_message)
        send(self._scan, self._scan_message, depth.stamp_ns, base)
        self._last_scan_ns = depth.stamp_ns

    def _warn(self, missing: str, text: str) -> None:
        """Log which output is missing, and why."""
        self._node.get_logger().warning(
            f'no {missing}: {text}', throttle_duration_sec=WARNING_PERIOD_S
        )
