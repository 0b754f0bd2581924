# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np

from test.support.film import texture
from videodepth_ros.sfm.matching import carried_over, matched
from videodepth_ros.sfm.place_recognition import candidates, features_of

K = np.array([[200.0, 0, 80], [0, 200, 60], [0, 0, 1]])


def crop(seed, left=100, top=100):
    return np.ascontiguousarray(texture(seed)[top : top + 120, left : left + 160]).astype(np.uint8)


def test_a_place_is_found_among_others_in_other_light():
    images = [crop(seed) for seed in range(10)]
    images.append(cv2.convertScaleAbs(crop(2, left=110, top=104), alpha=0.6, beta=30))
    found = candidates(range(0, 66, 6), [features_of(image) for image in images], 24)
    assert next(edge for edge in found if edge[1] == 60) == (12, 60)
    assert all(j - i >= 24 for i, j in found)
    assert max(sum(edge[1] == j for edge in found) for j in range(66)) <= 2


def test_frames_without_features_are_alike_to_none():
    blank = features_of(np.full((120, 160), 99, np.uint8))
    assert candidates(range(0, 60, 6), [blank] * 10, 24) == []
    assert matched(blank, blank, K) is None


def test_points_are_found_to_a_part_of_a_pixel_though_turned_and_grown():
    image = crop(4)
    turn = cv2.getRotationMatrix2D((80, 60), 15, 1.25)
    other = cv2.warpAffine(image, turn, (160, 120), borderMode=cv2.BORDER_REFLECT)
    at, there = matched(features_of(image), features_of(other), K)
    grid = np.stack(np.meshgrid(np.arange(40, 120, 8), np.arange(30, 90, 8)), -1)
    pixel = grid.reshape(-1, 2).astype(np.float32)
    found, good = carried_over(image, other, pixel, at, there)
    assert good.mean() > 0.7
    error = np.linalg.norm(found - (pixel @ turn[:, :2].T + turn[:, 2]), axis=1)
    assert np.quantile(error[good], 0.9) < 0.3


def test_places_of_nothing_in_common_do_not_match():
    assert matched(features_of(crop(1)), features_of(crop(7)), K) is None
