# SPDX-License-Identifier: Apache-2.0
"""The clips of one recording on actors of Ray: the same bytes as by one process."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from bench.fleet import by_clips
from bench.room import CAMERA, Room, walk
from videodepth_ros.alignment.constraints import Constraints
from videodepth_ros.alignment.options import AlignmentOptions, HierarchyOptions, PairGraphOptions
from videodepth_ros.alignment.pair_graph import build_pair_graph
from videodepth_ros.alignment.parallel import (
    AlignmentFiles,
    AlignmentTask,
    align_clips_parallel,
    save_keyframes,
)
from videodepth_ros.core.parallel import Pool, use_pool
from videodepth_ros.fleet.options import FleetOptions
from videodepth_ros.fleet.ray_engine import RayProcesses

pytestmark = pytest.mark.slow

QUICK = AlignmentOptions(
    camera=CAMERA, max_pixels=400, rotation_smoothing=0, translation_smoothing=0
)
POSES = walk(13)
GRAPH = build_pair_graph(len(POSES), PairGraphOptions(clip_length=4))
OPEN = partial(
    AlignmentTask, Room(POSES, 0.02), GRAPH, HierarchyOptions(QUICK, QUICK), Constraints()
)


def aligned_clips(folder: Path, processes: int) -> list[bytes]:
    """Return the files of the clips of a hierarchy."""
    folder.mkdir()
    clips = tuple(folder / f'clip{n}.npz' for n in range(len(GRAPH.clips)))
    files = AlignmentFiles(folder / 'keys.npz', clips)
    save_keyframes(OPEN(), folder / 'keys.npz')
    numbers = list(range(len(clips)))
    assert sorted(align_clips_parallel(OPEN, files, numbers, processes)) == numbers
    return [path.read_bytes() for path in clips]


def test_clips_of_the_hierarchy(ray_of_two, tmp_path):
    with use_pool(Pool(2, RayProcesses)):
        found = aligned_clips(tmp_path / 'ray', 2)
    assert len(found) > 2
    assert found == aligned_clips(tmp_path / 'one', 1)


def test_a_whole_refinement_with_stereo(ray_of_two, tmp_path):
    found = by_clips(tmp_path, 1.2, FleetOptions(workers=2))
    assert found['failures'] == {}
    assert found['same_bytes']
