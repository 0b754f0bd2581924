# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.stream.smooth_field import KNOTS, evaluate_field, fit_field


def places(count=300):
    return np.random.default_rng(0).uniform(0, 1, (count, 2))


def plane(at):
    return 0.2 * at[:, 0] - 0.1 * at[:, 1]


def truth(shape):
    rows, columns = ((np.arange(size) + 0.5) / size for size in shape)
    return 0.2 * columns[None] - 0.1 * rows[:, None]


def test_a_smooth_field_is_found():
    knots = fit_field(places(), plane(places()), np.full(300, 0.02**2))
    assert knots.shape == KNOTS[::-1]
    field = evaluate_field(knots, (48, 64))
    assert field.dtype == np.float32
    np.testing.assert_allclose(field, truth((48, 64)), atol=0.01)


def test_places_that_are_far_off_hardly_count():
    values = plane(places())
    values[::6] += 2
    field = evaluate_field(fit_field(places(), values, np.full(300, 0.02**2)), (48, 64))
    np.testing.assert_allclose(field, truth((48, 64)), atol=0.05)


def test_where_nothing_is_known_there_is_no_field():
    left = places() * (0.3, 1)
    field = evaluate_field(fit_field(left, np.full(300, 0.1), np.full(300, 0.02**2)), (48, 64))
    assert field[:, :12] == pytest.approx(0.1, abs=0.02)
    np.testing.assert_array_equal(field[:, 44:], 0)


def test_one_uncertain_place_says_little():
    field = evaluate_field(fit_field(places(1), np.array([1.0]), np.array([0.5])), (48, 64))
    assert 0 < np.abs(field).max() < 0.1
