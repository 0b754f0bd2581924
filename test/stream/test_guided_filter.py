# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from videodepth_ros.stream.guided_filter import guided_filter
from videodepth_ros.stream.options import GuidedFilterOptions

SMALL, FULL = (48, 64), (96, 128)
NO_GAIN = GuidedFilterOptions(edge_gain=0)


def coordinates(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres of a map as shares of its height and width."""
    rows, columns = np.indices(shape, np.float32)
    return (rows + 0.5) / shape[0], (columns + 0.5) / shape[1]


def plane(shape: tuple[int, int]) -> np.ndarray:
    """Inverse depth of a plane, which is affine in the pixel."""
    down, right = coordinates(shape)
    return np.float32(0.2 + 0.5 * down + 0.1 * right)


def two_sides(shape: tuple[int, int], edge: float) -> np.ndarray:
    """Dark on the left of an edge, bright on its right."""
    grey = np.where(coordinates(shape)[1] < edge, 60, 180).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def blurred_step(edge: float) -> np.ndarray:
    """Inverse depth 1 on the left of an edge and 0.25 on its right, as a small network has it."""
    step = np.where(coordinates(SMALL)[1] < edge, 1, 0.25).astype(np.float32)
    return cv2.blur(step, (7, 7))


@pytest.mark.parametrize('texture', [0, 20])
def test_a_plane_stays_a_plane_up_to_the_border(texture):
    image = np.random.default_rng(0).integers(100, 101 + texture, (*FULL, 3)).astype(np.uint8)
    full, true = guided_filter(plane(SMALL), image, FULL), plane(FULL)
    assert np.abs(full / true - 1).max() < 0.05  # the last pixels lie beyond the last sample
    assert np.abs(full / true - 1)[4:-4, 4:-4].max() < (0.012 if texture else 1e-4)


@pytest.mark.parametrize('edge', [0.4, 0.47, 0.5])
def test_an_edge_is_where_the_image_has_it(edge):
    full = guided_filter(blurred_step(edge), two_sides(FULL, edge), FULL)
    change = -np.diff(full[FULL[0] // 2])
    place = round(edge * FULL[1])
    assert change.argmax() == place - 1
    assert change.max() > 0.4 * 0.75  # 0.05 in a map that is just interpolated
    assert full[:, place + 10 :].max() < 0.34
    assert full[:, : place - 10].min() > 0.88


def test_no_pixel_leaves_the_range_of_the_samples_around_it():
    rng = np.random.default_rng(0)
    small = rng.uniform(0, 1, SMALL).astype(np.float32)
    small[:10] = 0  # sky
    full = guided_filter(small, rng.integers(0, 256, (*FULL, 3)).astype(np.uint8), FULL)
    assert full.min() >= 0
    assert full.max() <= 1
    assert not full[:12].any()  # two pixels a sample, and windows reach three samples


def test_a_soft_edge_becomes_steeper():
    """A grey image has no edges to guide by."""
    grey, small = np.full((*FULL, 3), 128, np.uint8), blurred_step(0.5)
    between = [
        np.count_nonzero((full > 0.3) & (full < 0.95))
        for full in (guided_filter(small, grey, FULL, NO_GAIN), guided_filter(small, grey, FULL))
    ]
    assert between[1] < 0.9 * between[0]


def test_edges_beside_sky_stay_soft():
    """Between near and infinitely far the middle is no border."""
    grey, small = np.full((*FULL, 3), 128, np.uint8), blurred_step(0.5)
    small = np.maximum((small - 0.25) / 0.75, 1e-3)
    at_edge = np.s_[:, FULL[1] // 2 - 2 : FULL[1] // 2 + 2]
    np.testing.assert_allclose(
        guided_filter(small, grey, FULL)[at_edge],
        guided_filter(small, grey, FULL, NO_GAIN)[at_edge],
        rtol=1e-4,
    )


def test_a_large_image_costs_no_more():
    large = two_sides((960, 1280), 0.5)
    assert guided_filter(blurred_step(0.5), large, large.shape[:2]).shape == (144, 192)


def test_edges_are_guided_at_the_size_of_the_network_too():
    small = blurred_step(0.5)
    same_size = guided_filter(small, two_sides(FULL, 0.5), SMALL)
    assert same_size.shape == SMALL
    assert np.abs(np.diff(same_size)).max() > 2 * np.abs(np.diff(small)).max()


def test_an_image_that_is_no_finer_changes_nothing():
    small = blurred_step(0.5)
    np.testing.assert_array_equal(guided_filter(small, two_sides(SMALL, 0.5), SMALL), small)
