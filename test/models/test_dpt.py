# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from videodepth_ros.models.dpt import DPT, DPTConfig, FeatureFusion, ResidualConv, resize
from videodepth_ros.models.vit import ViTConfig

DECODER = DPTConfig(dim=16, channels=(8, 8, 12, 12), head_dim=8)
PLAIN = ViTConfig(dim=24, depth=4, heads=2, taps=(0, 1, 2, 3))


@dataclass(frozen=True)
class Pyramid:
    """An encoder whose maps have sizes of their own."""

    channels: tuple[int, int, int, int] = (4, 5, 6, 7)
    strides: tuple[int, int, int, int] = (4, 8, 16, 16)
    patch: int = 16


def test_resize_aligns_corners():
    found = resize(torch.tensor([[[[0.0, 3.0]]]]), (1, 7))
    torch.testing.assert_close(found, torch.arange(7.0).view(1, 1, 1, 7) / 2)


@pytest.mark.parametrize('grid', [(5, 8), (6, 7)])
def test_sizes_of_a_plain_transformer(grid):
    rows, columns = grid
    decoder = DPT(PLAIN, DECODER)
    levels = decoder.levels([torch.randn(1, 24, rows, columns)] * 4)
    assert [tuple(level.shape) for level in levels] == [
        (1, 16, 4 * rows, 4 * columns),
        (1, 16, 2 * rows, 2 * columns),
        (1, 16, rows, columns),
        (1, 16, -(-rows // 2), -(-columns // 2)),
    ]
    path = decoder.stage_4(levels[3], levels[2].shape[-2:])
    for stage, factor in ((4, 1), (3, 2), (2, 4), (1, 8)):
        if stage < 4:
            path = decoder.stage(stage, path, levels)
        assert tuple(path.shape) == (1, 16, factor * rows, factor * columns)
    assert tuple(decoder.head(path, (70, 112)).shape) == (1, 70, 112)


def test_sizes_of_a_pyramid():
    decoder = DPT(Pyramid(), DECODER)
    maps = [
        torch.randn(1, c, 96 // s, 128 // s)
        for c, s in zip(Pyramid.channels, Pyramid.strides, strict=True)
    ]
    sizes = [tuple(level.shape[-2:]) for level in decoder.levels(maps)]
    assert sizes == [(24, 32), (12, 16), (6, 8), (3, 4)]


def test_strides_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='encoder strides'):
        DPT(Pyramid(strides=(16, 16, 16, 24)), DECODER)


def test_residual_keeps_its_input():
    block = ResidualConv(4)
    x = torch.randn(1, 4, 5, 6)
    before = x.clone()
    wanted = block.conv2(block.conv1(x.clamp(min=0)).clamp(min=0)) + before
    torch.testing.assert_close(block(x), wanted)
    assert torch.equal(x, before), 'a rectifier in place would change the identity too'


def test_fusion_resizes_before_it_mixes_channels():
    block = FeatureFusion(4)
    mixed = []
    block.out_conv.register_forward_hook(lambda _, inputs, output: mixed.append(inputs[0].shape))
    path, skip = torch.randn(2, 1, 4, 5, 6).unbind()
    found = block(path, skip, (9, 11))
    assert tuple(mixed[0]) == (1, 4, 9, 11)
    refined = block.resConfUnit2(path + block.resConfUnit1(skip))
    wanted = block.out_conv(F.interpolate(refined, (9, 11), mode='bilinear', align_corners=True))
    torch.testing.assert_close(found, wanted)


def test_stage_4_has_no_skip():
    decoder = DPT(PLAIN, DECODER)
    level = torch.randn(1, 16, 3, 4)
    before = decoder.stage_4(level, (5, 7))
    for parameter in decoder.scratch['refinenet4'].resConfUnit1.parameters():
        parameter.data.fill_(torch.nan)
    assert torch.equal(before, decoder.stage_4(level, (5, 7)))


def test_prediction_is_never_negative():
    decoder = DPT(PLAIN, DECODER)
    decoder.scratch['output_conv2'][2].bias.data.fill_(-100)
    assert (decoder.head(torch.randn(1, 16, 8, 8), (14, 14)) == 0).all()
