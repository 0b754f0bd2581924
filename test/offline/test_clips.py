# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest

from bench.room import CAMERA, Room, walk
from videodepth_ros.errors import DeviceError
from videodepth_ros.offline.alignment import Settings
from videodepth_ros.offline.clips import (
    ClipFiles,
    Scene,
    align_clips,
    align_keyframes,
    load_clip,
    load_keyframes,
)
from videodepth_ros.offline.hierarchy import HierarchySettings, refine
from videodepth_ros.offline.plan import plan
from videodepth_ros.offline.priors import Priors

QUICK = Settings(camera=CAMERA, pixels=400, smoothing=0, translation_smoothing=0)
SETTINGS = HierarchySettings(QUICK, QUICK)
POSES = walk(13)
LAYOUT = plan(len(POSES), clip=4)
OPEN = partial(Scene, Room(POSES, 0.02), LAYOUT, SETTINGS, Priors())


@pytest.fixture
def files(tmp_path):
    files = ClipFiles(tmp_path / 'keys.npz',
                      tuple(tmp_path / f'clip{n}.npz' for n in range(len(LAYOUT.clips))))
    align_keyframes(OPEN(), files)
    return files


def everything(files):
    return list(range(len(files.clips)))


def test_clips_come_back_as_the_hierarchy_makes_them(files):
    assert list(align_clips(OPEN, files, everything(files), 1)) == everything(files)
    for path, expected in zip(files.clips, refine(*_open()), strict=True):
        found = load_clip(path)
        assert (found.frames, found.cameras) == (expected.frames, expected.cameras)
        assert found.scale_from is expected.scale_from
        assert found.moving is None
        for one, other in ((found.T_world_cam, expected.T_world_cam),
                           (found.depth, expected.depth),
                           (found.confidence, expected.confidence)):
            np.testing.assert_array_equal(one, other)


def _open():
    scene = OPEN()
    return scene.provider, scene.plan, scene.settings, scene.priors


def test_processes_make_the_same_bytes(files):
    list(align_clips(OPEN, files, everything(files), 1))
    alone = [path.read_bytes() for path in files.clips]
    for path in files.clips:
        path.unlink()
    assert sorted(align_clips(OPEN, files, everything(files), 2)) == everything(files)
    assert [path.read_bytes() for path in files.clips] == alone


def test_only_missing_clips_are_aligned(files):
    assert list(align_clips(OPEN, files, [1], 2)) == [1]
    assert [path.exists() for path in files.clips] == [n == 1 for n in everything(files)]


def test_keyframes_come_back(files):
    keys = load_keyframes(files.keys)
    assert keys.frames == LAYOUT.keys
    assert keys.depth.shape[0] == len(LAYOUT.keys)
    assert (keys.camera.width, keys.camera.height) == (CAMERA.width, CAMERA.height)


def test_a_clip_that_is_the_whole_recording_needs_no_keyframes(tmp_path):
    layout = plan(4, clip=9)
    files = ClipFiles(None, (tmp_path / 'clip.npz',))
    scene = partial(Scene, Room(POSES[:4], 0.0), layout, SETTINGS, Priors())
    assert list(align_clips(scene, files, [0], 1)) == [0]
    assert load_clip(files.clips[0]).frames == range(4)


class Deadly(Room):
    """A provider whose process is ended, as by the kernel when memory runs out."""

    def pairs(self, edges):
        os._exit(9)


def test_a_process_that_dies_is_a_clear_error(files):
    scene = partial(Scene, Deadly(POSES, 0.0), LAYOUT, SETTINGS, Priors())
    with pytest.raises(DeviceError, match='fewer processes'):
        list(align_clips(scene, files, everything(files), 2))
