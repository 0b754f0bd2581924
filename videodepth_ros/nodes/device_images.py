# SPDX-License-Identifier: Apache-2.0
"""Depth images whose pixels stay on the GPU, where rclpy has rosidl buffers (Lyrical and newer).

The field ``data`` is a CUDA-backed ``rosidl_buffer.Buffer`` of the package ``cuda_buffer`` (ros2/
rosidl_buffer_backends). Subscribers that accept this backend take it without a copy to the host;
the middleware copies it for others.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from videodepth_ros.engines.resident import DeviceOutput
from videodepth_ros.frames import DepthMap


def device_buffers() -> Any | None:
    """Return the class that allocates CUDA-backed buffers; None where it is not installed."""
    try:
        from cuda_buffer import CudaBuffer
    except ImportError:
        return None
    return CudaBuffer


def device_image(device: DeviceOutput | None, depth: DepthMap, buffers: Any) -> Image | None:
    """Return depth as 32FC1 in device memory; the header is the caller's.

    device   the engine's depth (H, W) float32 [m]
    depth    that of the stream: it may have a sky or a mask that the engine's has not
    buffers  see ``device_buffers``
    returns  None where the engine has no such depth, or another one than the stream
    """
    if device is None or not np.array_equal(device.host, depth.depth_m, equal_nan=True):
        return None
    message = Image(encoding='32FC1', is_bigendian=int(sys.byteorder == 'big'))
    message.height, message.width = depth.depth_m.shape
    message.step = 4 * message.width
    buffer = buffers.allocate_buffer(depth.depth_m.nbytes)
    with buffers.from_output_buffer(buffer) as handle:
        device.copy(handle.device_ptr)
    message.data = buffer
    return message
