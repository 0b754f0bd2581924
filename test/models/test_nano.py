# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.nano import NANO


@pytest.fixture(scope='module')
def nano() -> FlashDepth:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return FlashDepth(NANO).eval()


def test_it_is_as_small_as_it_says(nano: FlashDepth) -> None:
    parameters = sum(p.numel() for p in nano.parameters())
    assert 1e6 < parameters < 2.5e6


@pytest.mark.parametrize('size', [(240, 320), (192, 256), (128, 176), (320, 240)])
@torch.no_grad()
def test_it_takes_every_size_of_whole_patches(nano: FlashDepth, size: tuple[int, int]) -> None:
    inverse_depth, state = nano.step(torch.randn(2, 3, *size))
    assert inverse_depth.shape == (2, *size)
    assert (inverse_depth >= 0).all()
    assert inverse_depth.isfinite().all()
    assert state.shape == nano.zero_state(2).shape


@torch.no_grad()
def test_the_maps_are_as_the_decoder_was_told(nano: FlashDepth) -> None:
    encoder = NANO.encoder
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
