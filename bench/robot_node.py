# SPDX-License-Identifier: Apache-2.0
"""A live node on a simulated robot: an image out, the scan of its stamp back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
import rclpy.utilities
import yaml
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, LaserScan
from tf2_msgs.msg import TFMessage

from bench.robot_world import Pose, Robot, RobotCamera
from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.engines.engine import Engine, EngineSpec
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR
from videodepth_ros.messages.transforms import fill_transform, set_stamp, stamp_ns
from videodepth_ros.nodes.live_node import LiveNode
from videodepth_ros.nodes.transport import package_file, prepare_process

ODOM, BASE, CAMERA = 'odom', 'base_footprint', 'camera_optical_frame'
FIRST_NS, BREAK_NS = 10**12, 10 * 10**9
"""Stamp of the first image; time between two drives, after which the node starts anew."""
TIMEOUT_S = 120.0
OF_SENSOR: dict[str, dict[str, Any]] = {
    'truth': {'scale.source': 'fixed', 'scale.steady': 'never', 'guided_edges': 'never'},
    'nano': {'scale.source': 'camera_height'},
    'unfiltered': {'scale.source': 'camera_height', 'obstacles.temporal': False},
}
"""Parameters beside those of the preset, and of the robot's height."""


class TruthEngine:
    """The exact depth of a camera, as a network of canonical inverse depth returns it."""

    def __init__(self, width: int, height: int, depth_m: Callable[[int, int], Float32Array]):
        self.spec = EngineSpec('nano', 'truth', 'cpu', 'fp32', width, height, (), ())
        self._depth_m = depth_m

    def zero_state(self) -> Any:
        """Return the only state."""
        return 0

    def step(self, image: Any, state: Any) -> tuple[Float32Array, Any]:
        """Return the inverse depth of now, 0 where nothing is hit."""
        depth_m = self._depth_m(self.spec.width, self.spec.height)
        return np.float32(100 * DEFAULT_FOCAL_LENGTH_FACTOR) / depth_m, state

    def close(self) -> None:
        """Do nothing."""


class RobotNode(LiveNode):
    """The live node, with the exact depth of a camera in place of a network on request."""

    def __init__(self, is_truth: bool, **node_arguments: Any) -> None:
        self.camera: RobotCamera | None = None
        self._is_truth = is_truth
        super().__init__(**node_arguments)

    def open_engine(self, width: int, height: int) -> Engine:
        """Open the engine of the parameters, or the truth."""
        if not self._is_truth:
            return super().open_engine(width, height)
        return TruthEngine(width, height, lambda w, h: self.camera.depth_m(w, h))

    def has_pose(self, at_ns: int) -> bool:
        """Return whether the odometry of a stamp has come."""
        assert self._scale is not None
        return self._scale.fused.pose(CAMERA, at_ns) is not None

    @property
    def has_calibration(self) -> bool:
        """Whether camera_info has come."""
        return self._worker is not None and self._worker.state.camera_info is not None


class RobotGraph:
    """The live node, and the robot's publishers and subscription around it."""

    def __init__(self, robot: Robot, sensor: str) -> None:
        if not rclpy.utilities.ok():
            prepare_process()
            rclpy.init()
        self._robot, self._is_truth = robot, sensor == 'truth'
        overrides = {
            **preset('nav2'),
            'obstacles.max_height_m': robot.height_m,
            'image_timeout_s': 600.0,
            'threads': 1,
            **OF_SENSOR[sensor],
        }
        parameters = [Parameter(name, value=value) for name, value in overrides.items()]
        self.node = RobotNode(self._is_truth, parameter_overrides=parameters)
        self._peer = rclpy.create_node('robot')
        self._executor = SingleThreadedExecutor()
        for each in (self.node, self._peer):
            self._executor.add_node(each)
        self._scan: LaserScan | None = None
        self._now_ns = FIRST_NS
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._images = self._peer.create_publisher(Image, 'image', 5)
        self._infos = self._peer.create_publisher(CameraInfo, 'camera_info', latched)
        self._tf = self._peer.create_publisher(TFMessage, '/tf', 100)
        self._tf_static = self._peer.create_publisher(TFMessage, '/tf_static', latched)
        self._peer.create_subscription(LaserScan, 'scan', self._on_scan, 10)
        assert self.node.trigger_configure().name == 'SUCCESS'
        assert self.node.trigger_activate().name == 'SUCCESS'
        self._tf_static.publish(transform(BASE, CAMERA, 0, robot.T_base_cam))
        self._infos.publish(info(robot))
        self._until(lambda: self._images.get_subscription_count() and self.node.has_calibration)
        self._until(self._tf.get_subscription_count)

    def close(self) -> None:
        """Leave the graph."""
        self._until(self.node.close)  # a busy machine takes its time
        for each in (self.node, self._peer):
            self._executor.remove_node(each)
            each.destroy_node()
        self._executor.shutdown()

    def begin(self, camera: RobotCamera) -> Callable[[Pose, int], Float32Array | None]:
        """Start a drive; return its ``Sense``."""
        self.node.camera, begin_ns = camera, self._now_ns + BREAK_NS
        period_ns = round(camera.period_s * 1e9)
        return lambda pose, step: self._sense(pose, begin_ns + step * period_ns)

    def _sense(self, pose: Pose, at_ns: int) -> Float32Array | None:
        """Publish odometry and image of a pose; return the ranges of its scan."""
        camera = self.node.camera
        assert camera is not None
        self._now_ns, self._scan = at_ns, None
        camera.move(pose)
        self._tf.publish(transform(ODOM, BASE, at_ns, pose.T_map_base))
        self._until(lambda: self.node.has_pose(at_ns))
        rejected = self.node.status().rejected
        self._images.publish(self._image(camera, at_ns))
        self._until(lambda: self._scan or self.node.status().rejected > rejected)
        return None if self._scan is None else np.array(self._scan.ranges, np.float32)

    def _image(self, camera: RobotCamera, at_ns: int) -> Image:
        lens = self._robot.camera()
        if self._is_truth:
            pixels = np.full((lens.height, lens.width, 3), 100, np.uint8)
        else:
            pixels = camera.shoot().image
        message = Image(width=lens.width, height=lens.height, encoding='rgb8')
        message.step, message.data = 3 * lens.width, pixels.tobytes()
        message.header.frame_id = CAMERA
        set_stamp(message.header.stamp, at_ns)
        return message

    def _on_scan(self, message: LaserScan) -> None:
        if stamp_ns(message.header.stamp) == self._now_ns:
            self._scan = message

    def _until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f'the node does not answer: {self.node.status()}')
            self._executor.spin_once(timeout_sec=0.02)


def preset(name: str) -> dict[str, Any]:
    """Return the parameters of a preset by their full names."""
    tree = yaml.safe_load(package_file(f'config/presets/{name}.yaml').read_text())
    return dict(_flat(tree['/**']['ros__parameters'], ''))


def _flat(tree: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f'{prefix}{key}'
        pairs += _flat(value, f'{name}.') if isinstance(value, dict) else [(name, value)]
    return pairs


def transform(parent: str, child: str, at_ns: int, T: Float64Array) -> TFMessage:
    """Return a message of one transform T_parent_child (4, 4)."""
    each = TransformStamped(child_frame_id=child)
    each.header.frame_id = parent
    set_stamp(each.header.stamp, at_ns)
    fill_transform(each.transform, T)
    return TFMessage(transforms=[each])


def info(robot: Robot) -> CameraInfo:
    """Return the calibration of the robot's camera."""
    lens = robot.camera()
    message = CameraInfo(width=lens.width, height=lens.height, distortion_model='plumb_bob')
    message.header.frame_id = CAMERA
    message.d = [0.0] * 5
    message.k = lens.matrix.ravel().tolist()
    message.r = np.eye(3).ravel().tolist()
    message.p = np.pad(lens.matrix, ((0, 0), (0, 1))).ravel().tolist()
    return message
