import numpy as np
import pytest

from videodepth_ros.mvs.bending import fast_global_smooth
from videodepth_ros.mvs.fusion import modes, splat
from videodepth_ros.mvs.matching_cost import cost_volume, window_statistics
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.semi_global import aggregate, best_labels
from videodepth_ros.mvs.upsampling import snap_edges

pytestmark = pytest.mark.slow

ONE = np.eye(3, dtype=np.float32)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def test_window_statistics_are_those_of_numpy():
    grey = noise(20, 24)
    mean, variance = window_statistics(grey, 3)
    window = grey[5:12, 8:15]
    assert mean[8, 11] + 128 == pytest.approx(window.mean(), rel=1e-5)
    assert variance[8, 11] == pytest.approx(window.var(), rel=1e-4)


@pytest.mark.parametrize('texture', [0.0, 1e12])
def test_cost_is_one_minus_zncc(texture):
    """With no texture threshold only 3x3 windows count, with a huge one only those of 7x7."""
    grey, source = noise(24, 30), noise(24, 30, seed=1)
    volume = cost_volume(
        grey,
        np.stack([source, source]),
        np.stack([ONE, ONE]),
        np.zeros((2, 3), np.float32),
        np.ones((24, 30), np.float32),
        np.ones(1, np.float32),
        np.float32(0),
        np.float32(texture),
        2,
    )
    radius = 1 if texture == 0 else 3
    for y, x in ((10, 12), (4, 20), (19, 5)):
        rows, columns = slice(y - radius, y + radius + 1), slice(x - radius, x + radius + 1)
        zncc = np.corrcoef(grey[rows, columns].ravel(), source[rows, columns].ravel())[0, 1]
        assert volume[y, x, 0] == pytest.approx(min(1 - zncc, 1.0), abs=1e-3)


def test_cost_does_not_depend_on_exposure():
    grey = noise(24, 30) / 2
    volume = cost_volume(
        grey,
        (1.5 * grey + 20)[None],
        ONE[None],
        np.zeros((1, 3), np.float32),
        np.ones((24, 30), np.float32),
        np.ones(1, np.float32),
        np.float32(0),
        np.float32(60),
        3,
    )
    assert volume[..., 0].max() == pytest.approx(0.05, abs=1e-3)  # the missing second view


def test_aggregation_bridges_a_blind_gap():
    volume = np.full((9, 30, 8), 0.5, np.float32)
    volume[:, :10, 3] = volume[:, 20:, 3] = 0.0
    total = aggregate(
        volume, np.zeros((9, 30), np.float32), np.float32(0.1), np.float32(1), np.float32(10)
    )
    label, margin = best_labels(total)
    assert np.allclose(label, 3.0, atol=0.01)
    assert (margin[:, 2:8] > margin[:, 12:18]).all()


def test_best_label_has_a_fraction():
    costs = (np.arange(7, dtype=np.float32) - 3.3) ** 2
    label, margin = best_labels(costs[None, None])
    assert label[0, 0] == pytest.approx(3.3, abs=1e-5)
    assert margin[0, 0] == pytest.approx(2.7**2 - 0.09, abs=1e-4)


def test_splat_keeps_the_nearest():
    per_m = np.full((10, 12), 0.5, np.float32)
    per_m[:, 6:] = 2.0
    shift = np.array([-2.0, 0.0, 0.0], np.float32)  # near columns move 4 px left, far ones 1
    near, weight = splat(per_m, np.ones_like(per_m), ONE, shift, 10, 12)
    assert near[5, 2] == pytest.approx(2.0)
    assert near[5, 0] == pytest.approx(0.5)
    assert near[5, 10] == 0
    assert weight[5, 10] == 0


def test_splat_leaves_out_what_is_uncertain():
    per_m = np.ones((6, 6), np.float32)
    near, _ = splat(per_m, np.full_like(per_m, 0.01), ONE, np.zeros(3, np.float32), 6, 6)
    assert not near.any()


def test_mode_is_what_most_agree_on():
    per_m = np.array([1.0, 1.01, 0.99, 3.0], np.float32)[:, None, None]
    mode, support, total = modes(per_m, np.ones_like(per_m), np.float32(0.06))
    assert mode[0, 0] == pytest.approx(1.0, abs=0.01)
    assert support[0, 0] == pytest.approx(2.95, abs=0.1)
    assert total[0, 0] == 4


def test_smoother_stops_at_edges():
    guide = np.zeros((20, 40), np.float32)
    guide[:, 20:] = 200
    values, weight = np.zeros((20, 40), np.float32), np.full((20, 40), 1e-6, np.float32)
    values[10, 5], values[10, 35] = 1.0, 2.0
    weight[10, 5] = weight[10, 35] = 1.0
    smooth = fast_global_smooth(values, weight, guide, 1000.0, 8.0)
    assert np.allclose(smooth[:, :18], 1.0, atol=0.02)
    assert np.allclose(smooth[:, 22:], 2.0, atol=0.02)


def test_edges_snap_to_the_image():
    colours = np.zeros((30, 40, 3), np.uint8)
    colours[:, 20:] = 200
    per_m = np.full((30, 40), 0.5, np.float32)
    per_m[:, 17:] = 1.0
    certainty = np.ones((30, 40), np.float32)
    certainty[:, 15:22] = 0
    snapped = snap_edges(per_m, certainty, colours, StereoOptions())
    assert np.allclose(snapped[:, :20], 0.5)
    assert np.allclose(snapped[:, 20:], 1.0)
