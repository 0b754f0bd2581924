# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.align3r_input import (
    CropWindow,
    network_image,
    network_point_map,
    network_window,
    point_map_from_depth,
    point_map_from_disparity,
    resampling_matrix,
)


def depth(height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).uniform(2, 9, (height, width)).astype(np.float32)


@pytest.mark.parametrize(
    ('camera', 'window'),
    [
        ((1920, 1080), CropWindow(512, 288, 0, 0, 512, 288)),
        ((640, 480), CropWindow(512, 384, 0, 0, 512, 384)),
        ((480, 640), CropWindow(384, 512, 0, 0, 384, 512)),
        ((848, 480), CropWindow(512, 290, 0, 1, 512, 288)),
        ((1242, 375), CropWindow(512, 155, 0, 5, 512, 144)),
        ((300, 300), CropWindow(512, 512, 0, 64, 512, 384)),
    ],
)
def test_windows_of_cameras(camera, window):
    assert network_window(*camera) == window


@given(st.integers(40, 3000), st.integers(40, 3000), st.sampled_from([224, 512]))
def test_a_window_lies_in_the_middle_and_is_made_of_patches(width, height, long_side_px):
    try:
        window = network_window(width, height, long_side_px)
    except InputError:
        assert max(width, height) / min(width, height) > long_side_px / 17
        return
    assert window.width % 16 == window.height % 16 == 0
    assert max(window.resized_width, window.resized_height) == long_side_px
    for rest, before in (
        (window.resized_width - window.width, window.left),
        (window.resized_height - window.height, window.top),
    ):
        assert 0 <= rest - 2 * before <= 1


def test_a_camera_is_cut_like_its_image():
    camera = Intrinsics(848, 480, 420.0, 421.0, 430.0, 236.0)
    window = network_window(848, 480)
    found, whole = window.camera(camera), camera.scaled_to(512, 290)
    assert (found.width, found.height) == (512, 288)
    assert (found.fx, found.cx, found.fy, found.cy) == (whole.fx, whole.cx, whole.fy, whole.cy - 1)


@pytest.mark.parametrize(
    ('source', 'target'),
    [  # as Pillow 13 resizes them
        ([0, 37, 148, 77, 80, 157, 52, 21, 64, 181, 116, 125], [45, 112, 78, 76, 143]),
        ([0, 37, 148, 77], [0, 7, 32, 99, 148, 103, 71]),
    ],
)
def test_resampling_is_that_of_training(source, target):
    found = resampling_matrix(len(source), len(target)) @ np.array(source, np.float32)
    assert_array_equal(found.round().clip(0, 255), target)


def test_an_image_of_the_right_size_is_only_normalised():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    found = network_image(image, CropWindow(64, 48, 0, 0, 64, 48))
    assert found.dtype == np.float32
    assert_allclose(found, (image.transpose(2, 0, 1) / 255 - 0.5) / 0.5, atol=1e-6)
    assert found.flags.c_contiguous


def test_image_and_point_map_show_the_same_part():
    """A bright half in the image stays where the far half of the depth is."""
    image, far = np.zeros((375, 1242, 3), np.uint8), np.ones((375, 1242), np.float32)
    image[200:, 700:], far[200:, 700:] = 255, 2
    window = network_window(1242, 375, 256)
    seen = network_image(image, window)[0]
    z = network_point_map(point_map_from_depth(far), window)[..., 2]
    assert seen.shape == z.shape == (64, 256)
    assert ((seen > 0) == (z > 0.5)).mean() > 0.99


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(InputError, match='uint8'):
        network_image(image, network_window(640, 480))


def test_a_point_map_is_the_lifted_depth_with_each_axis_from_zero_to_one():
    z = depth()
    for focal in (200.0, 731.0):  # no focal length has an effect
        v, u = np.mgrid[:30, :40]
        lifted = np.stack([(u - 20) * z / focal, (v - 15) * z / focal, z], axis=-1)
        low, high = lifted.min(axis=(0, 1)), lifted.max(axis=(0, 1))
        assert_allclose(point_map_from_depth(z), (lifted - low) / (high - low), atol=1e-6)


def test_neither_unit_nor_focal_length_matters():
    assert_allclose(point_map_from_depth(10 * depth()), point_map_from_depth(depth()), atol=1e-6)


def test_a_disparity_is_not_inverted():
    disparity = depth()
    disparity[:10] = 0  # sky
    found = point_map_from_disparity(disparity)
    assert_allclose(found[..., 2], disparity / disparity.max(), atol=1e-6)
    assert (found[:10, :, 2] == 0).all()


def test_sky_is_part_of_the_range_as_in_the_release():
    """Golden from the formula: unproject, minimum and maximum of each axis over all pixels."""
    z = depth()
    z[:10] = 10_000.0  # the largest depth of Depth Pro
    v, u = np.mgrid[:30, :40]
    points = np.stack([(u - 20) * z, (v - 15) * z, z], axis=-1).astype(np.float64)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    found = point_map_from_depth(z)
    assert_allclose(found, (points - low) / (high - low), atol=1e-6)
    assert np.median(found[10:, :, 2]) < 0.01
    infinite = np.where(z == 10_000.0, np.inf, z)
    infinite[0, 0] = 10_000.0
    assert_array_equal(point_map_from_depth(infinite), found)


@pytest.mark.parametrize('sky', [np.inf, 10_000.0])
def test_a_limit_keeps_sky_out_of_the_range(sky):
    z = depth()
    z[:10] = sky
    found = point_map_from_depth(z, far_m=400.0)
    wanted = depth()
    wanted[:10] = wanted[10:].max()
    assert_array_equal(found, point_map_from_depth(wanted))
    assert found[10:, :, 2].min() == 0
    assert found[10:, :, 2].max() == found[:10, :, 2].min() == 1


@pytest.mark.parametrize('unknown', [np.nan, 0.0, -1.0])
def test_a_hole_lies_as_far_as_its_rim(unknown):
    z, wanted = np.full((2, 30, 40), 3, np.float32)
    z[:, 20:], wanted[:, 20:] = 6, 6
    z[10:15, 5:10] = z[20, 39] = unknown
    assert_array_equal(point_map_from_depth(z), point_map_from_depth(wanted))


@given(
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0, 1e30]),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 2.0, 401.0]),
)
def test_no_prior_makes_a_point_map_that_is_not_finite(a, b):
    z = np.full((8, 9), a, np.float32)
    z[3, 4] = b
    for points in (point_map_from_depth(z), point_map_from_disparity(z)):
        assert points.dtype == np.float32
        assert np.isfinite(points).all()
        assert points.min() >= 0
        assert points.max() <= 1


def test_what_is_no_prior_is_refused():
    with pytest.raises(InputError, match='depth prior'):
        point_map_from_depth(np.ones((4, 4, 1), np.float32))
