# SPDX-License-Identifier: Apache-2.0
"""The frames of a demo: camera image, depth of the node and ground truth."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.types import new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.demo.graph import CAMERA, NAMESPACE
from videodepth_ros.evaluation.depth import DepthPair
from videodepth_ros.evaluation.true_depth import TRUE_DEPTH
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.camera_info import intrinsics_from
from videodepth_ros.messages.image import decode_depth, decode_image
from videodepth_ros.messages.transforms import set_stamp, stamp_ns

IMAGE = f'{CAMERA}/image_raw'
TRUE_DEPTH_TOPIC = f'/{TRUE_DEPTH}'
DEPTH, CAMERA_INFO = f'{NAMESPACE}/depth/image', f'{NAMESPACE}/depth/camera_info'
JPEG_QUALITY = 90


@dataclass(frozen=True)
class DemoFrame:
    """One frame with depth.

    stamp_ns   in the sample
    image      (H, W, 3) uint8, red green blue
    depth_m    (h, w) float32, as published by the node
    truth_m    (H, W) float32, ground truth
    """

    stamp_ns: int
    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    truth_m: NDArray[np.float32]


@dataclass(frozen=True)
class DemoFrames:
    """The frames of a recording of a sample; can be iterated several times.

    started_ns  stamp of the first message after the warm-up
    offset_ns   stamp in the recording minus stamp in the sample
    """

    sample: Path
    recording: Path
    started_ns: int
    offset_ns: int

    def __iter__(self) -> Iterator[DemoFrame]:
        """Read both bags once."""
        with open_bag(self.sample) as sample, open_bag(self.recording) as recording:
            truth: dict[str, Any] = {}
            messages = sample.messages([IMAGE, TRUE_DEPTH_TOPIC])
            for _, _, depth in recording.messages([DEPTH]):
                target_ns = stamp_ns(depth.header.stamp) - self.offset_ns
                while (latest_ns := _latest_of_both(truth)) < target_ns:
                    message = next(messages, None)
                    if message is None:
                        return
                    truth[message[0]] = message[2]
                if latest_ns == target_ns:  # frames of the warm-up have no ground truth
                    yield DemoFrame(
                        target_ns,
                        decode_image(truth[IMAGE]),
                        decode_depth(depth),
                        decode_depth(truth[TRUE_DEPTH_TOPIC]),
                    )

    def pairs(self) -> DemoPairs:
        """Return the frames as pairs of predicted and true depth."""
        return DemoPairs(self)

    def camera(self) -> Intrinsics | None:
        """Return the camera of the depth."""
        with open_bag(self.recording) as recording:
            for _, _, info in recording.messages([CAMERA_INFO]):
                return intrinsics_from(info, info.width, info.height)
        return None


@dataclass(frozen=True)
class DemoPairs:
    """Predicted and true depth; can be gone through again."""

    frames: DemoFrames

    def __iter__(self) -> Iterator[DepthPair]:
        """Read both bags once."""
        return (DepthPair(frame.stamp_ns, frame.depth_m, frame.truth_m) for frame in self.frames)


def merge(frames: DemoFrames, path: Path) -> None:
    """Write one bag with camera, ground truth and depth, with the stamps of the recording.

    Raise BagError if the bag cannot be written.
    """
    with (
        open_bag(frames.sample) as sample,
        open_bag(frames.recording) as recording,
        BagWriter(path) as writer,
    ):
        shifted = (_shifted(*each, frames.offset_ns) for each in sample.messages())
        recorded = (
            each
            for each in recording.messages()
            if stamp_ns(each[2].header.stamp) >= frames.started_ns
        )
        for topic, recorded_ns, message in heapq.merge(
            shifted, recorded, key=lambda each: each[1]
        ):
            writer.write(topic, recorded_ns, message)


def _shifted(topic: str, recorded_ns: int, message: Any, offset_ns: int) -> tuple[str, int, Any]:
    """Return a message with ``offset_ns`` added to its stamps; images become JPEG."""
    for stamped in getattr(message, 'transforms', [message]):
        set_stamp(stamped.header.stamp, stamp_ns(stamped.header.stamp) + offset_ns)
    if topic == IMAGE:
        return f'{IMAGE}/compressed', recorded_ns + offset_ns, _jpeg(message)
    return topic, recorded_ns + offset_ns, message


def _latest_of_both(messages: dict[str, Any]) -> int:
    """Return the stamp up to which image and ground truth are read; -1 before the first."""
    if len(messages) < 2:
        return -1
    return min(stamp_ns(message.header.stamp) for message in messages.values())


def _jpeg(message: Any) -> Any:
    """Return an Image as CompressedImage."""
    compressed = new_message('sensor_msgs/msg/CompressedImage')
    compressed.header, compressed.format = message.header, 'jpeg'
    pixels = cv2.cvtColor(decode_image(message), cv2.COLOR_RGB2BGR)
    compressed.data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return compressed
