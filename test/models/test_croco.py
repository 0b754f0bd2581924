# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from videodepth_ros.models.croco import Block, DecoderBlock, rotary_table, rotate

CPU = torch.device('cpu')
GRID, WIDTH = (3, 5), 12


def turned(x: torch.Tensor, row: int, column: int) -> torch.Tensor:
    """Return x (WIDTH,) at a place, by complex numbers: the row's half and the column's half."""
    halves = []
    for half, place in zip(x.view(2, -1), (row, column), strict=True):
        real, imaginary = half.view(2, -1)
        angle = place * 100.0 ** (-torch.arange(len(real)) / len(real))
        z = torch.complex(real, imaginary) * torch.polar(torch.ones_like(angle), angle)
        halves += [z.real, z.imag]
    return torch.cat(halves)


def test_each_half_of_a_head_turns_with_one_axis():
    torch.manual_seed(0)
    x = torch.randn(1, 1, 15, WIDTH)
    found = rotate(x, rotary_table(GRID, WIDTH, CPU))[0, 0]
    wanted = [turned(token, i // 5, i % 5) for i, token in enumerate(x[0, 0])]
    torch.testing.assert_close(found, torch.stack(wanted))


def test_only_the_way_between_two_places_matters():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, WIDTH).expand(2, 1, 1, 15, WIDTH)
    table = rotary_table(GRID, WIDTH, CPU)
    products = (rotate(q, table) @ rotate(k, table).transpose(2, 3))[0, 0].view(3, 5, 3, 5)
    torch.testing.assert_close(products[0, 1, 2, 3], products[0, 2, 2, 4])
    assert abs(products[0, 1, 2, 3] - products[2, 3, 0, 1]) > 1e-3, 'there and back differ'


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_rotation_keeps_the_type(dtype):
    x = torch.randn(1, 2, 15, WIDTH, dtype=dtype)
    assert rotate(x, rotary_table(GRID, WIDTH, CPU)).dtype == dtype


def attention(q, k, v, heads, table):
    """Attention as the formula has it, head by head."""
    mixed = []
    for h in range(heads):
        of_head = slice(h * WIDTH, (h + 1) * WIDTH)
        a, b = rotate(q[..., of_head], table), rotate(k[..., of_head], table)
        mixed.append((a @ b.transpose(-2, -1) / WIDTH**0.5).softmax(-1) @ v[..., of_head])
    return torch.cat(mixed, -1)


def test_blocks_are_the_formulas():
    torch.manual_seed(0)
    table = rotary_table(GRID, WIDTH, CPU).double()
    x, y = torch.randn(2, 1, 15, 2 * WIDTH, dtype=torch.double)
    block = Block(2 * WIDTH, heads=2, mlp_ratio=2).double()
    q, k, v = block.attn.qkv(block.norm1(x)).chunk(3, -1)
    wanted = x + block.attn.proj(attention(q, k, v, 2, table))
    wanted = wanted + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(wanted))))
    torch.testing.assert_close(block(x, table), wanted)

    block = DecoderBlock(2 * WIDTH, heads=2, mlp_ratio=2).double()
    for parameter in block.parameters():  # norms that start equal could change places
        parameter.data += 0.1 * torch.randn_like(parameter)
    q, k, v = block.attn.qkv(block.norm1(x)).chunk(3, -1)
    wanted = x + block.attn.proj(attention(q, k, v, 2, table))
    cross, other = block.cross_attn, block.norm_y(y)
    q, k, v = cross.projq(block.norm2(wanted)), cross.projk(other), cross.projv(other)
    wanted = wanted + cross.proj(attention(q, k, v, 2, table))
    wanted = wanted + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm3(wanted))))
    torch.testing.assert_close(block(x, y, table), wanted)
