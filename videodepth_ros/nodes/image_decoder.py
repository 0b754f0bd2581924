# SPDX-License-Identifier: Apache-2.0
"""Image messages of one camera as rectified frames."""

from __future__ import annotations

import threading
from typing import Any

from sensor_msgs.msg import CameraInfo

from videodepth_ros.frames import Frame
from videodepth_ros.messages.frame import FrameDecoder, needs_rectification
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.nodes.options import LIVE, LiveNodeOptions


class CalibrationBuffer:
    """The calibrations of the last images, by stamp; written and read by different threads.

    latest  None: none was received
    """

    def __init__(self, options: LiveNodeOptions = LIVE) -> None:
        self.latest: CameraInfo | None = None
        self._options = options
        self._recent: dict[int, CameraInfo] = {}
        self._arrived = threading.Condition()
        self._image_ns = -1
        self._is_paired = True  # the last image had a calibration of its own, maybe a late one

    def put(self, camera_info: CameraInfo | None) -> None:
        """Use a calibration from now on; None: the camera is uncalibrated."""
        with self._arrived:
            self.latest = camera_info
            if camera_info is None:
                self._recent.clear()
                return
            info_ns = stamp_ns(camera_info.header.stamp)
            self._recent[info_ns] = camera_info
            if len(self._recent) > self._options.calibrations_kept:
                del self._recent[next(iter(self._recent))]
            self._is_paired |= info_ns == self._image_ns
            self._arrived.notify_all()

    def get(self, image_ns: int) -> CameraInfo | None:
        """Return the calibration of an image: that with its stamp, or else the latest.

        Cameras with zoom publish one for each image, often behind it. If the image before had its
        own, that of this one is waited for.
        """
        with self._arrived:
            self._image_ns = image_ns
            if self._is_paired:
                self._arrived.wait_for(
                    lambda: image_ns in self._recent, self._options.calibration_wait_s
                )
            self._is_paired = image_ns in self._recent
            return self._recent.get(image_ns, self.latest)


class ImageDecoder:
    """Decode images and rectify them with the calibration that belongs to them.

    calibrations  written by the thread that receives
    """

    def __init__(
        self, image_topic: str, rectify: str, calibrations: CalibrationBuffer | None = None
    ) -> None:
        """Create a decoder; ``rectify`` is one of messages.frame.RECTIFY."""
        self.calibrations = calibrations or CalibrationBuffer()
        self._frames = FrameDecoder(rectify=needs_rectification(image_topic, rectify))

    @property
    def expected_size(self) -> tuple[int, int] | None:
        """Width and height of the images by the calibration; None if it does not define them."""
        info = self.calibrations.latest
        if info is None or not info.width or info.binning_x > 1 or info.roi.width:
            return None
        return info.width, info.height

    @property
    def lens_fault(self) -> str:
        """Why images are not rectified though they show distortion; see `FrameDecoder`."""
        return self._frames.lens_fault

    @property
    def sample_note(self) -> str:
        """Bits that 16-bit images use, in words; empty if they use all."""
        return self._frames.samples.note

    @property
    def is_calibration_unusable(self) -> bool:
        """Whether the calibration does not fit the last image."""
        return self._frames.is_calibration_unusable

    def decode(self, message: Any) -> Frame:
        """Return an Image or CompressedImage as a rectified frame.

        Raise InputError if the image cannot be decoded or the calibration does not fit it.
        """
        info = self.calibrations.get(stamp_ns(message.header.stamp))
        return self._frames.decode(message, info)
