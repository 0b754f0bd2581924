# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from bench.room import CAMERA, pairs, walk
from videodepth_ros.alignment.initialization import initialize_state
from videodepth_ros.alignment.observations import PairObservations
from videodepth_ros.alignment.pairs import clip_graph
from videodepth_ros.core.errors import InputError


def guess(edges, focal=None, frames=5, noise=0.0):
    observations = PairObservations(
        pairs(walk(frames), edges, noise=noise), (CAMERA.cx, CAMERA.cy)
    )
    views = [observations.sample(n, 2) for n in range(observations.frame_count)]
    return initialize_state(observations, views, focal, 1.0, shared_focal=False)


@pytest.mark.parametrize('edges', [clip_graph(5), [(0, 1), (0, 2), (3, 2), (0, 3), (1, 4)]])
def test_exact_pairs_initialize_exactly(edges):
    state = guess(edges, CAMERA.fx)
    relative = state.cameras[0].inverse() @ state.cameras
    truth = np.linalg.inv(walk(5)[0]) @ walk(5)
    np.testing.assert_allclose(relative.rotation, truth[:, :3, :3], atol=1e-4)
    scale = np.linalg.norm(relative.translation[1:]) / np.linalg.norm(truth[1:, :3, 3])
    np.testing.assert_allclose(relative.translation, scale * truth[:, :3, 3], atol=1e-3)


def test_the_focal_length_is_estimated_from_the_point_maps():
    np.testing.assert_allclose(np.exp(guess(clip_graph(5)).log_focal), CAMERA.fx, rtol=1e-4)
    np.testing.assert_allclose(
        np.exp(guess(clip_graph(5), noise=0.05).log_focal), CAMERA.fx, rtol=1e-2
    )


def test_disconnected_frames_are_named():
    with pytest.raises(InputError, match=r'frames \[3, 4\]'):
        guess([(0, 1), (1, 2), (3, 4)])
