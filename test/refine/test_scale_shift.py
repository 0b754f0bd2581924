# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from videodepth_ros.core.errors import InputError
from videodepth_ros.refine.scale_shift import ScaleShift, fit_scale_shift

FRAMES, HEIGHT, WIDTH = 4, 24, 32


def shot(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return relative inverse depth and its depth in metres, (N, H, W) float32 each."""
    random = np.random.default_rng(seed)
    metres = random.uniform(1, 10, (FRAMES, HEIGHT, WIDTH)).astype(np.float32)
    return (1 / metres - np.float32(0.3)) * np.float32(2.5), metres


def test_exact_depth_is_recovered():
    relative, metres = shot()
    anchor = fit_scale_shift(relative, list(metres))
    assert anchor.is_metric
    assert (anchor.scale, anchor.shift) == pytest.approx((0.4, 0.3), rel=1e-4)
    np.testing.assert_allclose([anchor.depth(one) for one in relative], metres, rtol=1e-3)


def test_a_third_of_outliers_and_frames_without_depth_do_no_harm():
    relative, metres = shot()
    known = metres.copy()
    known[:, ::3] = 0.5
    known[0, :, :9] = np.nan
    known[1, :4], known[1, 4:8] = 0, np.inf
    anchor = fit_scale_shift(relative, [known[0], known[1], None, known[3]])
    assert (anchor.scale, anchor.shift) == pytest.approx((0.4, 0.3), rel=0.02)


def test_a_thin_lidar_of_another_size_is_enough():
    relative, metres = shot()
    large = metres.repeat(4, axis=1).repeat(4, axis=2)
    lidar = np.full_like(large, np.nan)
    lidar[:, 5::16, 3::8] = large[:, 5::16, 3::8]
    anchor = fit_scale_shift(relative, list(lidar))
    assert (anchor.scale, anchor.shift) == pytest.approx((0.4, 0.3), rel=1e-3)
    assert anchor.samples == FRAMES * 6 * 16


@pytest.mark.parametrize(
    'known',
    [[None] * FRAMES, list(np.full((FRAMES, 8, 8), np.nan)), list(1 / shot()[1])],
    ids=['none', 'unknown', 'the wrong way round'],
)
def test_without_metres_the_fit_is_not_metric_and_depth_positive(known):
    relative, _ = shot()
    anchor = fit_scale_shift(relative, known)
    assert not anchor.is_metric
    depth = np.stack([anchor.depth(one) for one in relative])
    assert (depth.min(), depth.max()) == pytest.approx((1, 100), rel=1e-3)
    assert np.argmin(depth) == np.argmax(relative)


def test_beyond_infinity_is_far_and_unknown_stays():
    depth = ScaleShift(1.0, 0.0, True).depth(np.float32([[2, 0, -1, np.nan]]))
    np.testing.assert_array_equal(depth, np.float32([[0.5, np.inf, np.inf, np.nan]]))


def test_a_flat_shot_is_relative_and_an_empty_one_an_error():
    assert not fit_scale_shift(np.ones((1, 4, 4), np.float32), [np.ones((4, 4))]).is_metric
    with pytest.raises(InputError, match='any depth'):
        fit_scale_shift(np.full((1, 4, 4), np.nan, np.float32), [None])
