# SPDX-License-Identifier: Apache-2.0
"""The prior ``bag``: depth images of the recording, associated with the frames of a camera."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from videodepth_ros.bags.frame_tree import frame_name
from videodepth_ros.bags.frames import messages_with_info
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.stamps import Stamps, monotonic, read_stamps
from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.errors import BagError, ConfigError, InputError
from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.camera_info import view_from
from videodepth_ros.messages.frame import needs_rectification
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.models.mono import MonoEstimate, PriorKind
from videodepth_ros.refine.depth_association import max_offset_ns, nearest_indices
from videodepth_ros.refine.depth_topic import choose_depth_topic, encoding_of, with_camera_info
from videodepth_ros.refine.options import BAG_DEPTH, BagDepthOptions


class BagDepthPrior:
    """Depth images of a recording; values have the depth camera's size, in the frames' view."""

    name = 'bag'
    notice: str | None = None

    def __init__(
        self,
        bag: Path,
        depth_topic: str | None = None,
        stamps: Stamps | None = None,
        *,
        unit_m: float = 0.0,
        rectify: str = 'auto',
    ) -> None:
        """Open a recording a second time, for its depth.

        depth_topic  None: the only one there is
        stamps       of its messages, increasing; None: read here
        unit_m       metres in a unit of the stored depth; 0: as in REP-118
        rectify      ``never``: depth is rectified, as the images are; else by the topic's name
        raises       BagError if it cannot be read, ConfigError naming the candidates if there is
                     no such topic or more than one
        """
        self._reader = open_bag(bag)
        self._is_topic_given, self._unit_m = depth_topic is not None, unit_m
        try:
            self._topic = choose_depth_topic(self._reader, depth_topic).name
            self._topics = with_camera_info(self._reader.topics, self._topic)
            self._rectifies = needs_rectification(
                self._topic, 'never' if rectify == 'never' else 'auto'
            )
            self._stamps = (
                stamps if stamps is not None else monotonic(read_stamps(self._reader, self._topic))
            )
        except BaseException:
            self._reader.close()
            raise

    def estimate(self, frames: Iterable[Frame]) -> Iterator[MonoEstimate]:
        """Yield the depth nearest in time to each frame; all NaN where none is near.

        frames  of one camera, in the order of their stamps
        raises  ConfigError if the two cameras differ and the calibration does not relate them;
                BagError at the end if no frame had usable depth
        """
        messages = _NearestMessages(self._stamped_messages(), self._stamps)
        count, found, shape = 0, 0, (1, 1)
        for frame in frames:
            count += 1
            nearest = messages.nearest(frame.stamp_ns)
            depth_m = None
            if nearest is not None:
                message, info = nearest
                depth_m = self._depth_in_view(message, info, frame)
            if depth_m is None:
                depth_m = np.full(shape, np.nan, np.float32)
            else:
                found, shape = found + 1, (depth_m.shape[0], depth_m.shape[1])
            yield MonoEstimate(depth_m, PriorKind.METRIC, scale_source=ScaleSource.SENSOR)
        if count and not found:
            raise BagError(
                f'none of the {count} frames has usable depth of {self._topic}: '
                f'{self._reader.lost or "none is near in time"}'
            )

    def close(self) -> None:
        """Close the recording."""
        self._reader.close()

    def _stamped_messages(self) -> Iterator[tuple[int, Any]]:
        """Yield stamps and messages with their camera_info, those with increasing stamps."""
        for recorded_ns, message, info in messages_with_info(self._reader, self._topics):
            stamp = stamp_ns(message.header.stamp)
            if self._stamps.contains(recorded_ns, stamp):
                yield self._stamps.stamp_of(recorded_ns, stamp), (message, info)

    def _depth_in_view(self, message: Any, info: Any, frame: Frame) -> Float32Array | None:
        """Return depth (h, w) float32 in the view of a frame; None if it cannot be decoded."""
        try:
            depth_m = decode_depth(message)
        except InputError as error:
            self._reader.note_lost(
                self._topic, f'depth of {self._topic} could not be used: {error}'
            )
            return None
        if self._unit_m:
            depth_m *= np.float32(self._unit_m / assumed_unit_m(message))
        self._check_frame_id(message, frame)
        height, width = depth_m.shape
        camera, rectifier, fault = view_from(info, width, height, rectify=self._rectifies)
        if fault:
            self._reader.note(self._topic, f'{self._topic} is not rectified: {fault}')
        depth_m = rectifier.rectify_depth(depth_m) if rectifier else depth_m
        if is_same_view(camera, frame, width, height):
            return depth_m
        depth_frame = frame_name(message.header.frame_id)
        if camera is None or frame.camera is None or depth_frame != frame_name(frame.frame_id):
            raise ConfigError(
                f'{self._topic} ({width}x{height}, {message.header.frame_id!r}) has another view '
                f'than the camera ({frame.size[0]}x{frame.size[1]}, {frame.frame_id!r}): '
                'choose a depth topic that is registered to it, or make one with '
                'depth_image_proc/register'
            )
        return resample_to_camera(depth_m, camera, frame.camera)

    def _check_frame_id(self, message: Any, frame: Frame) -> None:
        """Raise ConfigError if a topic that was found, not given, has another optical frame.

        A robot has several cameras; depth_image_proc gives registered depth the image's frame.
        """
        depth_frame, image_frame = (
            frame_name(name) for name in (message.header.frame_id, frame.frame_id)
        )
        if not self._is_topic_given and depth_frame and image_frame and depth_frame != image_frame:
            raise ConfigError(
                f'{self._topic} is depth of the frame {depth_frame!r}, and the images are of '
                f'{image_frame!r}: it may be that of another camera; if it is registered to the '
                f'images, choose it with --depth-topic {self._topic}'
            )


def assumed_unit_m(message: Any) -> float:
    """Return the unit that `decode_depth` assumes for a depth message [m]."""
    return 1.0 if encoding_of(message) in ('32FC1', '64FC1') else 1e-3


def depth_unit_notes(
    depth: DiskArray, topic: str, unit_m: float, options: BagDepthOptions = BAG_DEPTH
) -> tuple[str, ...]:
    """Return a note if depth (N, h, w) of a recording has an implausible median.

    unit_m  given unit; 0: not given
    """
    known = [one[np.isfinite(one)] for one in depth.records()]
    medians = [float(np.median(each)) for each in known if each.size]
    median_m = float(np.median(medians)) if medians else options.min_median_m
    if options.min_median_m <= median_m <= options.max_median_m:
        return ()
    given = f' with the unit {unit_m:g} m' if unit_m else ''
    return (
        f'the median depth of {topic} is {median_m:g} m{given}, which is implausible: give the '
        'unit of its values, such as --depth-unit-m 0.001 for millimetres',
    )


def is_same_view(
    camera: Intrinsics | None,
    frame: Frame,
    width: int,
    height: int,
    options: BagDepthOptions = BAG_DEPTH,
) -> bool:
    """Return whether a depth map of ``width`` x ``height`` is a frame's view at another size.

    camera  of the depth map; if it or that of the frame is unknown, the aspects are compared
    """
    tolerance = options.max_intrinsics_difference
    if camera is None or frame.camera is None:
        return abs(width * frame.size[1] / (height * frame.size[0]) - 1) <= tolerance
    expected = frame.camera.scaled_to(width, height)
    difference = max(
        abs(expected.fx - camera.fx),
        abs(expected.fy - camera.fy),
        abs(expected.cx - camera.cx),
        abs(expected.cy - camera.cy),
    )
    return difference <= tolerance * width


def resample_to_camera(
    depth_m: Float32Array, camera: Intrinsics, target: Intrinsics
) -> Float32Array:
    """Resample a depth map to another camera at the same pose, by the nearest pixel.

    depth_m  (h, w) float32, Z in metres, of ``camera``
    returns  (h', w) float32 in the aspect of ``target``, NaN outside of the view of ``camera``
    """
    height, width = depth_m.shape
    view = target.scaled_to(width, max(1, round(width * target.height / target.width)))
    column = (np.arange(view.width) - view.cx) / view.fx * camera.fx + camera.cx
    row = (np.arange(view.height) - view.cy) / view.fy * camera.fy + camera.cy
    columns, rows = (np.rint(each).astype(int) for each in (column, row))
    resampled = depth_m[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    resampled[(rows < 0) | (rows >= height)] = np.nan
    resampled[:, (columns < 0) | (columns >= width)] = np.nan
    return resampled


class _NearestMessages:
    """The message nearest in time, for stamps that only increase."""

    def __init__(self, stamped: Iterator[tuple[int, Any]], stamps: Stamps) -> None:
        self._stamped, self._stamps_ns = stamped, stamps.stamp_ns
        self._max_offset_ns = max_offset_ns(stamps.stamp_ns)
        self._current: tuple[int, Any] = -1, None

    def nearest(self, frame_ns: int) -> Any | None:
        """Return the message nearest to a frame; None if it is too far away, or damaged."""
        if not len(self._stamps_ns):
            return None
        index = nearest_indices(self._stamps_ns, np.array([frame_ns]))[0]
        nearest_ns = int(self._stamps_ns[index])
        if abs(nearest_ns - frame_ns) > self._max_offset_ns:
            return None
        while self._current[0] < nearest_ns and (following := next(self._stamped, None)):
            self._current = following
        return self._current[1] if self._current[0] == nearest_ns else None
