# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from videodepth_ros.alignment.ray_depth import depth_confidence, weiszfeld_depth

P = 50
RNG = np.random.default_rng(5)
RAYS = np.concatenate([RNG.uniform(-0.5, 0.5, (2, P)), np.ones((1, P))]).astype(np.float32)
SEEN = (RNG.uniform(1, 3, (1, P)) * RAYS + 0.1 * RNG.normal(size=(6, 3, P))).astype(np.float32)
WEIGHT = RNG.uniform(0.1, 3, (6, P)).astype(np.float32)


def cost(depth):
    return (WEIGHT * np.linalg.norm(depth * RAYS - SEEN, axis=1)).sum(axis=0)


def test_no_depth_on_a_fine_grid_is_better():
    found = cost(weiszfeld_depth(RAYS, SEEN, WEIGHT, 30))
    grid = np.linspace(0.5, 3.5, 3001, dtype=np.float32)
    best = np.min([cost(depth) for depth in grid], axis=0)
    assert (found <= best * (1 + 1e-4)).all()


def test_every_iteration_descends():
    costs = [cost(weiszfeld_depth(RAYS, SEEN, WEIGHT, iterations)) for iterations in range(1, 8)]
    assert (np.diff(costs, axis=0) <= 1e-5).all()


def test_iterations_resume_from_an_initial_depth():
    half = weiszfeld_depth(RAYS, SEEN, WEIGHT, 4)
    np.testing.assert_array_equal(
        weiszfeld_depth(RAYS, SEEN, WEIGHT, 4, half), weiszfeld_depth(RAYS, SEEN, WEIGHT, 8)
    )


def test_pixels_without_weight_are_unknown_or_keep_their_depth():
    weight = WEIGHT.copy()
    weight[:, :7] = 0
    assert np.isnan(weiszfeld_depth(RAYS, SEEN, weight, 5)[:7]).all()
    start = np.full(P, 9, np.float32)
    np.testing.assert_array_equal(weiszfeld_depth(RAYS, SEEN, weight, 5, start)[:7], 9)


def test_confidence_is_the_support_of_near_point_maps():
    ray = np.array([[0], [0], [1]], np.float32)
    depth = np.float32([2])
    seen = np.float32([[[0], [0], [2]], [[0], [0], [2.05]], [[0], [0], [3]], [[0.3], [0], [2]]])
    weight = np.log(np.float32([[2], [4], [100], [100]]))
    support = (0.5 + 0.75 + 0 + 0) / 4  # 1 - 1 / C of the two that are near
    np.testing.assert_allclose(depth_confidence(depth, ray, seen, weight), [support], rtol=1e-6)


def test_an_unknown_depth_has_no_confidence():
    unknown = np.full(P, np.nan, np.float32)
    np.testing.assert_array_equal(depth_confidence(unknown, RAYS, SEEN, WEIGHT), np.zeros(P))
