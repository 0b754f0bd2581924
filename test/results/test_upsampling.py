# SPDX-License-Identifier: Apache-2.0
"""Depth at the camera's size: planes stay planes, and edges lie where the image has them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.boundary import boundary_f1
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.results.upsampling import upsample_depth, upsample_maps
from videodepth_ros.stream.upsample import resize_nearest

SMALL, FULL = (64, 48), (160, 120)  # width, height


def plane(width, height, slope=(0.2, 0.4)):
    """Return the depth of a plane 3 m away, seen at some size."""
    camera = Intrinsics(160, 120, 140.0, 140.0, 79.5, 59.5).scaled_to(width, height)
    x = (np.arange(width) - camera.cx) / camera.fx
    y = (np.arange(height) - camera.cy) / camera.fy
    inverse = (1 + slope[0] * x[None, :] + slope[1] * y[:, None]) / 3
    return (1 / inverse).astype(np.float32)


def disc(width, height):
    y, x = np.mgrid[:height, :width] + 0.5
    return np.hypot(x / width - 0.47, (y / height - 0.52) * height / width) < 0.21


def scene():
    """Return true depth, the image, and the depth averaged to the small size."""
    front = disc(*FULL)
    depth_m = np.where(front, np.float32(1.0), plane(*FULL))
    image = np.where(front[..., None], [200, 60, 40], [50, 90, 120]).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 8, image.shape, np.uint8)
    small = 1 / cv2.resize(1 / depth_m, SMALL, interpolation=cv2.INTER_AREA)
    return depth_m, image + noise, small


def test_planes_are_exact():
    grey = np.full((FULL[1], FULL[0], 3), 120, np.uint8)
    grown = upsample_depth(plane(*SMALL), grey)
    inside = (slice(2, -2), slice(2, -2))  # there is nothing to interpolate with at the border
    np.testing.assert_allclose(grown[inside], plane(*FULL)[inside], rtol=1e-5)


def test_edges_lie_where_the_image_has_them_and_nothing_hangs_between():
    depth_m, image, small = scene()
    grown = upsample_depth(small, image)
    bilinear = 1 / cv2.resize(1 / small, FULL)
    assert boundary_f1(grown, depth_m) > 0.9
    assert boundary_f1(bilinear, depth_m) < 0.5
    in_mid_air = (grown > 1.15) & (grown < 0.9 * depth_m.max()) & (grown < 0.9 * plane(*FULL))
    assert in_mid_air.mean() < 0.001  # a sample that holds a tenth of the other side
    assert (np.abs(grown / depth_m - 1) > 0.05).mean() < 0.003


def test_a_slanted_surface_stays_a_plane_up_to_its_edge():
    depth_m, image, small = scene()
    grown = upsample_depth(small, image)
    behind = ~cv2.dilate(disc(*FULL).astype(np.uint8), np.ones((3, 3))).astype(bool)
    behind[:2] = behind[-2:] = behind[:, :2] = behind[:, -2:] = False
    off = np.abs(grown / depth_m - 1)[behind]
    assert np.percentile(off, 99) < 0.01


def test_unknown_stays_unknown_and_sky_stays_sky():
    small = plane(*SMALL)
    small[:12] = np.inf
    small[30:36, 20:28] = np.nan
    image = np.full((FULL[1], FULL[0], 3), 90, np.uint8)
    image[:30] = 230
    maps = upsample_maps(small, np.full(small.shape, 0.7, np.float32), None, image)
    np.testing.assert_array_equal(
        np.isnan(maps.depth_m), resize_nearest(np.isnan(small), *FULL).astype(bool)
    )
    np.testing.assert_array_equal(np.isposinf(maps.depth_m[:30]), True)
    assert np.isfinite(maps.depth_m[31:70]).all()
    assert (maps.confidence[np.isnan(maps.depth_m)] == 0).all()
    np.testing.assert_allclose(maps.confidence[~np.isnan(maps.depth_m)], 0.7, rtol=1e-5)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_map_of_nothing(value):
    small = np.full(SMALL[::-1], value, np.float32)
    grown = upsample_depth(small, np.zeros((FULL[1], FULL[0], 3), np.uint8))
    np.testing.assert_array_equal(grown, np.full(FULL[::-1], value, np.float32))


def test_what_moves_and_how_sure_it_is_go_with_their_surface():
    _, image, small = scene()
    front = small < 1.2
    maps = upsample_maps(small, np.where(front, np.float32(0.9), np.float32(0.3)), front, image)
    assert (maps.moving == disc(*FULL)).mean() > 0.995
    assert np.abs(maps.confidence[disc(*FULL)] - 0.9).mean() < 0.02


def test_maps_of_the_size_of_the_image_are_left_alone():
    depth_m, image, _ = scene()
    np.testing.assert_array_equal(upsample_depth(depth_m, image), depth_m)


def test_sizes_that_do_not_fit():
    with pytest.raises(InputError, match='64x48 cannot be upsampled to an image of 48x64'):
        upsample_depth(plane(*SMALL), np.zeros((64, 48, 3), np.uint8))


@pytest.mark.parametrize('sequence', ['rendered_house', 'rendered_livingroom', 'rendered_drive'])
def test_it_beats_plain_and_live_upsampling_on_real_pictures(root, sequence):
    folder = root.parent / 'shared' / 'data' / sequence
    if not folder.exists():
        pytest.skip('the shared sequences are not here')
    from videodepth_ros.stream.upsample import find_discontinuities, upsample

    pick = 20
    image = cv2.imread(str(sorted((folder / 'rgb').iterdir())[pick]))[..., ::-1]
    raw = cv2.imread(str(sorted((folder / 'depth').iterdir())[pick]), cv2.IMREAD_UNCHANGED)
    depth_m = np.where(raw > 0, raw, np.inf if 'drive' in sequence else np.nan).astype(np.float32)
    inverse = np.asarray(cv2.resize(1 / depth_m, (256, 192), interpolation=cv2.INTER_AREA))
    with np.errstate(divide='ignore'):
        grown = upsample_depth(1 / inverse, np.ascontiguousarray(image))
        known = np.nan_to_num(inverse)
        live = 1 / upsample(known, find_discontinuities(known, 1.25), 640, 480)
        bilinear = 1 / cv2.resize(inverse, (640, 480))
    judged = np.isfinite(depth_m) & np.isfinite(live) & np.isfinite(grown) & np.isfinite(bilinear)

    def error(predicted_m):
        return np.mean(np.abs(predicted_m - depth_m)[judged] / depth_m[judged])

    for other in (live, bilinear):
        assert error(grown) < 0.95 * error(other)
        assert boundary_f1(grown, depth_m) > 1.05 * boundary_f1(other, depth_m)
