# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from videodepth_ros.models.vit import VIT_L, VIT_S, Block, ViTConfig, cubic_matrix

SMALL = ViTConfig(dim=24, depth=6, heads=2, taps=(1, 2, 4, 5), grid=5)


def encoder(seed: int = 0):
    torch.manual_seed(seed)
    return SMALL.build().eval()


@pytest.mark.parametrize('target', [1, 7, 18, 35, 37, 82, 146])
def test_positions_are_sampled_at_the_given_scale(target):
    samples = torch.randn(1, 1, 37, 1)
    by_scale = F.interpolate(samples, scale_factor=((target + 0.1) / 37, 1), mode='bicubic')
    by_size = F.interpolate(samples, size=(target, 1), mode='bicubic')
    found = torch.from_numpy(cubic_matrix(37, target)) @ samples
    torch.testing.assert_close(found, by_scale, rtol=0, atol=1e-5)  # of torch, in float32
    assert (found - by_size).abs().max() > 1e-3, 'a resize to the size is another grid'


def test_each_row_of_the_cubic_matrix_is_an_average():
    np.testing.assert_allclose(cubic_matrix(37, 25).sum(axis=1), 1, atol=1e-6)


def test_positions_of_the_trained_grid_are_used_as_they_are():
    vit = encoder()
    assert vit.positions(5, 5) is vit.pos_embed
    assert vit.positions(5, 6).shape == (1, 31, 24)
    torch.testing.assert_close(vit.positions(5, 6)[:, 0], vit.pos_embed[:, 0])


def test_first_axis_of_the_positions_is_height():
    vit = encoder()
    rows = torch.arange(5.0)[:, None, None].expand(5, 5, 24).reshape(1, 25, 24)
    vit.pos_embed.data[:, 1:] = rows
    grid = vit.positions(7, 3)[0, 1:].view(7, 3, 24)
    torch.testing.assert_close(grid[:, :1].expand(-1, 3, -1), grid)
    assert (grid[1:] > grid[:-1]).all()


def test_maps_are_the_tapped_blocks_behind_the_one_final_norm_without_the_class_token():
    vit = encoder()
    vit.norm.weight.data.uniform_(0.5, 2)
    tapped = []
    for i in SMALL.taps:
        vit.blocks[i].register_forward_hook(lambda _, inputs, output: tapped.append(output))
    maps = vit(torch.randn(2, 3, 42, 56))
    assert [tuple(m.shape) for m in maps] == [(2, 24, 3, 4)] * 4
    for found, raw in zip(maps, tapped, strict=True):
        wanted = F.layer_norm(raw, (24,), vit.norm.weight, vit.norm.bias, 1e-6)[:, 1:]
        torch.testing.assert_close(found.flatten(2).transpose(1, 2), wanted)


def test_block_is_the_formula():
    torch.manual_seed(0)
    block = Block(24, heads=2).double()
    block.ls1.gamma.data.uniform_()
    block.ls2.gamma.data.uniform_()
    x = torch.randn(1, 5, 24, dtype=torch.double)

    def norm(v, layer):
        centred = v - v.mean(-1, keepdim=True)
        deviation = (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return centred / deviation * layer.weight + layer.bias

    q, k, v = block.attn.qkv(norm(x, block.norm1)).split(24, dim=-1)
    heads = []
    for h in (slice(0, 12), slice(12, 24)):
        weights = (q[..., h] @ k[..., h].transpose(1, 2) / 12**0.5).softmax(-1)
        heads.append(weights @ v[..., h])
    y = x + block.ls1.gamma * block.attn.proj(torch.cat(heads, -1))
    hidden = block.mlp.fc1(norm(y, block.norm2))
    exact_gelu = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    wanted = y + block.ls2.gamma * block.mlp.fc2(exact_gelu)
    torch.testing.assert_close(block(x), wanted, rtol=0, atol=1e-12)


def test_mask_token_never_enters():
    vit = encoder()
    image = torch.randn(1, 3, 42, 42)
    before = vit(image)
    vit.mask_token.data.fill_(torch.nan)
    for a, b in zip(before, vit(image), strict=True):
        assert torch.equal(a, b)


def test_released_sizes():
    assert (VIT_S.dim, VIT_S.depth, VIT_S.heads, VIT_S.taps) == (384, 12, 6, (2, 5, 8, 11))
    assert (VIT_L.dim, VIT_L.depth, VIT_L.heads, VIT_L.taps) == (1024, 24, 16, (4, 11, 17, 23))
    assert VIT_S.patch == VIT_L.patch == 14
    assert VIT_S.grid == VIT_L.grid == 37
