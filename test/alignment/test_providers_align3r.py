# SPDX-License-Identifier: Apache-2.0
"""The pair provider of Align3R, with a small random network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from test.support.small_align3r import small_align3r
from videodepth_ros.alignment.options import Align3rOptions
from videodepth_ros.alignment.pairs import clip_graph
from videodepth_ros.alignment.providers.align3r import Align3rPairProvider, WindowSampler
from videodepth_ros.core.errors import InputError, ModelError
from videodepth_ros.models.align3r_input import (
    network_image,
    network_point_map,
    network_window,
    point_map_from_depth,
    point_map_from_disparity,
)
from videodepth_ros.models.mono import PriorKind

COUNT, WIDTH, HEIGHT = 4, 128, 96
SMALL = Align3rOptions(long_side_px=64)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def images(height: int = HEIGHT) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, height, WIDTH, 3), np.uint8)


def values(height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(1).uniform(1, 9, (COUNT, height, width)).astype(np.float32)


def provider(kind=PriorKind.METRIC, options=SMALL, network=None, prior=None):
    return Align3rPairProvider(
        images(), values() if prior is None else prior, kind, options, network or small_align3r()
    )


def counted(network):
    """Let a network count the frames that it encodes."""
    network.encoded = 0
    encode = network.encode

    def counting(image, points):
        network.encoded += len(image)
        return encode(image, points)

    network.encode = counting
    return network


@pytest.mark.parametrize(
    ('kind', 'lift'),
    [
        (PriorKind.METRIC, point_map_from_depth),
        (PriorKind.RELATIVE_INVERSE, point_map_from_disparity),
    ],
)
def test_pairs_are_the_output_of_the_network(kind, lift):
    """Metric depth is unprojected as depth, and inverse depth likewise, not inverted."""
    prior = values()
    prior[:, :8] = 1000  # sky, where it is a depth
    network, window = small_align3r(), network_window(WIDTH, HEIGHT, 64)
    i, j = 2, 1
    views = [
        torch.from_numpy(each)[None]
        for frame in (i, j)
        for each in (
            network_image(images()[frame], window),
            network_point_map(lift(prior[frame]), window),
        )
    ]
    with torch.inference_mode():
        points = network(*views)
    (pair,) = provider(kind, network=network, prior=prior).pairs([(i, j)])
    assert pair.edge == (i, j)
    assert pair.shape == (48, 64)
    for found, expected in (
        (pair.points_i, points.points_1),
        (pair.points_j, points.points_2),
        (pair.confidence_i, points.confidence_1),
        (pair.confidence_j, points.confidence_2),
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-4, atol=1e-5)


def test_metric_and_inverse_priors_differ():
    prior = values()
    prior[:, :16] = 0  # unknown depth, or an infinite distance
    (metric,) = provider(PriorKind.METRIC, prior=prior).pairs([(0, 1)])
    (relative,) = provider(PriorKind.RELATIVE_INVERSE, prior=prior).pairs([(0, 1)])
    assert not np.allclose(metric.points_i, relative.points_i)


def test_every_edge_once_and_every_frame_encoded_once():
    network, edges = counted(small_align3r()), clip_graph(COUNT)
    found = [pair.edge for pair in provider(network=network).pairs(iter(edges))]
    assert sorted(found) == sorted(edges)
    assert network.encoded == COUNT


def test_few_frames_are_cached():
    network = counted(small_align3r())
    edges = [(i, i + 1) for i in range(COUNT - 1)]
    pairs = provider(options=Align3rOptions(long_side_px=64, cached_frames=2), network=network)
    found = list(pairs.pairs(reversed(edges)))
    assert [pair.edge for pair in found] == edges, 'in the order of their frames'
    assert network.encoded == COUNT
    assert len(pairs._features) == 2


def test_a_batch_changes_nothing():
    edges = clip_graph(COUNT)
    alone = list(provider().pairs(edges))
    together = provider(options=Align3rOptions(long_side_px=64, batch_size=3)).pairs(edges)
    for found, expected in zip(together, alone, strict=True):
        assert found.edge == expected.edge
        scale = np.abs(expected.points_j).max()
        np.testing.assert_allclose(found.points_j, expected.points_j, rtol=0, atol=2e-5 * scale)


def test_pairs_have_the_size_of_the_prior():
    (pair,) = provider(prior=values(24, 32)).pairs([(0, 1)])
    assert pair.shape == (24, 32)
    assert np.isfinite(pair.points_i).all()


def test_pixels_outside_the_crop_window_are_unknown():
    """128x104 is resized to 64x52 and cropped to 64x48."""
    pairs = Align3rPairProvider(
        images(104), values(104, 128), PriorKind.METRIC, SMALL, small_align3r()
    )
    (pair,) = pairs.pairs([(0, 1)])
    assert np.isnan(pair.points_i[:4]).all()
    assert np.isnan(pair.points_j[-4:]).all()
    assert np.isfinite(pair.points_i[4:-4]).all()
    assert (pair.confidence_i[:4] == 1).all()
    assert (pair.confidence_i[4:-4] > 1).any()


def test_surfaces_are_interpolated_and_discontinuities_are_not():
    window = network_window(128, 96, 64)
    slope = np.linspace(1, 2, 64, dtype=np.float32)
    plane = np.stack(np.broadcast_arrays(slope, np.float32(0), slope), -1)[None].repeat(48, 0)
    step = np.where(np.arange(64) < 32, 1, 9).astype(np.float32)[None, :, None]
    step = np.ascontiguousarray(np.broadcast_to(step, (48, 64, 3)))
    confidence = np.full((48, 64), 3, np.float32)
    view = WindowSampler.for_map(window, 128, 96)
    smooth, weight = view.sample(plane, confidence)
    assert (np.diff(smooth[10, 2:-2, 0]) > 0).all()
    assert (weight == 3).all()
    assert set(np.unique(view.sample(step, confidence)[0])) == {1, 9}


def test_points_that_overflow_have_no_weight():
    window = network_window(64, 48, 64)
    points, confidence = np.ones((48, 64, 3), np.float32), np.full((48, 64), 3, np.float32)
    points[5, 7], confidence[5, 7] = np.inf, np.inf
    found, weight = WindowSampler.for_map(window, 64, 48).sample(points, confidence)
    assert not np.isfinite(found[5, 7]).any()
    assert weight[5, 7] == 1
    assert np.isfinite(weight).all()


def test_reduced_precision_is_near():
    (expected,) = provider().pairs([(0, 1)])
    (found,) = provider(options=Align3rOptions(long_side_px=64, precision='bf16')).pairs([(0, 1)])
    error = np.linalg.norm(found.points_i - expected.points_i, axis=2)
    assert 0 < np.median(error / np.linalg.norm(expected.points_i, axis=2)) < 0.05


def test_mismatched_inputs_and_missing_weights(tmp_path, monkeypatch):
    with pytest.raises(InputError, match='do not fit'):
        Align3rPairProvider(images(), values()[:2], PriorKind.METRIC, SMALL, small_align3r())
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path))
    with pytest.raises(ModelError, match='videodepth weights fetch'):
        Align3rPairProvider(images(), values(), PriorKind.METRIC)
    assert 'CC-BY-NC-SA-4.0' in Align3rPairProvider.notice
