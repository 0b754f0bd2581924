# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.room import CAMERA, pair, walk
from videodepth_ros.alignment.observations import PairObservations
from videodepth_ros.geometry.camera import backproject

CENTER = (CAMERA.cx, CAMERA.cy)
POSES = walk(3)
PAIRS = [pair(POSES, 0, 1, flow=True), pair(POSES, 2, 1), pair(POSES, 1, 1)]


def test_a_frame_observes_every_pair_that_contains_it():
    observations = PairObservations(PAIRS, CENTER)
    assert observations.frame_count == 3
    assert [observations.sample(n, 1).pair.tolist() for n in range(3)] == [[0], [0, 1, 2, 2], [1]]
    assert observations.sample(0, 1).flow_frame.tolist() == [1]
    np.testing.assert_array_equal(
        observations.sample(1, 1).points[1].T.reshape(32, 48, 3), PAIRS[1].points_j
    )


def test_offsets_are_those_of_the_camera_at_every_stride():
    view = PairObservations(PAIRS, CENTER).sample(0, 5)
    rays = backproject(np.ones((32, 48), np.float32), CAMERA)[::5, ::5].reshape(-1, 3)
    np.testing.assert_allclose(view.offset_px.T / CAMERA.fx, rays[:, :2], atol=1e-6)
    assert view.points.shape == (1, 3, len(rays))


def test_unknown_points_are_zero_without_weight():
    holed = replace(
        PAIRS[0], points_i=PAIRS[0].points_i.copy(), confidence_i=PAIRS[0].confidence_i.copy()
    )
    holed.points_i[0, 0, 1] = np.nan
    holed.confidence_i[0, 1:5] = [1, 0, np.nan, np.inf]
    view = PairObservations([holed], CENTER).sample(0, 1)
    assert not view.weight[0, :5].any()
    assert not view.points[0, :, :5].any()
    assert (view.weight[0, 5:] > 0).all()


def test_flow_has_weight_where_it_is_known_and_static():
    flowing = replace(PAIRS[0], flow=PAIRS[0].flow.copy())
    flowing.flow[0, 0] = np.nan
    moving = np.zeros((32, 48), np.bool_)
    moving[0, 1] = True
    view = PairObservations([flowing], CENTER).sample(0, 1, moving)
    assert view.flow_weight[0, :3].tolist() == [0, 0, 1]
    here = view.offset_px[:, 2] + flowing.flow[0, 2]
    np.testing.assert_allclose(view.flow_px[0, :, 2], here, atol=1e-5)
