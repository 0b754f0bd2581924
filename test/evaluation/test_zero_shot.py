# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.boundary import boundary_f1
from videodepth_ros.evaluation.zero_shot import (
    ZeroShotImage,
    average_ranks,
    evaluate_mattes,
    evaluate_zero_shot,
    zero_shot_table,
)


def test_metrics_follow_their_definitions():
    truth = np.array([[1.0, 2.0, 4.0, np.nan, np.inf, 0.0, 90.0]])
    predicted = np.array([[1.2, 3.0, 12.0, 5.0, 5.0, 5.0, 1.0]])  # ratios 1.2, 1.5, 3
    row = evaluate_zero_shot('three', [ZeroShotImage(predicted, truth)], max_depth_m=80)
    found = row.metrics
    assert (row.dataset, row.images) == ('three', 1)
    assert (found.delta_1, found.delta_2, found.delta_3) == pytest.approx((1 / 3, 2 / 3, 2 / 3))
    assert found.abs_rel == pytest.approx((0.2 + 0.5 + 2) / 3)
    assert found.log10 == pytest.approx(np.log10([1.2, 1.5, 3]).mean())
    assert math.isnan(found.focal_25)


def test_nothing_is_aligned():
    truth = np.linspace(1, 9, 48).reshape(6, 8)
    image = ZeroShotImage(1.3 * truth, truth)
    found = evaluate_zero_shot('scaled', [image]).metrics
    assert found.delta_1 == 0
    assert found.delta_2 == 1
    assert found.abs_rel == pytest.approx(0.3)
    assert found.boundary_f1 == pytest.approx(boundary_f1(truth, truth))


def test_images_of_all_sizes_have_equal_weight():
    good, bad = np.full((2, 2), 3.0), np.full((20, 20), 3.0)
    images = [ZeroShotImage(good, good), ZeroShotImage(2 * bad, bad)]
    assert evaluate_zero_shot('two', images).metrics.delta_1 == 0.5


def test_unknown_pixels_are_misses_without_error():
    truth = np.full((1, 4), 2.0)
    found = evaluate_zero_shot(
        'gap', [ZeroShotImage(np.array([[2.0, np.nan, 0, np.inf]]), truth)]
    ).metrics
    assert (found.delta_1, found.abs_rel) == (0.25, 0)


def test_focal_lengths():
    flat = np.ones((2, 2))
    images = [ZeroShotImage(flat, flat, focal, 100.0) for focal in (80.0, 124.0, 140.0, 200.0)]
    found = evaluate_zero_shot('focal', [*images, ZeroShotImage(flat, flat)]).metrics
    assert (found.focal_25, found.focal_50) == (0.5, 0.75)


def test_mattes():
    depth = np.full((9, 9), 5.0)
    depth[3:6, 3:6] = 1
    row = evaluate_mattes('hair', [(depth, (depth < 2).astype(float))])
    assert row.metrics.boundary_recall == pytest.approx(1)
    assert math.isnan(row.metrics.delta_1)


def test_ranks():
    scores = np.array([[46.6, 41.5], [39.4, 87.7], [39.4, 25.3]])
    np.testing.assert_allclose(average_ranks(scores), [1.5, 1.75, 2.75])


def test_no_valid_pixel_is_an_error():
    with pytest.raises(InputError, match='2 images of void no pixel'):
        evaluate_zero_shot('void', 2 * [ZeroShotImage(np.ones((2, 2)), np.zeros((2, 2)))])
    with pytest.raises(InputError, match='hair has no images'):
        evaluate_mattes('hair', [])


def test_table():
    flat = np.ones((2, 2))
    rows = [
        evaluate_zero_shot('Sintel', [ZeroShotImage(flat, flat)]),
        evaluate_zero_shot('ETH3D', [ZeroShotImage(2 * flat, flat)]),
        evaluate_mattes('DIS', [(flat, flat)]),
    ]
    head, *lines = zero_shot_table(rows).splitlines()
    assert head.split()[:3] == ['images', 'delta_1', 'delta_2']
    assert lines[0].split()[:3] == ['Sintel', '1', '1.0000']
    assert lines[2].split()[:3] == ['DIS', '1', '-']
    assert lines[3].split()[:3] == ['mean', '3', '0.5000']
