# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording or of a refined folder, in any order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from videodepth_ros.bags.camera_topics import COMPRESSED, IMAGE, TopicInfo, find_camera_topics
from videodepth_ros.bags.reader import BagReader, open_bag
from videodepth_ros.bags.stamps import Stamps, monotonic, read_stamps
from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.core.progress import Progress
from videodepth_ros.geometry.trajectory import MAX_STAMP_OFFSET_NS
from videodepth_ros.messages.camera_info import intrinsics_from
from videodepth_ros.messages.frame import FrameDecoder, needs_rectification
from videodepth_ros.messages.image import decode_depth, decode_share
from videodepth_ros.messages.topic_words import topic_words
from videodepth_ros.messages.transforms import matrix_from_pose, stamp_ns
from videodepth_ros.refine.depth_topic import with_camera_info
from videodepth_ros.results.bag import PATH
from videodepth_ros.results.map_cloud import map_cloud
from videodepth_ros.results.map_views import mean_heading
from videodepth_ros.results.options import SERVED_MAP
from videodepth_ros.results.point_cloud import positions_and_colours, read_ply
from videodepth_ros.results.write import CLOUD_FILE
from videodepth_ros.view.source import ViewFrame

READ_ONLY = 'a recording has no parameters'


class Track:
    """The messages of one topic, by stamp."""

    def __init__(self, bag: BagReader, topic: TopicInfo, show: Callable[[Progress], None]) -> None:
        self._bag, self.topic = bag, topic
        done = count(1)

        def on_step() -> None:
            of = max(topic.count, now := next(done))
            show(Progress('stamps', now / of, None, None, now, of))

        self.stamps: Stamps = monotonic(read_stamps(bag, topic.name, on_step))

    def at(self, stamp_ns: int) -> Any | None:
        """Return the message nearest to a stamp; None: there is none near."""
        stamps = self.stamps.stamp_ns
        if not len(stamps):
            return None
        index = int(np.abs(stamps - stamp_ns).argmin())
        if abs(int(stamps[index]) - stamp_ns) > MAX_STAMP_OFFSET_NS:
            return None
        recorded_ns = int(self.stamps.recorded_ns[index])
        between_ns = recorded_ns, recorded_ns + 1
        found = self._bag.messages([self.topic.name], between_ns)
        return next((message for _, _, message in found), None)


@contextmanager
def open_recording(
    path: Path, images: Path | None, show: Callable[[Progress], None]
) -> Iterator[RecordingSource]:
    """Open a recording for a ``with`` statement; its stamps are read first.

    images   the recording of the camera, where that of its depth has no images; None: the same
    show     receives the progress of that

    Raise BagError if there is neither depth nor an image.
    """
    with ExitStack() as stack:
        bag = stack.enter_context(open_bag(path))
        camera_bag = bag if images is None else stack.enter_context(open_bag(images))
        yield RecordingSource(bag, camera_bag, show)


class RecordingSource:
    """Frames of a recording, see ``source.Source``."""

    def __init__(
        self, bag: BagReader, camera_bag: BagReader, show: Callable[[Progress], None]
    ) -> None:
        self._bag = bag
        self._image = self._info = None
        try:
            camera = find_camera_topics(camera_bag.topics)
        except ConfigError:  # depth alone
            pass
        else:
            if camera.image.type in (IMAGE, COMPRESSED):  # packets of a video need those before
                self._image = Track(camera_bag, camera.image, show)
                rectify = needs_rectification(camera.image.name)
                self._decoder = FrameDecoder(rectify=rectify)
            if camera.info is not None:
                self._info = next((m for _, _, m in camera_bag.messages([camera.info.name])), None)
        self._depth = self._track('depth', show)
        self._confidence = self._track('confidence', show) if self._depth else None
        main = self._depth or self._image
        if main is None or not len(main.stamps):
            raise BagError(f'{bag.path} has neither depth nor images that can be shown')
        self._stamps_ns = main.stamps.stamp_ns
        self._depth_info = self._first_depth_info()
        self._poses = self._read_poses()
        self._status: dict[str, Any] = {'state': 'recording', 'warnings': []}

    def open(self, notify: Callable[[], None]) -> None:
        """Do nothing: all frames are there."""

    def show(self, streams: Collection[str]) -> None:
        """Do nothing: frames are read when they are asked for."""

    def facts(self) -> dict[str, Any]:
        """Return the title, the stamps, the path of the camera and the direction it looks in."""
        T = [self._poses[ns] for ns in sorted(self._poses)]
        return {
            'title': self._bag.path.name,
            'stamps': ((self._stamps_ns - self._stamps_ns[0]) / 1e9).tolist(),
            'streams': list(self._tracks),
            'path': [round(float(x), 4) for one in T for x in one[:3, 3]],
            'yaw': mean_heading(np.stack(T)) if T else 0.0,
            'has_map': self._cloud_path.exists(),
            'parameters': [],
        }

    def status(self) -> dict[str, Any]:
        """Return that it is a recording, and what of it could not be read."""
        lost = self._bag.lost
        if lost and not self._status['warnings']:
            self._status = {**self._status, 'warnings': [f'lost: {lost}']}
        return self._status

    def newest(self) -> int:
        """Return the number of the last frame."""
        return len(self._stamps_ns) - 1

    def read(self, number: int, streams: Collection[str]) -> ViewFrame:
        """Return a frame."""
        now_ns = int(self._stamps_ns[number])
        wanted = {
            name: track.at(now_ns) for name, track in self._tracks.items() if name in streams
        }
        image, depth, share = (wanted.get(name) for name in ('image', 'depth', 'confidence'))
        depth_m = None if depth is None else decode_depth(depth)
        camera = None
        if depth_m is not None and self._depth_info is not None:
            height, width = depth_m.shape
            camera = intrinsics_from(self._depth_info, width, height)
        return ViewFrame(
            now_ns,
            '' if depth is None else depth.header.frame_id,
            None if image is None else self._decoder.decode(image, self._info).image,
            depth_m,
            None if share is None else decode_share(share),
            camera,
            self._poses.get(now_ns),
        )

    def map(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the point cloud of a refined folder."""
        return self._map

    async def set_parameter(self, name: str, value: Any) -> str:
        """Refuse."""
        return READ_ONLY

    async def reset(self) -> str:
        """Refuse."""
        return READ_ONLY

    @property
    def _tracks(self) -> dict[str, Track]:
        """The streams that the recording has."""
        tracks = {'image': self._image, 'depth': self._depth, 'confidence': self._confidence}
        return {name: track for name, track in tracks.items() if track is not None}

    @property
    def _cloud_path(self) -> Path:
        return self._bag.path / CLOUD_FILE

    @cached_property
    def _map(self) -> tuple[dict[str, Any], bytes] | None:
        if not self._cloud_path.exists():
            return None
        points = read_ply(self._cloud_path)
        if not len(points):
            return None
        cloud = map_cloud(*positions_and_colours(points), SERVED_MAP)
        return cloud.facts, cloud.to_bytes()

    def _track(self, word: str, show: Callable[[Progress], None]) -> Track | None:
        """Return the images whose topic has a word as its last mark; those of results first."""
        found = [
            topic
            for topic in self._bag.topics
            if topic.type in (IMAGE, COMPRESSED)
            and topic.count
            and word in topic_words(topic.name)
            and not {'confidence', 'color', 'mask'} - {word} & set(topic_words(topic.name))
        ]
        found.sort(key=lambda topic: 'videodepth' not in topic_words(topic.name))
        return Track(self._bag, found[0], show) if found else None

    def _first_depth_info(self) -> Any | None:
        """Return the calibration of the depth images; without one, that of the camera."""
        if self._depth is None:
            return None
        beside = with_camera_info(self._bag.topics, self._depth.topic.name).info
        if beside is None:
            return self._info
        return next((message for _, _, message in self._bag.messages([beside.name])), self._info)

    def _read_poses(self) -> dict[int, Float64Array]:
        """Return T_map_cam by stamp, of the path of a refined recording."""
        names = [topic.name for topic in self._bag.topics if topic.name.strip('/') == PATH]
        return {
            stamp_ns(pose.header.stamp): matrix_from_pose(pose.pose)
            for _, _, path in (self._bag.messages(names) if names else ())
            for pose in path.poses
        }
