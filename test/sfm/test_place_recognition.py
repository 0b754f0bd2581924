# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np

from test.support.film import texture
from videodepth_ros.sfm.matching import match_features, transfer_points
from videodepth_ros.sfm.place_recognition import extract_features, retrieve_loop_candidates

K = np.array([[200.0, 0, 80], [0, 200, 60], [0, 0, 1]])


def crop(seed, left=100, top=100):
    return np.ascontiguousarray(texture(seed)[top : top + 120, left : left + 160]).astype(np.uint8)


def test_a_place_is_found_among_others_in_other_light():
    images = [crop(seed) for seed in range(10)]
    images.append(cv2.convertScaleAbs(crop(2, left=110, top=104), alpha=0.6, beta=30))
    features = [extract_features(image) for image in images]
    found = retrieve_loop_candidates(range(0, 66, 6), features, 24)
    assert next(edge for edge in found if edge[1] == 60) == (12, 60)
    assert all(j - i >= 24 for i, j in found)
    assert max(sum(edge[1] == j for edge in found) for j in range(66)) <= 2


def test_frames_without_features_have_no_candidates():
    blank = extract_features(np.full((120, 160), 99, np.uint8))
    assert retrieve_loop_candidates(range(0, 60, 6), [blank] * 10, 24) == []
    assert match_features(blank, blank, K) is None


def test_points_are_transferred_to_subpixel_accuracy():
    image = crop(4)
    turn = cv2.getRotationMatrix2D((80, 60), 15, 1.25)
    other = cv2.warpAffine(image, turn, (160, 120), borderMode=cv2.BORDER_REFLECT)
    matches = match_features(extract_features(image), extract_features(other), K)
    grid = np.stack(np.meshgrid(np.arange(40, 120, 8), np.arange(30, 90, 8)), -1)
    pixel = grid.reshape(-1, 2).astype(np.float32)
    found, good = transfer_points(image, other, pixel, matches)
    assert good.mean() > 0.7
    error = np.linalg.norm(found - (pixel @ turn[:, :2].T + turn[:, 2]), axis=1)
    assert np.quantile(error[good], 0.9) < 0.3


def test_different_places_do_not_match():
    assert match_features(extract_features(crop(1)), extract_features(crop(7)), K) is None
