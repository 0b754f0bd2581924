# SPDX-License-Identifier: Apache-2.0
"""The depth that a recording has already: a depth camera's, matched to the frames of another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.camera_topics import CAMERA_INFO, COMPRESSED, IMAGE, TopicInfo, find_topic
from videodepth_ros.bags.frame_tree import frame_name
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.stamps import Stamps, monotonic, read_stamps
from videodepth_ros.core.errors import BagError, ConfigError, InputError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.camera_info import intrinsics_from, rectifier_from
from videodepth_ros.messages.frame import is_rectified
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.models.mono import MonoEstimate, PriorKind
from videodepth_ros.refine.depth_association import max_offset_ns, nearest_indices

Array = NDArray[np.float32]

TRANSPORT = '/compressedDepth'
LEAST_MISFIT = 0.01
"""Two cameras whose focal lengths and centres agree within 1 % of the width see the same."""

_DEPTH = re.compile(r'(^|[/_])depth([/_]|$)')
_NOT_DEPTH = re.compile(r'(^|[/_])(confidence|disparity|mask|debug)([/_]|$)')
_REGISTERED = re.compile(r'registered|aligned')


class BagDepthPrior:
    """The prior ``bag``; values have the depth camera's size, in the view of the frames."""

    name = 'bag'
    notice: str | None = None

    def __init__(
        self, bag: Path, depth_topic: str | None = None, stamps: Stamps | None = None
    ) -> None:
        """Open a recording a second time, for its depth.

        depth_topic  found where it is None
        stamps       of its messages, growing; read where it is None
        raises       BagError if it cannot be read, ConfigError naming the candidates if there is
                     no such topic or more than one
        """
        self._reader = open_bag(bag)
        self._named = depth_topic is not None
        try:
            topics = self._reader.topics
            self._topic = choose_depth_topic(topics, depth_topic).name
            self._info = self._camera_info(topics)
            self._stamps = (
                stamps if stamps is not None else monotonic(read_stamps(self._reader, self._topic))
            )
        except BaseException:
            self._reader.close()
            raise

    def estimate(self, frames: Iterable[Frame]) -> Iterator[MonoEstimate]:
        """Yield the depth nearest in time to each frame; all unknown where none is near.

        frames  of one camera, in the order of their stamps
        raises  ConfigError where the two cameras differ and nothing tells how; BagError at the
                end where no frame had depth that can be used
        """
        messages, count, found, last = _Messages(self._messages(), self._stamps), 0, 0, (1, 1)
        for frame in frames:
            count += 1
            message = messages.near(frame.stamp_ns)
            depth_m = None if message is None else self._decoded(message, frame)
            if depth_m is None:
                depth_m = np.full(last, np.nan, np.float32)
            else:
                found, last = found + 1, (depth_m.shape[0], depth_m.shape[1])
            yield MonoEstimate(depth_m, PriorKind.METRIC, scale_source=ScaleSource.SENSOR)
        if count and not found:
            raise BagError(
                f'none of the {count} frames has depth of {self._topic} that can be '
                f'used: {self._reader.lost or "none is near in time"}'
            )

    def close(self) -> None:
        """Close the recording."""
        self._reader.close()

    def _camera_info(self, topics: Sequence[TopicInfo]) -> Any | None:
        """Return the first camera_info beside the depth; None where there is none."""
        beside = self._topic.removesuffix(TRANSPORT).rpartition('/')[0] + '/camera_info'
        if not any(topic.name == beside and topic.type == CAMERA_INFO for topic in topics):
            return None
        first = next(self._reader.messages([beside]), None)
        return first[2] if first else None

    def _messages(self) -> Iterator[tuple[int, Any]]:
        """Yield stamps and messages, those that are in one course of time."""
        for _, recorded_ns, message in self._reader.messages([self._topic]):
            stamp = stamp_ns(message.header.stamp)
            if self._stamps.contains(recorded_ns, stamp):
                yield stamp or recorded_ns, message

    def _decoded(self, message: Any, frame: Frame) -> Array | None:
        """Return depth (h, w) float32 in the view of a frame; None where it is damaged."""
        try:
            depth_m = decode_depth(message)
        except InputError as error:
            self._reader.note(self._topic, f'depth of {self._topic} could not be used: {error}')
            return None
        self._refuse_another_camera(message, frame)
        height, width = depth_m.shape
        camera = None
        if self._info is not None:
            camera = intrinsics_from(self._info, width, height)
            rectifier = (
                None if is_rectified(self._topic) else rectifier_from(self._info, width, height)
            )
            depth_m = rectifier.rectify_depth(depth_m) if rectifier else depth_m
        if is_same_view(camera, frame, width, height):
            return depth_m
        if camera is None or frame.camera is None or message.header.frame_id != frame.frame_id:
            raise ConfigError(
                f'{self._topic} ({width}x{height}, {message.header.frame_id!r}) does not show '
                f'what the camera ({frame.size[0]}x{frame.size[1]}, {frame.frame_id!r}) sees: '
                'choose a depth topic that is registered to it, or make one with '
                'depth_image_proc/register'
            )
        return resample_to_camera(depth_m, camera, frame.camera)

    def _refuse_another_camera(self, message: Any, frame: Frame) -> None:
        """Refuse depth that was found, not named, and is of another frame.

        A robot has several cameras, and depth_image_proc gives registered depth the image's frame.
        """
        theirs, ours = (frame_name(name) for name in (message.header.frame_id, frame.frame_id))
        if not self._named and theirs and ours and theirs != ours:
            raise ConfigError(
                f'{self._topic} is depth of the frame {theirs!r}, and the images are of {ours!r}: '
                'it may be that of another camera; if it is registered to the images, name it '
                f'with --depth-topic {self._topic}'
            )


def choose_depth_topic(topics: Sequence[TopicInfo], name: str | None) -> TopicInfo:
    """Return the depth topic of that name, or the only one; raises ConfigError without it."""
    return find_topic(topics, name, (IMAGE, COMPRESSED)) if name else find_depth_topic(topics)


def find_depth_topic(topics: Sequence[TopicInfo]) -> TopicInfo:
    """Return the topic with depth images, raw rather than compressed where it is both.

    raises  ConfigError naming the candidates if there is none or more than one
    """
    found = [
        topic
        for topic in topics
        if topic.count
        and not _NOT_DEPTH.search(topic.name)
        and (
            (topic.type == IMAGE and _DEPTH.search(topic.name))
            or (topic.type == COMPRESSED and topic.name.endswith(TRANSPORT))
        )
    ]
    raw = {topic.name for topic in found if topic.type == IMAGE}
    found = [
        topic
        for topic in found
        if topic.name.removesuffix(TRANSPORT) not in raw or topic.type == IMAGE
    ]
    found = [topic for topic in found if _REGISTERED.search(topic.name)] or found
    if len(found) != 1:
        names = ' '.join(topic.name for topic in found)
        raise ConfigError(
            f'the recording has several depth topics; name one with --depth-topic: {names}'
            if found
            else 'the recording has no depth topic; choose another prior'
        )
    return found[0]


def is_same_view(camera: Intrinsics | None, frame: Frame, width: int, height: int) -> bool:
    """Tell whether a depth map of ``width`` x ``height`` is a frame's view at another size.

    camera  of the depth map; where one of the two is not calibrated, the aspect must do
    """
    if camera is None or frame.camera is None:
        return abs(width * frame.size[1] / (height * frame.size[0]) - 1) <= LEAST_MISFIT
    seen = frame.camera.scaled_to(width, height)
    misfit = max(
        abs(seen.fx - camera.fx),
        abs(seen.fy - camera.fy),
        abs(seen.cx - camera.cx),
        abs(seen.cy - camera.cy),
    )
    return misfit <= LEAST_MISFIT * width


def resample_to_camera(depth_m: Array, camera: Intrinsics, other: Intrinsics) -> Array:
    """Return what another camera at the same place and in the same direction sees.

    depth_m  (h, w) float32, Z in metres, of ``camera``; of each pixel the nearest is taken
    returns  (h', w) float32 in the aspect of ``other``, NaN where ``camera`` does not look
    """
    height, width = depth_m.shape
    view = other.scaled_to(width, max(1, round(width * other.height / other.width)))
    column = (np.arange(view.width) - view.cx) / view.fx * camera.fx + camera.cx
    row = (np.arange(view.height) - view.cy) / view.fy * camera.fy + camera.cy
    columns, rows = (np.rint(each).astype(int) for each in (column, row))
    seen = depth_m[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    seen[(rows < 0) | (rows >= height)] = np.nan
    seen[:, (columns < 0) | (columns >= width)] = np.nan
    return seen


class _Messages:
    """Finds, for stamps that only grow, the message nearest in time."""

    def __init__(self, stamped: Iterator[tuple[int, Any]], stamps: Stamps) -> None:
        self._stamped, self._stamps_ns = stamped, stamps.stamp_ns
        self._within_ns = max_offset_ns(stamps.stamp_ns)
        self._now: tuple[int, Any] = -1, None

    def near(self, frame_ns: int) -> Any | None:
        """Return the message nearest to a frame; None where it is too far away, or damaged."""
        if not len(self._stamps_ns):
            return None
        wanted_ns = int(self._stamps_ns[nearest_indices(self._stamps_ns, np.array([frame_ns]))[0]])
        if abs(wanted_ns - frame_ns) > self._within_ns:
            return None
        while self._now[0] < wanted_ns and (following := next(self._stamped, None)):
            self._now = following
        return self._now[1] if self._now[0] == wanted_ns else None
