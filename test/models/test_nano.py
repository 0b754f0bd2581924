# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from videodepth_ros.evaluation.accumulators import DepthAlignment
from videodepth_ros.evaluation.depth import DepthPair, evaluate_depth
from videodepth_ros.models.catalogue import card, weights_path
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.nano import NANO, NANO_1
from videodepth_ros.models.preprocess import network_input
from videodepth_ros.synthetic.families import HELD_OUT_FAMILIES
from videodepth_ros.synthetic.scenes import render_scene

pytestmark = pytest.mark.slow

GENERATIONS = {'nano': NANO, 'nano-1': NANO_1}


@pytest.fixture(scope='module', params=list(GENERATIONS))
def nano(request: pytest.FixtureRequest) -> FlashDepth:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return FlashDepth(GENERATIONS[request.param]).eval()


def test_it_is_as_small_as_the_card_states(nano: FlashDepth) -> None:
    parameters = sum(p.numel() for p in nano.parameters())
    assert parameters < (5e6 if nano.config is NANO else 2.5e6)


@pytest.mark.parametrize('size', [(240, 320), (192, 256), (128, 176), (336, 80)])
@torch.no_grad()
def test_it_takes_every_size_of_whole_patches(nano: FlashDepth, size: tuple[int, int]) -> None:
    inverse_depth, state = nano.step(torch.randn(2, 3, *size))
    assert inverse_depth.shape == (2, *size)
    assert (inverse_depth >= 0).all()
    assert inverse_depth.isfinite().all()
    assert state.shape == nano.zero_state(2).shape


@torch.no_grad()
def test_the_maps_are_as_the_decoder_was_told(nano: FlashDepth) -> None:
    encoder = nano.config.encoder
    maps = nano.pretrained(torch.randn(1, 3, 96, 128))
    for encoded, channels, stride in zip(maps, encoder.channels, encoder.strides, strict=True):
        assert encoded.shape == (1, channels, 96 // stride, 128 // stride)


@torch.no_grad()
def test_an_untrained_temporal_module_changes_nothing(nano: FlashDepth) -> None:
    """So the second stage of training starts from the image model."""
    image = torch.randn(1, 3, 96, 128)
    still, state = nano.step(image)
    assert torch.equal(nano.step(image, state + 1)[0], still)


@torch.no_grad()
def test_every_pixel_sees_the_whole_image(nano: FlashDepth) -> None:
    image = torch.randn(1, 3, 96, 128)
    other = image.clone()
    other[..., :16, :16] += 3
    far = [maps[..., -1, -1] for maps in (nano.pretrained(image)[3], nano.pretrained(other)[3])]
    assert not torch.allclose(*far)


@pytest.fixture(scope='module', params=list(GENERATIONS))
def bundled(request: pytest.FixtureRequest) -> FlashDepth:
    torch.set_num_threads(1)
    return load_flashdepth(GENERATIONS[request.param], weights_path(card(request.param)))


def test_the_bundled_weights_are_small() -> None:
    assert weights_path(card('nano')).stat().st_size <= 12e6
    assert weights_path(card('nano-1')).stat().st_size <= 5e6


@torch.no_grad()
def test_the_bundled_weights_beat_predictors_without_image(bundled: FlashDepth) -> None:
    """On scene families that they were not trained on; scale and shift fitted to all three."""
    errors, baselines = [], []
    for family, seed in itertools.product(HELD_OUT_FAMILIES, range(40, 45)):
        state, pairs = None, []
        for frame in render_scene(family, seed, 3, 256, 192, 3.0):
            image = torch.from_numpy(network_input(frame.image, 256, 192))[None]
            inverse_depth, state = bundled.step(image, state)
            depth_m = 100 * frame.camera.fx / 256 / inverse_depth[0].clamp(min=1e-3).numpy()
            pairs.append(DepthPair(frame.stamp_ns, depth_m, frame.depth_m))
        report = evaluate_depth(pairs, DepthAlignment.SCALE_SHIFT)
        errors.append(report.errors.abs_rel)
        baselines.append(min(report.best_constant.abs_rel, report.best_gradient.abs_rel))
    assert np.mean(errors) < 0.95 * np.mean(baselines)


@torch.no_grad()
def test_the_bundled_weights_use_their_state(bundled: FlashDepth) -> None:
    image = torch.randn(1, 3, 96, 128)
    first, state = bundled.step(image)
    assert not torch.equal(bundled.step(image, state)[0], first)
