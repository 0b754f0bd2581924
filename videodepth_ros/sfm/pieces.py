# SPDX-License-Identifier: Apache-2.0
"""Pieces of a recording: runs of frames whose poses hang together, and the sub-maps they form.

A cut, black images or a burst of motion blur end all tracks. Nothing is known then about the pose
after against the pose before, as after a lost track in ORB-SLAM3's Atlas (Campos et al., T-RO
2021): each piece is a sub-map of its own until loop closures join it with another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.core.arrays import Edge, IndexArray, MaskArray
from videodepth_ros.sfm.odometry import name_frames

LOST = -1
"""Piece of a frame whose pose is unknown."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of a recording of N frames.

    number  (N,) intp, piece of each frame, from 0 in order of time, or LOST
    submap  (N,) intp, the first piece that is joined with that of the frame, or LOST
    """

    number: IndexArray
    submap: IndexArray

    @classmethod
    def split(cls, is_linked: MaskArray, min_frames: int) -> Pieces:
        """Split a recording at the steps (N - 1,) that are not linked.

        min_frames  of a piece; frames of shorter runs are lost, unless there is no longer one
        """
        run = np.append(0, np.cumsum(~is_linked))
        long = np.flatnonzero(np.bincount(run) >= min_frames)
        if not len(long):
            run, long = np.zeros(len(run), np.intp), np.zeros(1, np.intp)
        number = np.full(len(run), LOST, np.intp)
        for piece, one in enumerate(long):
            number[run == one] = piece
        return cls(number, number.copy())

    @classmethod
    def whole(cls, frames: int) -> Pieces:
        """Return one piece of all frames."""
        return cls(np.zeros(frames, np.intp), np.zeros(frames, np.intp))

    @property
    def count(self) -> int:
        """Number of pieces."""
        return int(self.number.max()) + 1

    @property
    def is_linked(self) -> MaskArray:
        """Steps (N - 1,) within one piece."""
        same = self.number[1:] == self.number[:-1]
        return np.asarray(same & (self.number[1:] != LOST))

    @property
    def spans(self) -> list[Edge]:
        """First and last frame of each piece."""
        frames = [np.flatnonzero(self.number == piece) for piece in range(self.count)]
        return [(int(one[0]), int(one[-1])) for one in frames]

    @property
    def main_submap(self) -> int:
        """Sub-map of the most frames."""
        return int(np.bincount(self.submap[self.submap != LOST]).argmax())

    def is_between(self, i: int, j: int) -> bool:
        """Return whether two frames are in different pieces."""
        return bool(self.number[i] != self.number[j])

    def joined(self, loops: Iterable[Edge]) -> Pieces:
        """Return the pieces, those that loop closures (i, j) connect in one sub-map."""
        submap = self.submap.copy()
        for i, j in loops:
            first, second = sorted((submap[i], submap[j]))
            submap[submap == second] = first
        return replace(self, submap=submap)

    def notes(self) -> tuple[str, ...]:
        """Return notes on lost frames, joined pieces, and separate ones."""
        notes, lost = [], np.flatnonzero(self.number == LOST)
        if len(lost):
            notes.append(
                f'the camera is lost at {name_frames(lost)}: too few points are tracked there; '
                'the poses are interpolated, and depth is that of the prior, if any'
            )
        if self.count == 1:
            return tuple(notes)
        main = self.main_submap
        for submap in np.unique(self.submap[self.submap != LOST]):
            spans = [f'{a} to {b}' for a, b in self.spans if self.submap[a] == submap]
            names = f'frames {" and ".join(spans)} (from 0)'
            if len(spans) > 1:
                notes.append(f'the track is lost between {names}; they see a place again: joined')
            if submap != main:
                notes.append(
                    f'{names} are a separate piece: they see no place of the others again, so '
                    'that their position, and their scale unless it is measured, is unknown '
                    'against them. The piece begins where the one before ends; it is not in '
                    'cloud and map'
                )
        return tuple(notes)
