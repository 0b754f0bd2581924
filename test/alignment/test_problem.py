# SPDX-License-Identifier: Apache-2.0
"""The linearised problem against the plain reference of the objective."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.room import CAMERA, pairs, walk
from videodepth_ros.alignment.global_alignment import align
from videodepth_ros.alignment.options import AlignmentOptions
from videodepth_ros.alignment.pairs import clip_graph
from videodepth_ros.alignment.reference import published_cost

EVERY_PIXEL = AlignmentOptions(camera=CAMERA, max_pixels=48 * 32, function_tolerance=1e-7)


@pytest.mark.parametrize('flow', [False, True])
def test_the_solver_reports_the_published_objective(flow):
    noisy = pairs(walk(5), clip_graph(5), noise=0.02, flow=flow)
    found = align(noisy, EVERY_PIXEL)
    reference = published_cost(noisy, found)
    assert found.cost.data == pytest.approx(reference.data, rel=1e-3)  # depths passed further
    assert found.cost.prior == pytest.approx(reference.prior, rel=1e-3)
    assert found.cost.flow == pytest.approx(reference.flow, rel=0.02, abs=1e-6)


def test_a_subsampled_grid_has_nearly_the_same_minimum():
    noisy = pairs(walk(5), clip_graph(5), noise=0.02)
    full = published_cost(noisy, align(noisy, EVERY_PIXEL)).total
    thin = published_cost(noisy, align(noisy, replace(EVERY_PIXEL, max_pixels=384))).total
    assert full <= thin * (1 + 1e-4)
    assert thin < 1.005 * full


@pytest.mark.parametrize('times', [1e-3, 8, 1e4])
def test_the_unit_of_the_pairs_does_not_matter_without_smoothing(times):
    options = replace(EVERY_PIXEL, rotation_smoothing=0, translation_smoothing=0)
    noisy = pairs(walk(4), clip_graph(4), noise=0.02)
    larger = [
        replace(one, points_i=times * one.points_i, points_j=times * one.points_j) for one in noisy
    ]
    one, other = align(noisy, options), align(larger, options)
    np.testing.assert_allclose(
        other.T_world_cam[:, :3, 3] / times, one.T_world_cam[:, :3, 3], atol=2e-4
    )
