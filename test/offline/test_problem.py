# SPDX-License-Identifier: Apache-2.0
"""The linearised problem against the plain reference of the objective."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.room import CAMERA, pairs, walk
from videodepth_ros.offline.alignment import Settings, align
from videodepth_ros.offline.objective import published_cost
from videodepth_ros.offline.pairs import clip_graph

EVERY_PIXEL = Settings(camera=CAMERA, pixels=48 * 32, tolerance=1e-7)


@pytest.mark.parametrize('flow', [False, True])
def test_the_solver_reports_the_published_objective(flow):
    noisy = pairs(walk(5), clip_graph(5), noise=0.02, flow=flow)
    found = align(noisy, EVERY_PIXEL)
    reference = published_cost(noisy, found)
    assert found.cost.data == pytest.approx(reference.data, rel=1e-3)   # depths passed further
    assert found.cost.prior == pytest.approx(reference.prior, rel=1e-3)
    assert found.cost.flow == pytest.approx(reference.flow, rel=0.02, abs=1e-6)


def test_a_thinned_grid_finds_nearly_the_same_minimum():
    noisy = pairs(walk(5), clip_graph(5), noise=0.02)
    full = published_cost(noisy, align(noisy, EVERY_PIXEL)).total
    thin = published_cost(noisy, align(noisy, replace(EVERY_PIXEL, pixels=384))).total
    assert full <= thin * (1 + 1e-4)
    assert thin < 1.005 * full


def test_the_scale_of_the_pairs_does_not_matter_without_smoothing():
    settings = replace(EVERY_PIXEL, smoothing=0, translation_smoothing=0)
    noisy = pairs(walk(4), clip_graph(4), noise=0.02)
    larger = [replace(one, points_i=8 * one.points_i, points_j=8 * one.points_j) for one in noisy]
    one, eight = align(noisy, settings), align(larger, settings)
    np.testing.assert_allclose(eight.T_world_cam[:, :3, 3] / 8, one.T_world_cam[:, :3, 3],
                               atol=1e-4)
