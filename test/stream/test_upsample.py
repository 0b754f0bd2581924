# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from videodepth_ros.stream.upsample import find_discontinuities, resize_nearest, upsample

RATIO = 1.25


def step_edge(blurred: bool = False) -> np.ndarray:
    inverse_depth = np.full((12, 16), 20, np.float32)
    inverse_depth[:, 8:] = 50
    if blurred:
        inverse_depth[:, 8] = 35
    return inverse_depth


def test_a_plane_is_upsampled_exactly():
    rows, columns = np.mgrid[0:60, 0:80].astype(np.float32)
    plane = 20 + 0.05 * columns + 0.03 * rows  # inverse depth of a plane is affine in the pixel
    full = upsample(plane, find_discontinuities(plane, RATIO), 320, 240)
    fine_rows, fine_columns = (np.mgrid[0:240, 0:320].astype(np.float32) + 0.5) / 4 - 0.5
    inner = np.s_[4:-4, 4:-4]
    np.testing.assert_allclose(
        full[inner], (20 + 0.05 * fine_columns + 0.03 * fine_rows)[inner], rtol=1e-5
    )  # float32 weights of the resize


def test_no_depth_is_invented_across_a_jump():
    edge = step_edge()
    full = upsample(edge, find_discontinuities(edge, RATIO), 67, 41)
    assert set(np.unique(full)) == {20, 50}
    bilinear = cv2.resize(edge, (67, 41))
    assert ((bilinear > 21) & (bilinear < 49)).any()


def test_what_hangs_between_two_surfaces_is_unknown():
    edge = step_edge(blurred=True)
    full = upsample(edge, find_discontinuities(edge, RATIO), 64, 48)
    assert np.isnan(full).any()
    assert set(np.unique(full[np.isfinite(full)])) == {20, 50}
    unresized = upsample(edge, find_discontinuities(edge, RATIO), 16, 12)
    np.testing.assert_array_equal(np.isnan(unresized), edge == 35)


def test_ratio_one_keeps_every_pixel():
    edge = step_edge(blurred=True)
    full = upsample(edge, find_discontinuities(edge, 1), 64, 48)
    np.testing.assert_array_equal(full, cv2.resize(edge, (64, 48)))


def test_the_sky_has_an_edge_too():
    sky = step_edge()
    sky[:, :8] = 0
    full = upsample(sky, find_discontinuities(sky, RATIO), 67, 41)
    assert set(np.unique(full)) == {0, 50}


@pytest.mark.parametrize('size', [(64, 48), (37, 21), (16, 12), (9, 5)])
def test_nearest_takes_the_nearest_pixel_centre(size):
    values = np.arange(12 * 16).reshape(12, 16)
    resized = resize_nearest(values, *size)
    assert resized.shape == size[::-1]
    for row, column in [(0, 0), (size[1] - 1, size[0] - 1), (size[1] // 2, size[0] // 3)]:
        y, x = (row + 0.5) * 12 / size[1] - 0.5, (column + 0.5) * 16 / size[0] - 0.5
        centres = np.array([abs(y - r) + abs(x - c) for r in range(12) for c in range(16)])
        assert centres[resized[row, column]] == pytest.approx(centres.min())
