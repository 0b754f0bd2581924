# SPDX-License-Identifier: Apache-2.0
"""An image message and the calibration of its camera, as one rectified frame."""

from __future__ import annotations

from typing import Any

from videodepth_ros.frames import Frame
from videodepth_ros.messages.camera_info import intrinsics_from, rectifier_from
from videodepth_ros.messages.image import decode_compressed, decode_image, is_compressed
from videodepth_ros.messages.transforms import stamp_ns


def is_rectified(image_topic: str) -> bool:
    """Return whether a topic's name marks rectified images: image_rect_color, rect/image."""
    return any('rect' in name.split('_') for name in image_topic.split('/'))


def frame_from(message: Any, info: Any | None, *, rectify: bool) -> Frame:
    """Decode an Image or CompressedImage with the CameraInfo of its camera, if known.

    rectify  whether the image shows the distortion that ``info`` describes
    raises   InputError if the image cannot be decoded or ``info`` does not fit it
    """
    image = decode_compressed(message) if is_compressed(message) else decode_image(message)
    height, width = image.shape[:2]
    camera = None if info is None else intrinsics_from(info, width, height)
    rectifier = rectifier_from(info, width, height) if camera and rectify else None
    if rectifier is not None:
        image, camera = rectifier.rectify(image), rectifier.camera
    return Frame(stamp_ns(message.header.stamp), message.header.frame_id, image, camera)
