# SPDX-License-Identifier: Apache-2.0
"""Image messages of one camera as rectified frames."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import CameraInfo

from videodepth_ros.frames import Frame
from videodepth_ros.messages.frame import FrameDecoder, needs_rectification


class ImageDecoder:
    """Decode images and rectify them with the latest calibration.

    camera_info  latest calibration, set by the thread that receives; None: uncalibrated
    """

    def __init__(self, image_topic: str, rectify: str) -> None:
        """Create a decoder.

        rectify  one of messages.frame.RECTIFY
        """
        self.camera_info: CameraInfo | None = None
        self._frames = FrameDecoder(rectify=needs_rectification(image_topic, rectify))

    @property
    def expected_size(self) -> tuple[int, int] | None:
        """Width and height of the images by the calibration; None if it does not define them."""
        info = self.camera_info
        if info is None or not info.width or info.binning_x > 1 or info.roi.width:
            return None
        return info.width, info.height

    @property
    def notes(self) -> list[str]:
        """What is taken otherwise than the messages have it; see `FrameDecoder.notes`."""
        return self._frames.notes

    def decode(self, message: Any) -> Frame:
        """Return an Image or CompressedImage as a rectified frame.

        Raise InputError if the image cannot be decoded or the calibration does not fit it.
        """
        return self._frames.decode(message, self.camera_info)
