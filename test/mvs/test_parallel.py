from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest

from test.mvs.conftest import OPTIONS
from test.mvs.textured_scene import CAMERA, nodded, pose, render, smear
from videodepth_ros.mvs.depth import estimate_depth, plan_stereo, without_stereo
from videodepth_ros.mvs.parallel import StereoTask, finish_frames, match_frames, rate_frames
from videodepth_ros.mvs.views import make_view, outline

pytestmark = pytest.mark.slow

COUNT = 4
WRONG = (0.15, -0.2, 0.1, -0.1)
"""Pitches by which poses are wrong."""


@dataclass(frozen=True)
class Rendered:
    """Frames that are rendered in whichever process asks; poses are wrong by some pitches."""

    step_m: float
    pitches: tuple[float, ...] = (0.0,) * COUNT

    def _pose(self, index):
        return pose(self.step_m * index)

    def view(self, index):
        image, depth_m = render(self._pose(index))
        prior_m = smear(depth_m)
        prior_m[:20, :30] = np.nan
        stated = nodded(self._pose(index), self.pitches[index])
        return make_view(image, CAMERA, stated, prior_m, OPTIONS)

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


def test_trust_before_depth_is_that_of_the_depth(tmp_path, plan):
    task = task_in(tmp_path, plan)
    match_frames(task, 1, lambda: None)
    rated = rate_frames(task, range(COUNT), 1)
    assert rated == [one.trust for one in finish_frames(task, 1)]
    assert min(rated) > 0.9


def test_no_frame_is_trusted_where_poses_are_wrong(tmp_path, plan):
    task = replace(task_in(tmp_path, plan), open_frames=partial(Rendered, 0.08, WRONG))
    match_frames(task, 1, lambda: None)
    matched = [k for k, chosen in enumerate(plan.neighbours) if chosen]
    assert max(rate_frames(task, matched, 1)) < 0.5


def test_depth_without_stereo_is_the_prior(tmp_path, plan):
    task = replace(task_in(tmp_path, plan), plan=without_stereo(plan, 'poses are wrong'))
    frames = Rendered(0.08)
    for index, one in enumerate(finish_frames(task, 1)):
        view = frames.view(index)
        assert one.trust == 0
        np.testing.assert_array_equal(np.isnan(one.depth_m), ~view.known)
        assert (one.relative_error[~view.known] == 1).all()
        error = np.abs(one.depth_m * view.prior_per_m - 1)[view.known]
        assert np.median(error) < 0.01
