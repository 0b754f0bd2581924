# SPDX-License-Identifier: Apache-2.0
"""Scale on the graph from a reference depth image, odometry and an IMU."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image, Imu

from test.support.instant_engine import InstantEngine
from test.support.rig import HEIGHT, WIDTH, image_message, info_message
from videodepth_ros.frames import ScaleSource
from videodepth_ros.messages.transforms import stamp_ns

FX = 150.0
CANONICAL = 100 * FX / math.sqrt(WIDTH * HEIGHT * 4 / 3)  # depth of nano times its output
PLAIN = {'scale__steady': 'never', 'guided_edges': 'never', 'output': 'network'}
FRAMES = 4

pytestmark = pytest.mark.timeout(240)


class WallEngine(InstantEngine):
    """A wall across the view, at 4 m by the network."""

    depth_m = 4.0

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.answer[:] = CANONICAL / self.depth_m


class GroundEngine(InstantEngine):
    """Ground 0.4 m below a camera that looks down by 15 degrees, and a wall at 6 m."""

    height_m, pitch_rad, wall_m = 0.4, np.radians(15), 6.0

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        fy = FX * height / HEIGHT
        y = (np.arange(height) - (height - 1) / 2) / fy
        slope = y * np.cos(self.pitch_rad) + np.sin(self.pitch_rad)
        inverse = np.maximum(slope / self.height_m, 1 / self.wall_m)
        self.answer[:] = CANONICAL * inverse[:, None]


def started(make_rig, engine, **parameters):
    """Return a rig with an engine, its camera, and the first depth."""
    rig = make_rig(**PLAIN, **parameters)
    rig.node.open_engine = engine
    rig.start()
    images = rig.connect()
    rig.send(images)
    rig.until(lambda: rig.received['depth/image'])
    return rig, images


def median_m(message: Image) -> float:
    return float(np.median(np.frombuffer(message.data, np.float32)))


def next_depth(rig, images, message: Image) -> Image:
    count = len(rig.received['depth/image'])
    rig.send(images, message)
    rig.until(lambda: len(rig.received['depth/image']) > count)
    return rig.received['depth/image'][-1]


def test_a_reference_depth_image_gives_the_scale(make_rig):
    rig, images = started(make_rig, WallEngine, scale__source='depth')
    assert median_m(rig.received['depth/image'][0]) == pytest.approx(4.0, rel=0.01)
    references = rig.peer.create_publisher(Image, 'scale/depth/image', 10)
    calibrations = rig.peer.create_publisher(type(info_message()), 'scale/depth/camera_info', 10)
    rig.until(references.get_subscription_count)
    rig.until(calibrations.get_subscription_count)
    calibrations.publish(info_message())
    rig.until(lambda: rig.node._scale._evidence._depth_info)
    evidence = rig.node._scale.fused._depth[ScaleSource.DEPTH]
    for k in range(1, FRAMES):
        message = image_message(k)
        sparse = np.zeros((HEIGHT, WIDTH), np.uint16)
        sparse[::4, ::4] = 5200  # mm
        reference = Image(width=WIDTH, height=HEIGHT, encoding='16UC1', step=2 * WIDTH)
        reference.data, reference.header = sparse.tobytes(), message.header
        references.publish(reference)
        rig.until(lambda: evidence._waiting)
        depth = next_depth(rig, images, message)
    assert rig.node.status().scale_source == 'depth'
    assert median_m(depth) == pytest.approx(5.2, rel=0.02)


def wall_image(k: int, texture: np.ndarray, shift_px: float) -> Image:
    """Return image ``k`` of a wall that moves to the left."""
    move = np.float32([[1, 0, -shift_px], [0, 1, 0]])
    grey = cv2.warpAffine(texture, move, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    message = image_message(k)
    message.data = np.repeat(grey[..., None], 3, axis=2).tobytes()
    return message


def test_odometry_gives_the_scale(make_rig):
    rig, images = started(make_rig, WallEngine, scale__source='odometry')
    odometry = rig.peer.create_publisher(Odometry, 'scale/odometry', 10)
    rig.until(odometry.get_subscription_count)
    noise = np.random.default_rng(0).random((HEIGHT, 2 * WIDTH)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)
    texture = texture.astype(np.uint8)
    wall_m, step_m = 5.0, 0.1
    for k in range(1, 16):
        message = wall_image(k, texture, FX * step_m * k / wall_m)
        moved = Odometry(header=message.header, child_frame_id='camera')
        moved.header.frame_id = 'odom'
        moved.pose.pose.position.x = step_m * k
        moved.pose.pose.orientation.w = 1.0
        odometry.publish(moved)
        at_ns = stamp_ns(message.header.stamp)
        rig.until(lambda at_ns=at_ns: rig.node._scale.fused.pose('camera', at_ns) is not None)
        message.header.frame_id = 'camera'
        depth = next_depth(rig, images, message)
    assert rig.node.status().scale_source == 'odometry'
    assert median_m(depth) == pytest.approx(wall_m, rel=0.05)


def orientation(message: Image) -> Imu:
    """Return the orientation of the camera of `GroundEngine` in a world with z up."""
    imu, pitch = Imu(header=message.header), GroundEngine.pitch_rad
    ahead = np.array([np.cos(pitch), 0, -np.sin(pitch)])
    down = np.array([-np.sin(pitch), 0, -np.cos(pitch)])
    R = np.stack([[0, -1, 0], down, ahead], axis=1)
    w = np.sqrt(1 + np.trace(R)) / 2
    imu.orientation.w = w
    imu.orientation.x = (R[2, 1] - R[1, 2]) / (4 * w)
    imu.orientation.y = (R[0, 2] - R[2, 0]) / (4 * w)
    imu.orientation.z = (R[1, 0] - R[0, 1]) / (4 * w)
    return imu


@pytest.mark.parametrize('has_imu', [True, False])
def test_the_imu_gives_down_for_the_height_of_the_camera(make_rig, has_imu):
    rig, images = started(
        make_rig, GroundEngine, scale__source='camera_height', scale__camera_height_m=0.5
    )
    imus = rig.peer.create_publisher(Imu, 'scale/imu', 10)
    rig.until(imus.get_subscription_count)
    orientations = rig.node._scale.fused.orientations
    for k in range(1, FRAMES):
        message = image_message(k)
        if has_imu:
            imus.publish(orientation(message))
            rig.until(lambda: orientations)
        depth = next_depth(rig, images, message)
    assert (rig.node.status().scale_source == 'camera_height') is has_imu
    top_m = np.frombuffer(depth.data, np.float32)[: depth.width].mean()
    assert top_m == pytest.approx(6.0 * (0.5 / 0.4 if has_imu else 1.0), rel=0.03)
