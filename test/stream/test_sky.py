# SPDX-License-Identifier: Apache-2.0
"""Sky: what is connected with pixels at infinity and has their colour."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.frames import ScaleSource
from videodepth_ros.stream.scale import Scale
from videodepth_ros.stream.sky import find_sky, without_sky

SCALE = Scale(100.0, ScaleSource.INTRINSICS)  # nominal: 100 / Z
HEIGHT, WIDTH = 96, 128


@pytest.fixture
def street():
    """Return inverse depth, image and sky: half of it at infinity, half at 30 m; a white wall."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image[:40] = (170, 190, 230)
    image[:40] += np.random.default_rng(0).integers(0, 8, (40, WIDTH, 3), np.uint8)
    image[20:40, 90:] = 245
    depth_m = np.full((HEIGHT, WIDTH), 10.0)
    depth_m[:40] = 30.0
    depth_m[:40, :60] = np.inf
    sky = np.zeros((HEIGHT, WIDTH), bool)
    sky[:40] = True
    sky[20:40, 90:] = False
    return (100 / depth_m).astype(np.float32), image, sky


def test_sky_at_a_finite_depth_is_found_and_walls_are_not(street):
    inverse_depth, image, sky = street
    found = find_sky(inverse_depth, image, SCALE)
    assert found[sky].mean() > 0.97
    assert found[~sky].mean() < 0.01
    without = without_sky(inverse_depth, image, SCALE)
    assert (without[found] == 0).all()
    np.testing.assert_array_equal(without[~found], inverse_depth[~found])


def test_an_image_of_another_size_gives_the_same(street):
    inverse_depth, image, _ = street
    large = image.repeat(3, axis=0).repeat(3, axis=1)
    assert (find_sky(inverse_depth, large, SCALE) == find_sky(inverse_depth, image, SCALE)).all()


def test_there_is_no_sky_without_pixels_at_infinity(street):
    inverse_depth, image, _ = street
    indoors = np.maximum(inverse_depth, np.float32(1))
    assert not find_sky(indoors, image, SCALE).any()
    assert without_sky(indoors, image, SCALE) is indoors


def test_what_is_near_never_is_sky(street):
    inverse_depth, image, _ = street
    inverse_depth[:40, 60:] = 100 / 2
    assert not find_sky(inverse_depth, image, SCALE)[:, 60:].any()


@pytest.fixture
def lane():
    """Return inverse depth, image and sky: a white sky that the network puts at the lane's end."""
    rng = np.random.default_rng(0)
    image = rng.integers(60, 140, (HEIGHT, WIDTH, 3), np.uint8)
    depth_m = np.full((HEIGHT, WIDTH), 5.0)
    depth_m[20:60, 45:75] = 9.0
    sky = np.zeros((HEIGHT, WIDTH), bool)
    sky[:30, 50:70] = True
    image[sky] = 254
    depth_m[sky] = 8.5
    return (100 / depth_m).astype(np.float32), image, sky


def test_overexposed_sky_between_walls_is_found(lane):
    inverse_depth, image, sky = lane
    found = find_sky(inverse_depth, image, SCALE)
    assert found[sky].mean() > 0.85  # its border is blurred
    assert found[~sky].mean() < 0.01


@pytest.mark.parametrize('place', ['nearer than the rest', 'below the border', 'everywhere'])
def test_what_is_overexposed_need_not_be_sky(lane, place):
    inverse_depth, image, sky = lane
    if place == 'nearer than the rest':
        inverse_depth[sky] = 100 / 5.0
    elif place == 'below the border':
        image[:4] = 90
    else:
        image[:, WIDTH // 2 :] = 255
    assert not find_sky(inverse_depth, image, SCALE).any()


def test_arches_divide_a_sky_that_is_seen(lane):
    inverse_depth, image, _ = lane
    image[:4] = image[14:18] = 90
    inverse_depth[4:14, 50:70] = 0
    found = find_sky(inverse_depth, image, SCALE)
    assert found[5:13, 51:69].all()
    assert found[20:29, 51:69].all()
