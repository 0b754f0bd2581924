# SPDX-License-Identifier: Apache-2.0
"""The shares of ``python -m bench.obstacles``: exact depth has none, wrong depth all."""

from __future__ import annotations

import numpy as np
import pytest

from bench.obstacles import PARAMETERS, View, above_ground, detected, measure, shares
from test.support.boxes import CAMERA, BoxScene, camera_at

BOX = np.array([[[1.4, -0.5, 0.0], [1.9, 0.5, 0.6]]])


def views(factor: float) -> list[View]:
    """Return views of a box whose depth is wrong by a factor, the ground being right."""
    found = []
    for k in range(16):
        pose = camera_at(0.5, 10.0, 0.01 * k)
        truth_m, owner = BoxScene(BOX).cast(pose)
        depth_m = np.where(owner == 0, factor * truth_m, truth_m).astype(np.float32)
        T_base_cam = above_ground(pose, np.array([0.0, 0.0, 1.0]), 0.0)
        found.append(View(k * 10**8, depth_m, None, truth_m, CAMERA, T_base_cam, pose))
    return found


def test_exact_depth_has_no_phantom_and_misses_nothing():
    found = measure(views(1.0), PARAMETERS)
    for name in ('obstacles', 'unfiltered', 'points'):
        assert found[name]['marked'] > 0
        assert found[name]['true'] > 0
        assert found[name]['phantom'] < 0.02
        assert found[name]['missed'] < 0.02


@pytest.mark.parametrize('factor', [0.7, 1.5])
def test_wrong_depth_misses_the_box(factor):
    wrong = views(factor)
    found = shares(wrong, detected(wrong, PARAMETERS))
    assert found['missed'] > 0.9
    assert found['phantom'] == pytest.approx(1.0 if factor < 1 else 0.0, abs=0.1)
