# SPDX-License-Identifier: Apache-2.0
"""Publishers of depth and of what belongs to it: camera_info, cloud, confidence, colour image."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from videodepth_ros.bags.output_options import DepthEncoding
from videodepth_ros.core.arrays import UInt8Array
from videodepth_ros.frames import DepthMap, Frame
from videodepth_ros.messages.camera_info import fill_camera_info
from videodepth_ros.messages.cloud import write_cloud, write_points
from videodepth_ros.messages.compressed import write_compressed_depth, write_compressed_depth_mm
from videodepth_ros.messages.image import write_depth, write_depth_mm, write_image
from videodepth_ros.nodes.device_images import device_buffers, device_image
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.obstacle_publishers import ObstaclePublishers
from videodepth_ros.nodes.options import LIVE, LiveNodeOptions
from videodepth_ros.nodes.outputs import create_output, is_due, send
from videodepth_ros.nodes.subscriptions import transport_topic
from videodepth_ros.pictures import ColourRange, colour_range, colourise, follow_range
from videodepth_ros.scale.fusion import FusedScale
from videodepth_ros.stream.session import StepResult

TOPICS: dict[str, tuple[type, str]] = {
    'depth': (Image, 'depth/image'),
    'camera_info': (CameraInfo, 'depth/camera_info'),
    'points': (PointCloud2, 'depth/points'),
    'confidence': (Image, 'depth/confidence'),
    'rgb': (Image, 'rgb/image'),
    'rgb_info': (CameraInfo, 'rgb/camera_info'),
    'color': (Image, 'depth/color'),
}
"""Type and topic of each output, in the order of publication."""


@dataclass(frozen=True)
class Demand:
    """Outputs that have subscribers."""

    depth: bool = False
    camera_info: bool = False
    points: bool = False
    confidence: bool = False
    rgb: bool = False
    rgb_info: bool = False
    color: bool = False
    compressed_depth: bool = False
    obstacles: bool = False  # or the scan of them

    def __bool__(self) -> bool:
        return any(vars(self).values())


class DepthPublishers:
    """Publishers of one stream, each with one message that is overwritten for every frame.

    ``publish`` of rclpy returns when the message is serialized, so it can be reused.
    """

    def __init__(self, node: Node, scale: FusedScale, options: LiveNodeOptions = LIVE) -> None:
        self._node, self._options = node, options
        compressed = transport_topic(node, 'depth/image', 'compressedDepth')
        topics = TOPICS | {'compressed_depth': (CompressedImage, compressed)}
        self._publishers = {name: create_output(node, *each) for name, each in topics.items()}
        self._messages = {name: kind() for name, (kind, _) in topics.items()}
        self._writers: dict[str, Writer] = WRITERS | {
            'points': self._write_points,
            'color': self._write_color,
        }
        self._obstacles = ObstaclePublishers(node, scale)
        self._buffers = device_buffers()
        self._last_points_ns: int | None = None
        self._colours: ColourRange | None = None  # of depth/color

    @property
    def demand(self) -> Demand:
        """Outputs that have subscribers now."""
        return Demand(**{each.name: self._has_subscribers(each.name) for each in fields(Demand)})

    def needs_confidence(self, parameters: LiveParameters) -> bool:
        """Return whether an output needs the confidence."""
        demand = self.demand
        is_gate = demand.obstacles and parameters.obstacles_confidence > 0
        return demand.confidence or parameters.depth_min_confidence > 0 or is_gate

    def cloud_range_m(self, stamp_ns: int, parameters: LiveParameters) -> float | None:
        """Return the maximum Z of the points that the engine should compute for a frame.

        None if no cloud is due, or a sparse one: that is computed here faster than a dense one
        is copied from the device.
        """
        if (
            self._has_subscribers('points')
            and parameters.cloud_stride == 1
            and self._is_due(stamp_ns, parameters)
        ):
            return parameters.cloud_max_range_m or np.inf
        return None

    def publish(self, result: StepResult, frame: Frame, parameters: LiveParameters) -> None:
        """Publish the outputs that have subscribers, with the header of ``frame``.

        Without intrinsics neither camera_info nor cloud is published.
        """
        for name, publisher in self._publishers.items():
            if not self._has_subscribers(name):
                continue
            message = self._message(name, result, frame, parameters)
            if message is not None:
                send(publisher, message, frame.stamp_ns, frame.frame_id)
        self._obstacles.publish(result.depth, parameters)

    def close(self) -> None:
        """Destroy the publishers, and free their memory: they and their events form cycles."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()
        self._obstacles.close()
        gc.collect()

    def _message(
        self, name: str, result: StepResult, frame: Frame, parameters: LiveParameters
    ) -> Any | None:
        """Return the message of an output, but for its header; None: there is none."""
        if name == 'depth' and self._buffers is not None and _is_plain(parameters):
            image = device_image(result.device, result.depth, self._buffers)
            if image is not None:
                return image
        message = self._messages[name]
        return message if self._writers[name](message, result, frame, parameters) else None

    def _write_points(
        self, message: PointCloud2, result: StepResult, frame: Frame, parameters: LiveParameters
    ) -> bool:
        depth = result.depth
        if depth.camera is None or not self._is_due(frame.stamp_ns, parameters):
            return False
        self._last_points_ns = frame.stamp_ns
        if result.cloud is not None:
            write_points(result.cloud, message)
        else:
            write_cloud(
                depth.depth_m,
                _image_of(frame, depth),
                depth.camera,
                parameters.cloud_stride,
                parameters.cloud_max_range_m or np.inf,
                message,
            )
        return True

    def _write_color(
        self, message: Image, result: StepResult, frame: Frame, parameters: LiveParameters
    ) -> bool:
        depth_m = result.depth.depth_m
        self._colours = follow_range(
            self._colours, colour_range([depth_m]), self._options.colour_share
        )
        write_image(colourise(depth_m, self._colours), message, 'rgb8')
        return True

    def _has_subscribers(self, name: str) -> bool:
        if name == 'obstacles':
            return self._obstacles.has_subscribers
        return bool(self._publishers[name].get_subscription_count() > 0)

    def _is_due(self, stamp_ns: int, parameters: LiveParameters) -> bool:
        return is_due(stamp_ns, self._last_points_ns, parameters.cloud_max_rate_hz)


def _image_of(frame: Frame, depth: DepthMap) -> UInt8Array:
    """Return the image of a depth map, at its size or larger."""
    height, width = depth.depth_m.shape
    return frame.at_least(2 * width, 2 * height)


Writer = Callable[[Any, StepResult, Frame, LiveParameters], bool]
"""Writes a frame into a message, but for its header; False: there is nothing to publish."""


def _is_plain(parameters: LiveParameters) -> bool:
    """Return whether depth is published as the engine has it: metres, NaN where unknown."""
    is_metres = parameters.depth_encoding != DepthEncoding.MILLIMETRES.value
    return is_metres and parameters.depth_invalid_value != 'zero'


def _write_depth(
    message: Image, result: StepResult, frame: Frame, parameters: LiveParameters
) -> bool:
    if parameters.depth_encoding == DepthEncoding.MILLIMETRES.value:
        write_depth_mm(result.depth.depth_m, message)
    else:
        unknown = 0.0 if parameters.depth_invalid_value == 'zero' else np.nan
        write_depth(result.depth.depth_m, message, unknown=unknown)
    return True


def _write_compressed_depth(
    message: CompressedImage, result: StepResult, frame: Frame, parameters: LiveParameters
) -> bool:
    is_mm = parameters.depth_encoding == DepthEncoding.MILLIMETRES.value
    write = write_compressed_depth_mm if is_mm else write_compressed_depth
    write(result.depth.depth_m, message, parameters.depth_compression)
    return True


def _write_camera_info(
    message: CameraInfo, result: StepResult, frame: Frame, parameters: LiveParameters
) -> bool:
    if result.depth.camera is None:
        return False
    fill_camera_info(message, result.depth.camera)
    return True


def _write_confidence(
    message: Image, result: StepResult, frame: Frame, parameters: LiveParameters
) -> bool:
    if result.depth.confidence is None:
        return False
    write_depth(result.depth.confidence, message)
    return True


def _write_rgb(
    message: Image, result: StepResult, frame: Frame, parameters: LiveParameters
) -> bool:
    height, width = result.depth.depth_m.shape
    image = _image_of(frame, result.depth)
    if image.shape[:2] != (height, width):
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    write_image(image, message, 'rgb8')
    return True


WRITERS: dict[str, Writer] = {
    'depth': _write_depth,
    'compressed_depth': _write_compressed_depth,
    'camera_info': _write_camera_info,
    'confidence': _write_confidence,
    'rgb': _write_rgb,
    'rgb_info': _write_camera_info,
}
"""Writers of the outputs that depend on their frame alone."""
