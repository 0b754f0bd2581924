from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from test.mvs.conftest import OPTIONS
from test.mvs.textured_scene import CAMERA, pose, render, smear
from videodepth_ros.mvs.depth import estimate_depth, plan_stereo
from videodepth_ros.mvs.parallel import StereoTask, finish_frames, match_frames
from videodepth_ros.mvs.views import make_view, outline

pytestmark = pytest.mark.slow

COUNT = 4


@dataclass(frozen=True)
class Rendered:
    """Frames that are rendered in whichever process asks."""

    step_m: float

    def _pose(self, index):
        return pose(self.step_m * index)

    def view(self, index):
        image, depth_m = render(self._pose(index))
        return make_view(image, CAMERA, self._pose(index), smear(depth_m), OPTIONS)

    def image(self, index):
        return render(self._pose(index))[0]


@pytest.fixture(scope='module')
def plan():
    frames = Rendered(0.08)
    stamp_ns = np.arange(COUNT) * 10**8
    return plan_stereo([outline(frames.view(k)) for k in range(COUNT)], stamp_ns, OPTIONS)


def task_in(folder, plan):
    files = tuple(folder / f'{k}.npz' for k in range(COUNT))
    return StereoTask(partial(Rendered, 0.08), plan, files, OPTIONS)


def test_processes_give_the_bytes_of_one(tmp_path, plan):
    task = task_in(tmp_path, plan)
    calls = []
    match_frames(task, 2, lambda: calls.append(1))
    assert len(calls) == sum(bool(chosen) for chosen in plan.neighbours)
    found = list(finish_frames(task, 2))
    frames = Rendered(0.08)
    views, images = zip(*((frames.view(k), frames.image(k)) for k in range(COUNT)), strict=True)
    for one, other in zip(found, estimate_depth(views, images, plan, OPTIONS), strict=True):
        assert one.depth_m.tobytes() == other.depth_m.tobytes()
        assert one.relative_error.tobytes() == other.relative_error.tobytes()


def test_matches_that_exist_are_kept(tmp_path, plan):
    task = task_in(tmp_path, plan)
    match_frames(task, 1, lambda: None)
    task.files[2].unlink()
    first = task.files[0].stat().st_mtime_ns
    calls = []
    match_frames(task, 1, lambda: calls.append(1))
    assert len(calls) == 1
    assert task.files[0].stat().st_mtime_ns == first
