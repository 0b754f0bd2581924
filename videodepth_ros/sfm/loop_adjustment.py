# SPDX-License-Identifier: Apache-2.0
"""The bundle adjustment again, with tracks joined over the loops of a recording.

A wrong loop bends what the tracks say of the cameras between its ends. Loops that raise the cost
of what was followed by more than a true one does are taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.sfm.bundle_adjustment import Bundle
from videodepth_ros.sfm.loop_closure import NEAR, Loop
from videodepth_ros.sfm.pose_graph import closed
from videodepth_ros.sfm.reprojection import Scene, Sightings
from videodepth_ros.sfm.robust_adjustment import Adjusted, in_rounds

Indices = NDArray[np.intp]

FIRST, ITERATIONS = 12, (12, 20)
MOST_STRAIN = 0.02
"""Squared sigmas for each sighting between the ends of loops. On rendered rounds true loops raise
the cost by up to 0.012; loops that were moved by a tenth of the depth raise it by more in most
recordings, and by as little as 0.003 where tracks hold the cameras badly: those get through."""


def joined(found: Adjusted, loops: Sequence[Loop], group: int) -> Adjusted:
    """Adjust cameras and points so that loops close; without any, return what was ``found``.

    group    frames that a track spans at most, but for what loops join
    returns  it, its sightings those that were followed, as if there were no loops
    """
    start = _started(found, loops, group)
    if _strained(found, loops, start, group):
        loops = [
            loop
            for near in _neighbours(loops)
            if not _strained(found, near, _started(found, near, group), group)
            for loop in near
        ]
        start = _started(found, loops, group)
    if not loops or _strained(found, loops, start, group):
        return found
    again = in_rounds(_with(found.seen, loops), start, found.noise, group, ITERATIONS)
    return replace(again, seen=again.seen.among(~again.seen.joined))


def _started(found: Adjusted, loops: Sequence[Loop], group: int) -> Scene:
    """Close the loops and adjust everything once."""
    if not loops:
        return found.scene
    start = closed(found.seen, found.scene, found.noise, loops)
    return Bundle(_with(found.seen, loops), group).adjusted(start, found.noise, FIRST)


def _strained(found: Adjusted, loops: Sequence[Loop], scene: Scene, group: int) -> bool:
    """Tell whether what was followed cannot be brought in line with the loops."""
    if not loops:
        return False
    frame = found.seen.frame
    between = (frame >= min(loop.i for loop in loops)) & (frame <= max(loop.j for loop in loops))
    followed = Bundle(found.seen, group)
    rise = followed.cost(scene, found.noise) - followed.cost(found.scene, found.noise)
    return bool(rise > MOST_STRAIN * np.count_nonzero(between))


def _neighbours(loops: Sequence[Loop]) -> list[list[Loop]]:
    """Part loops into those that go from close by to close by."""
    parts: list[list[Loop]] = []
    for loop in loops:
        merged, apart = [loop], []
        for part in parts:
            if any(max(abs(loop.i - other.i), abs(loop.j - other.j)) < NEAR for other in part):
                merged += part
            else:
                apart.append(part)
        parts = [*apart, merged]
    return parts


def _with(seen: Sightings, loops: Sequence[Loop]) -> Sightings:
    """Add what the later frames of loops see to the tracks of the earlier ones."""
    track = np.concatenate([loop.track for loop in loops])
    frame = np.repeat([loop.j for loop in loops], [len(loop.track) for loop in loops])
    offset = np.concatenate([loop.offset for loop in loops])
    _, once = np.unique(track * seen.frames + frame, return_index=True)
    track = np.concatenate([seen.track, track[once]])
    frame = np.concatenate([seen.frame, frame[once]])
    order = np.lexsort((frame, track))
    count = len(seen.track)
    return Sightings(
        track[order],
        frame[order],
        np.concatenate([seen.offset, offset[once]])[order],
        np.append(seen.log_depth, np.full(len(once), np.nan))[order],
        np.searchsorted(track[order], np.arange(len(seen.first))),
        seen.frames,
        order >= count,
    )
