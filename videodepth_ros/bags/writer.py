# SPDX-License-Identifier: Apache-2.0
"""Writer of mcap recordings for ROS 2 and Foxglove, with message definitions.

Version 8 of rosbag2's metadata, which players since Humble read. Each topic has the QoS profile
that a live publisher would offer, so that players offer it too. Chunks may be compressed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.typesys.store import Typestore

from videodepth_ros.bags.decoding import typestore_for
from videodepth_ros.bags.frame_tree import TF, TF_STATIC
from videodepth_ros.bags.output_options import Compression, ConfidenceEncoding
from videodepth_ros.bags.scan import DECODE_ERRORS, Channel, decompress_message
from videodepth_ros.bags.types import STORE, new_message
from videodepth_ros.core.arrays import Float32Array, Float64Array, UInt8Array
from videodepth_ros.core.errors import BagError
from videodepth_ros.core.workspace import require_new
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages import cloud, compressed, image
from videodepth_ros.messages.camera_info import fill_camera_info
from videodepth_ros.messages.transforms import fill_pose, fill_transform, set_stamp

_RMW_FOREVER = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE
UNKNOWN_COVARIANCE = -1.0


def offered_qos(topic: str, *, latched: bool = False) -> Qos:
    """Return the QoS profile of a topic: reliable, and transient local where it is latched.

    /tf_static always is, with depth 100, so that all of its messages are.
    """
    is_latched = latched or topic == TF_STATIC
    return Qos(
        QosHistory.KEEP_LAST,
        100 if topic in (TF, TF_STATIC) else 5,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE,
        _RMW_FOREVER,
        _RMW_FOREVER,
        QosLiveliness.AUTOMATIC,
        _RMW_FOREVER,
        False,
    )


class BagWriter:
    """A new recording, for a ``with`` statement.

    Messages get their stamp as the time of recording, or ``recorded_at(stamp_ns)`` where copied
    messages have another clock. After an exception in the ``with`` block the recording is complete
    up to there; it is removed if no message was written.
    """

    def __init__(
        self,
        path: Path | str,
        recorded_at: Callable[[int], int] = lambda stamp_ns: stamp_ns,
        compression: Compression = Compression.NONE,
    ) -> None:
        """Create the folder of the recording; raises BagError if it exists or cannot be made."""
        self.path = Path(path)
        self.count = 0
        self._recorded_at = recorded_at
        self._connections: dict[tuple[str, str], Connection] = {}
        require_new(self.path)
        self._writer = Writer(self.path, version=8, storage_plugin=StoragePlugin.MCAP)
        if compression is Compression.ZSTD:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._attempt(self._writer.open)

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._attempt(self._writer.close)
        if kind is not None and self.count == 0:
            shutil.rmtree(self.path)

    def write(
        self,
        topic: str,
        stamp_ns: int,
        message: Any,
        recorded_ns: int | None = None,
        *,
        latched: bool = False,
    ) -> None:
        """Write a rosbags message, for example one of types.new_message.

        recorded_ns  time of recording; None: ``recorded_at(stamp_ns)``
        latched      whether players keep the message for late subscribers (transient local)
        raises       BagError if it cannot be written
        """
        key = '/' + topic.strip('/'), message.__msgtype__
        data = STORE.serialize_cdr(message, key[1])
        at_ns = self._recorded_at(stamp_ns) if recorded_ns is None else recorded_ns
        qos = offered_qos(key[0], latched=latched)
        self._write(self._connection(key, STORE, [qos]), at_ns, data)

    def copy(self, channel: Channel, recorded_ns: int, data: bytes) -> None:
        """Write a serialised message of another recording; one of ROS 1 is converted to CDR.

        raises  BagError if it cannot be written, or its type is undefined
        """
        key = '/' + channel.topic.strip('/'), channel.msgtype
        raw: bytes | memoryview = decompress_message(data)
        try:
            store = STORE if channel.encoding == 'ros1' else typestore_for(channel)
            if channel.encoding == 'ros1':
                raw = STORE.ros1_to_cdr(raw, channel.msgtype)
            qos = channel.offered or [offered_qos(key[0])]
            connection = self._connection(key, store, qos)
        except DECODE_ERRORS as error:
            raise BagError(
                f'{channel.topic} ({channel.msgtype}) cannot be copied: {error}; leave it out'
            ) from error
        self._write(connection, recorded_ns, raw)

    def _connection(
        self, key: tuple[str, str], store: Typestore, offered: Sequence[Qos]
    ) -> Connection:
        if key not in self._connections:
            self._connections[key] = self._attempt(
                lambda: self._writer.add_connection(
                    *key, typestore=store, offered_qos_profiles=offered
                )
            )
        return self._connections[key]

    def _write(self, connection: Connection, recorded_ns: int, data: bytes | memoryview) -> None:
        self._attempt(lambda: self._writer.write(connection, recorded_ns, data))
        self.count += 1

    def write_image(self, topic: str, stamp_ns: int, frame_id: str, pixels: UInt8Array) -> None:
        """Write an image, (H, W, 3) uint8 RGB."""
        message = _stamped('sensor_msgs/msg/Image', stamp_ns, frame_id)
        image.write_image(pixels, message, 'rgb8')
        self.write(topic, stamp_ns, message)

    def write_compressed_image(
        self, topic: str, stamp_ns: int, frame_id: str, data: bytes, encoding: str
    ) -> None:
        """Write the bytes of a JPEG or PNG file; ``encoding``: ``jpeg`` or ``png``."""
        message = _stamped('sensor_msgs/msg/CompressedImage', stamp_ns, frame_id)
        message.format, message.data = encoding, np.frombuffer(data, np.uint8)
        self.write(topic, stamp_ns, message)

    def write_depth(self, topic: str, stamp_ns: int, frame_id: str, depth_m: Float32Array) -> None:
        """Write a depth map, (H, W) float32, as 32FC1."""
        message = _stamped('sensor_msgs/msg/Image', stamp_ns, frame_id)
        image.write_depth(depth_m, message)
        self.write(topic, stamp_ns, message)

    def write_confidence(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        confidence: Float32Array,
        encoding: ConfidenceEncoding = ConfidenceEncoding.FLOAT,
    ) -> None:
        """Write a confidence map, (H, W) float32 in [0, 1]; see messages.image.write_share."""
        message = _stamped('sensor_msgs/msg/Image', stamp_ns, frame_id)
        image.write_share(confidence, message, encoding.value)
        self.write(topic, stamp_ns, message)

    def write_depth_mm(
        self, topic: str, stamp_ns: int, frame_id: str, depth_m: Float32Array
    ) -> None:
        """Write a depth map, (H, W) float32, as 16UC1; see messages.image.write_depth_mm."""
        message = _stamped('sensor_msgs/msg/Image', stamp_ns, frame_id)
        image.write_depth_mm(depth_m, message)
        self.write(topic, stamp_ns, message)

    def write_compressed_depth(
        self, topic: str, stamp_ns: int, frame_id: str, depth_m: Float32Array
    ) -> None:
        """Write a depth map, (H, W) float32; see messages.compressed.write_compressed_depth."""
        message = _stamped('sensor_msgs/msg/CompressedImage', stamp_ns, frame_id)
        compressed.write_compressed_depth(depth_m, message)
        self.write(topic, stamp_ns, message)

    def write_camera_info(
        self, topic: str, stamp_ns: int, frame_id: str, camera: Intrinsics
    ) -> None:
        """Write the intrinsics of a rectified camera."""
        message = _stamped('sensor_msgs/msg/CameraInfo', stamp_ns, frame_id)
        fill_camera_info(message, camera)
        self.write(topic, stamp_ns, message)

    def write_cloud(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        depth_m: Float32Array,
        pixels: UInt8Array,
        camera: Intrinsics,
        stride: int,
        max_range_m: float,
    ) -> None:
        """Write the coloured points of a depth map; see messages.cloud.write_cloud."""
        message = _stamped('sensor_msgs/msg/PointCloud2', stamp_ns, frame_id)
        cloud.write_cloud(depth_m, pixels, camera, stride, max_range_m, message)
        self.write(topic, stamp_ns, message)

    def write_pose(
        self, topic: str, stamp_ns: int, frame_id: str, T_frame_child: Float64Array
    ) -> None:
        """Write a pose, (4, 4), in ``frame_id``."""
        self.write(topic, stamp_ns, _pose(stamp_ns, frame_id, T_frame_child))

    def write_path(
        self, topic: str, stamp_ns: int, frame_id: str, poses: Sequence[tuple[int, Float64Array]]
    ) -> None:
        """Write a path, latched: stamps [ns] and poses, (4, 4), in ``frame_id``."""
        message = _stamped('nav_msgs/msg/Path', stamp_ns, frame_id)
        message.poses = [_pose(ns, frame_id, T) for ns, T in poses]
        self.write(topic, stamp_ns, message, latched=True)

    def write_occupancy(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        cells: NDArray[np.int8],
        origin_m: tuple[float, float],
        resolution_m: float,
    ) -> None:
        """Write a grid, latched: cells (rows, columns) int8 from ``origin_m`` on, x by column."""
        message = _stamped('nav_msgs/msg/OccupancyGrid', stamp_ns, frame_id)
        set_stamp(message.info.map_load_time, stamp_ns)
        message.info.resolution = resolution_m
        message.info.height, message.info.width = cells.shape
        message.info.origin.position.x, message.info.origin.position.y = origin_m
        message.info.origin.orientation.w = 1.0
        message.data = cells.ravel()
        self.write(topic, stamp_ns, message, latched=True)

    def write_odometry(
        self,
        topic: str,
        stamp_ns: int,
        frame_id: str,
        child: str,
        T_frame_child: Float64Array,
        twist: Float64Array,
        covariances: tuple[Float64Array, Float64Array] | None = None,
    ) -> None:
        """Write the pose of ``child`` in ``frame_id``, (4, 4), and its twist.

        twist        (6,) linear [m/s] and angular [rad/s], in the axes of ``child``
        covariances  of pose and twist, (6, 6) each: translation before rotation, the pose in the
                     axes of ``frame_id``, the twist in those of ``child``; None: not known, the
                     first element of both is -1, as sensor_msgs/Imu defines it
        """
        message = _stamped('nav_msgs/msg/Odometry', stamp_ns, frame_id)
        message.child_frame_id = child
        fill_pose(message.pose.pose, T_frame_child)
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = twist.tolist()
        if covariances is None:
            message.pose.covariance[0] = message.twist.covariance[0] = UNKNOWN_COVARIANCE
        else:
            message.pose.covariance, message.twist.covariance = map(np.ravel, covariances)
        self.write(topic, stamp_ns, message)

    def write_transform(
        self,
        stamp_ns: int,
        parent: str,
        child: str,
        T_parent_child: Float64Array,
        *,
        static: bool = False,
        recorded_ns: int | None = None,
    ) -> None:
        """Write a transform, (4, 4), to /tf, or to /tf_static."""
        transform = _stamped('geometry_msgs/msg/TransformStamped', stamp_ns, parent)
        transform.child_frame_id = child
        fill_transform(transform.transform, T_parent_child)
        message = new_message('tf2_msgs/msg/TFMessage')
        message.transforms = [transform]
        self.write(TF_STATIC if static else TF, stamp_ns, message, recorded_ns)

    def _attempt(self, action: Callable[[], Any]) -> Any:
        """Call a function of rosbags; raises BagError instead of its errors."""
        try:
            return action()
        except (OSError, WriterError) as error:
            raise BagError(f'{self.path} cannot be written: {error}') from error


def _stamped(kind: str, stamp_ns: int, frame_id: str) -> Any:
    message = new_message(kind)
    set_stamp(message.header.stamp, stamp_ns)
    message.header.frame_id = frame_id
    return message


def _pose(stamp_ns: int, frame_id: str, T_frame_child: Float64Array) -> Any:
    message = _stamped('geometry_msgs/msg/PoseStamped', stamp_ns, frame_id)
    fill_pose(message.pose, T_frame_child)
    return message
