# SPDX-License-Identifier: Apache-2.0
"""Obstacles in 50 scenes of boxes on a plane: truth depth with 3 % noise."""

from __future__ import annotations

import numpy as np
import pytest

from test.support.boxes import CAMERA, BoxScene, camera_at, noisy, random_boxes
from videodepth_ros.obstacles.detector import ObstacleDetector
from videodepth_ros.obstacles.options import ObstacleParameters
from videodepth_ros.scale.mount import mount_from_transform

pytestmark = pytest.mark.slow

PARAMETERS = ObstacleParameters()
SCENES, FRAMES, NOISE = 50, 2, 0.03
LEAST_PX = 40  # of a box that counts as seen


def views(scene: BoxScene, rng: np.random.Generator):
    """Yield points (P, 3) in the map, and the box of each pixel, of frames of a moving camera."""
    height_m = rng.uniform(0.2, 1.2)
    pitch_deg = rng.uniform(0, 12) + (8 if height_m > 0.6 else 0)
    detector = ObstacleDetector()
    for k in range(FRAMES):
        pose = camera_at(height_m, pitch_deg, 0.05 * k)
        depth_m, owner = scene.cast(pose)
        found = detector.step(
            noisy(depth_m, rng, NOISE),
            CAMERA,
            (k + 1) * 10**8,
            mount_from_transform(pose),
            PARAMETERS,
            pose,
        )
        assert found is not None
        yield found.points_m @ pose[:3, :3].T + pose[:3, 3], owner


def test_boxes_are_found():
    found = total = 0
    for seed in range(SCENES):
        rng = np.random.default_rng(seed)
        scene = random_boxes(rng, int(rng.integers(1, 5)))
        for points, owner in views(scene, rng):
            for k, (low, high) in enumerate(scene.boxes):
                if np.count_nonzero(owner == k) >= LEAST_PX:
                    outside = np.maximum(low - points, points - high).max(axis=1)
                    total += 1
                    found += bool((outside < 0.2).any())
    assert total > 150
    assert found >= 0.99 * total


def test_plain_ground_has_no_phantoms():
    plain = BoxScene(np.empty((0, 2, 3)))
    cells = 0
    for seed in range(SCENES):
        for points, _ in views(plain, np.random.default_rng(seed)):
            cells += len(np.unique(np.floor(points[:, :2] / 0.1), axis=0))
    assert cells <= 0.02 * SCENES * FRAMES
