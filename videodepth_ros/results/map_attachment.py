# SPDX-License-Identifier: Apache-2.0
"""Attachment of the refined map to the frames of a recording, without a second parent (REP-105).

The map becomes the parent of the topmost frame above the camera: ``odom`` where the recording has
odometry (map -> odom, as in localisation), the base where only /tf_static leads to the camera, and
the camera's optical frame where there are no transforms. A map of the recording stays, below the
refined one, which gets another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from videodepth_ros.bags.frame_tree import (
    FrameTree,
    OdometryTrack,
    frame_name,
    read_frame_tree,
    read_odometry,
)
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import Float64Array, StampArray
from videodepth_ros.geometry.pose import invert_poses

MAP, OTHER_MAP = 'map', 'videodepth_map'


class StampedTransform(NamedTuple):
    """T_parent_child, (4, 4) float64, at one time."""

    stamp_ns: int
    parent: str
    child: str
    T_parent_child: Float64Array


@dataclass(frozen=True)
class MapAttachment:
    """The place of the map in the frame tree of a recording.

    map_frame  name of the refined map
    child      frame whose parent it becomes; '': the images have no frame_id
    camera     optical frame of the camera
    tree       frames of the recording, with those of its odometry
    odometry   odometry that the recording has as messages only, to be written to /tf; None: none
    notes      notes for the report
    """

    map_frame: str
    child: str
    camera: str
    tree: FrameTree
    odometry: OdometryTrack | None
    notes: tuple[str, ...]

    @property
    def chain_description(self) -> str:
        """Frames from the map to the camera."""
        if not self.child:
            return f'{self.map_frame} (the images have no frame_id)'
        return ' -> '.join([self.map_frame, *reversed(self.tree.chain(self.camera))])

    def transforms(
        self, stamps_ns: StampArray, T_map_cam: Float64Array
    ) -> Iterator[list[StampedTransform]]:
        """Yield the transforms from the map to the camera for stamps (M,) and poses (M, 4, 4).

        The first is map -> child. A moving transform of the recording that does not cover the
        stamp is repeated with its nearest value, so that lookups of the whole chain succeed.
        """
        T_map_child = T_map_cam @ invert_poses(self.tree.T_root_frame(self.camera, stamps_ns))
        moving = [(name, self.tree.transforms[name]) for name in self.tree.chain(self.camera)[:-1]]
        for k, ns in enumerate(stamps_ns.tolist()):
            at_ns = stamps_ns[k : k + 1]
            repeated = [
                StampedTransform(ns, series.parent, name, series.at(at_ns)[0])
                for name, series in moving
                if not series.covers(at_ns)[0]
            ]
            yield [StampedTransform(ns, self.map_frame, self.child, T_map_child[k]), *repeated]

    def odometry_transforms(self) -> list[StampedTransform]:
        """Return the recording's odometry as transforms; none if /tf has them already."""
        if self.odometry is None:
            return []
        series = self.odometry.series
        return [
            StampedTransform(int(ns), series.parent, self.odometry.child, T)
            for ns, T in zip(series.stamp_ns, series.T_parent_child, strict=True)
        ]


def attach_map(bag: BagReader, camera_frame: str, without: Sequence[str] = ()) -> MapAttachment:
    """Attach the refined map above a camera.

    camera_frame  optical frame of the camera; '': its images have none
    without       topics that are not read as odometry
    """
    tree, camera = read_frame_tree(bag), frame_name(camera_frame)
    notes = list(tree.notes)
    map_frame = MAP if MAP not in tree else OTHER_MAP
    while map_frame in tree:
        map_frame += '_'
    if map_frame != MAP:
        notes.append(f'the recording has a frame {MAP}, so the refined map is named {map_frame}')
    if not camera:
        notes.append('the images have no frame_id, so no transform leads to the camera')
        return MapAttachment(map_frame, '', '', tree, None, tuple(notes))
    odometry = _odometry_above(bag, tree, camera, without)
    if odometry:
        tree = tree.with_transform(odometry.child, odometry.series)
        notes.append(
            f'{odometry.series.parent} -> {odometry.child} of {odometry.topic} is written to /tf'
        )
    if camera not in tree and tree.transforms:
        notes.append(f'no transform of the recording leads to {camera}')
    return MapAttachment(map_frame, tree.root(camera), camera, tree, odometry, tuple(notes))


def _odometry_above(
    bag: BagReader, tree: FrameTree, camera: str, without: Sequence[str]
) -> OdometryTrack | None:
    """Return the odometry of the topmost frame above the camera, if /tf does not move it."""
    top = tree.root(camera)
    tracks = [
        track
        for track in read_odometry(bag, without)
        if track.child == top and track.series.parent not in tree
    ]
    return min(
        tracks, key=lambda track: (track.series.parent != 'odom', track.topic), default=None
    )
