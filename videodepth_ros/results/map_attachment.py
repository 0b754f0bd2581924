# SPDX-License-Identifier: Apache-2.0
"""How the refined map joins the frames that a recording has: never a second parent (REP-105).

One rule covers every robot: the map becomes the parent of the topmost frame above the camera.
That is ``odom`` where the recording has odometry (map -> odom, as localisation does it), the base
where only /tf_static leads to the camera, and the camera's optical frame where nothing does. A
recording with a map of its own keeps it, below ours, which then has another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.frame_tree import (
    FrameTree,
    OdometryTrack,
    frame_name,
    read_frame_tree,
    read_odometry,
)
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.geometry.poses import inverse

Array = NDArray[np.float64]
Stamps = NDArray[np.int64]

MAP, OTHER_MAP = 'map', 'videodepth_map'


class StampedTransform(NamedTuple):
    """T_parent_child, (4, 4) float64, at one time."""

    stamp_ns: int
    parent: str
    child: str
    T_parent_child: Array


@dataclass(frozen=True)
class MapAttachment:
    """Where the map is in the tree of a recording.

    map_frame  name of the refined map
    child      the frame whose parent it becomes; '' where the camera's frame has no name
    camera     optical frame of the camera
    tree       frames of the recording, with what its odometry adds
    odometry   what is published on /tf besides, for the recording has it as a message only
    notes      what a reader of the results should know, in words
    """

    map_frame: str
    child: str
    camera: str
    tree: FrameTree
    odometry: OdometryTrack | None
    notes: tuple[str, ...]

    @property
    def described(self) -> str:
        """The chain of frames from the map to the camera, in words."""
        if not self.child:
            return f'{self.map_frame} (the images name no frame)'
        return ' -> '.join([self.map_frame, *reversed(self.tree.chain(self.camera))])

    def transforms(self, stamps_ns: Stamps, T_map_cam: Array) -> Iterator[list[StampedTransform]]:
        """Yield, for each stamp (M,) and pose (M, 4, 4), what makes map -> camera this pose.

        The first is map -> child. Where a moving transform of the recording begins after the
        stamp or ends before it, it is repeated as it is nearest, so that listeners find the whole
        chain.
        """
        T_map_child = T_map_cam @ inverse(self.tree.T_root_frame(self.camera, stamps_ns))
        moving = [(name, self.tree.transforms[name]) for name in self.tree.chain(self.camera)[:-1]]
        for k, ns in enumerate(stamps_ns.tolist()):
            now = stamps_ns[k : k + 1]
            held = [
                StampedTransform(ns, series.parent, name, series.at(now)[0])
                for name, series in moving
                if not series.covers(now)[0]
            ]
            yield [StampedTransform(ns, self.map_frame, self.child, T_map_child[k]), *held]

    def odometry_transforms(self) -> list[StampedTransform]:
        """Return the recording's odometry as transforms; none where /tf has them already."""
        if self.odometry is None:
            return []
        series = self.odometry.series
        return [
            StampedTransform(int(ns), series.parent, self.odometry.child, T)
            for ns, T in zip(series.stamp_ns, series.T_parent_child, strict=True)
        ]


def attach_map(bag: BagReader, camera_frame: str, without: Sequence[str] = ()) -> MapAttachment:
    """Find the place of the refined map above a camera.

    camera_frame  optical frame of the camera, '' if its images name none
    without       topics that are not read as odometry: those that this package writes
    raises        BagError if the recording's frames form a circle
    """
    tree, camera = read_frame_tree(bag), frame_name(camera_frame)
    notes = list(tree.notes)
    map_frame = MAP if MAP not in tree else OTHER_MAP
    while map_frame in tree:
        map_frame += '_'
    if map_frame != MAP:
        notes.append(
            f'the recording has a frame {MAP} of its own, so the refined one is called {map_frame}'
        )
    if not camera:
        notes.append('the images name no frame, so no transform leads to the camera')
        return MapAttachment(map_frame, '', '', tree, None, tuple(notes))
    odometry = _odometry_above(bag, tree, camera, without)
    if odometry:
        tree = tree.with_transform(odometry.child, odometry.series)
        notes.append(
            f'{odometry.series.parent} -> {odometry.child} of {odometry.topic} is published on /tf'
        )
    if camera not in tree and tree.transforms:
        notes.append(f'no transform of the recording leads to {camera}')
    return MapAttachment(map_frame, tree.root(camera), camera, tree, odometry, tuple(notes))


def _odometry_above(
    bag: BagReader, tree: FrameTree, camera: str, without: Sequence[str]
) -> OdometryTrack | None:
    """Return the odometry that moves the topmost frame above the camera, if no /tf does."""
    top = tree.root(camera)
    tracks = [
        track
        for track in read_odometry(bag, without)
        if track.child == top and track.series.parent not in tree
    ]
    return min(
        tracks, key=lambda track: (track.series.parent != 'odom', track.topic), default=None
    )
