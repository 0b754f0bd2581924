# SPDX-License-Identifier: Apache-2.0
"""Depth of a second camera is registered to the colour images."""

from __future__ import annotations

import numpy as np
import pytest

from bench.registration import Registration, edge_points, edge_strength, register, registered_depth
from videodepth_ros.geometry.camera import Intrinsics

CAMERA = Intrinsics(160, 120, 140.0, 140.0, 79.5, 59.5)
TRUE = Registration(0.9, -0.025, 0.0, 2.0, -1.0)


def boxes(seed, registration=None):
    """Return depth (H, W) and image (H, W, 3) of boxes before a wall.

    registration  of the colour camera that sees them; None: the depth camera does
    """
    rng = np.random.default_rng(seed)
    depth_m, image = np.full((120, 160), 4.0), np.full((120, 160, 3), 90, np.uint8)
    for _ in range(6):
        z = rng.uniform(1, 2.5)
        corner = rng.uniform([-0.5, -0.4], [0.3, 0.2]) * z
        points = np.array([[*corner, z], [*(corner + rng.uniform(0.15, 0.3, 2) * z), z]])
        (left, top), (right, bottom) = (
            np.rint((registration or Registration()).project(points, CAMERA)).astype(int).clip(0)
        )
        window = slice(top, bottom), slice(left, right)
        nearer = depth_m[window] > z
        depth_m[window][nearer] = z
        image[window][nearer] = rng.integers(150, 255, 3)
    return depth_m, image


def test_registration_is_found_by_edges():
    depths = [boxes(seed)[0] for seed in range(6)]
    images = [boxes(seed, TRUE)[1] for seed in range(6)]
    points = [edge_points(depth, CAMERA) for depth in depths]
    found = register(points, [edge_strength(image) for image in images], CAMERA)
    every = np.concatenate(points)
    error_px = np.linalg.norm(found.project(every, CAMERA) - TRUE.project(every, CAMERA), axis=1)
    assert np.percentile(error_px, 95) < 1
    assert found.focal_ratio == pytest.approx(TRUE.focal_ratio, abs=0.02)
    assert found.x_m == pytest.approx(TRUE.x_m, abs=0.01)


def test_registered_depth_is_that_of_the_colour_camera():
    seen = registered_depth(boxes(1)[0], TRUE, CAMERA)
    true = boxes(1, TRUE)[0]
    known = seen > 0
    assert known.mean() > 0.7
    assert (np.abs(seen - true)[known] < 0.01).mean() > 0.95
