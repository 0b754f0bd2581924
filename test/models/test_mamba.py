# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from test.support.small_flashdepth import relmax
from videodepth_ros.core.errors import InputError
from videodepth_ros.models.mamba import (
    GatedRMSNorm,
    Mamba2,
    MambaConfig,
    TemporalMamba,
    average_pool,
    pooled_size,
    scan,
    scan_reference,
)

SMALL = MambaConfig(expand=2, head_dim=8, d_state=16, layers=2)
DIM = 16


def random_layer(seed: int = 0) -> Mamba2:
    torch.manual_seed(seed)
    layer = Mamba2(DIM, SMALL)
    layer.norm.weight.data.uniform_(0.5, 2)
    layer.D.data.uniform_(-1, 1)
    return layer


def random_temporal(seed: int = 0) -> TemporalMamba:
    torch.manual_seed(seed)
    module = TemporalMamba(DIM, SMALL)
    torch.nn.init.normal_(module.final_layer[1].weight)
    for block in module.blocks[0]:  # steps near one: what a token writes is felt long after
        torch.nn.init.zeros_(block.mamba.dt_bias)
        torch.nn.init.zeros_(block.mamba.A_log)
    return module


def problem(batch: int, frames: int, length: int, largest_step: float = 3.0):
    """Arguments of a scan; the decay exponent sums to hundreds over a frame."""
    g = torch.Generator().manual_seed(length)
    heads, P, N = 3, 4, 5
    x = torch.randn(batch, frames, length, heads, P, generator=g)
    dt = torch.rand(batch, frames, length, heads, generator=g) * largest_step
    A = -torch.rand(heads, generator=g) * 2
    B, C = torch.randn(2, batch, frames, length, N, generator=g)
    state = torch.randn(batch, heads, P, N, generator=g)
    return x, dt, A, B, C, state


@pytest.mark.parametrize(
    'length,chunk',
    [
        (1, 256),
        (6, 256),
        (40, 256),
        (40, 16),
        (41, 16),
        (255, 256),
        (256, 256),
        (257, 256),
        (600, 256),
    ],
)
def test_scan_equals_the_recurrence(length, chunk):
    """Lengths below, at and above a chunk, with and without padding, over several frames."""
    arguments = problem(2, 3, length)
    y, state = scan(*arguments, chunk=chunk)
    wanted_y, wanted_state = scan_reference(*(v.double() for v in arguments))
    # Exponents of some hundred, and sums of as many products in another order, in float32.
    assert relmax(y, wanted_y) <= 2e-5
    assert relmax(state, wanted_state) <= 2e-5


def test_scan_survives_large_steps():
    """Above the diagonal the factor would be infinite: it is masked before the exponential."""
    arguments = problem(1, 2, 200, largest_step=50)
    for v in arguments:
        v.requires_grad_()
    y, state = scan(*arguments)
    (y.sum() + state.sum()).backward()
    assert y.isfinite().all()
    assert all(v.grad.isfinite().all() for v in arguments)


def test_scan_has_the_gradient_of_the_recurrence():
    arguments = [v.double().requires_grad_() for v in problem(1, 2, 9)]
    y, state = scan_reference(*arguments)
    wanted = torch.autograd.grad(y.square().sum() + state.square().sum(), arguments)
    y, state = scan(*(v.float() for v in arguments), chunk=4)
    found = torch.autograd.grad(y.square().sum() + state.square().sum(), arguments)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def layer_by_tokens(layer: Mamba2, frame: torch.Tensor, state: torch.Tensor):
    """Compute one frame (L, C) with a state (H, P, N) from the written formulas, in float64."""
    heads, P, N = state.shape
    inner = heads * P
    weight, bias = layer.conv1d.weight[:, 0], layer.conv1d.bias
    window = torch.zeros(inner + 2 * N, 4, dtype=frame.dtype)  # empty at the start of a frame
    outputs = []
    for token in frame:
        z, xBC, dt = layer.in_proj(token).split((inner, inner + 2 * N, heads))
        window = torch.cat((window[:, 1:], xBC[:, None]), dim=1)
        mixed = (window * weight).sum(1) + bias
        x, B, C = (mixed * mixed.sigmoid()).split((inner, N, N))
        x = x.view(heads, P)
        d = torch.log1p(torch.exp(dt + layer.dt_bias))
        a = torch.exp(-torch.exp(layer.A_log) * d)
        state = a[:, None, None] * state + d[:, None, None] * x[:, :, None] * B
        y = state @ C + layer.D[:, None] * x
        gated = y.flatten() * z * z.sigmoid()
        norm = gated / (gated.square().mean() + 1e-5).sqrt() * layer.norm.weight
        outputs.append(layer.out_proj(norm))
    return torch.stack(outputs), state


def test_layer_is_the_formula():
    layer = random_layer()
    frames, state = torch.randn(3, 7, DIM), torch.zeros(4, 8, 16)
    found, found_state = layer(frames[None], state[None])
    exact, state = random_layer().double(), state.double()
    for t, frame in enumerate(frames.double()):
        wanted, state = layer_by_tokens(exact, frame, state)
        torch.testing.assert_close(found[0, t].double(), wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(found_state[0].double(), state, rtol=0, atol=1e-5)


def test_step_size_is_not_clamped():
    layer = random_layer()
    layer.dt_bias.data.fill_(40)
    tokens, state = torch.randn(1, 1, 5, DIM), torch.randn(1, 4, 8, 16)
    wanted, _ = layer_by_tokens(layer.double(), tokens[0, 0].double(), state[0].double())
    found, _ = layer.float()(tokens, state)
    torch.testing.assert_close(found[0, 0].double(), wanted, rtol=1e-4, atol=1e-4)


def test_convolution_starts_anew_with_each_frame():
    layer = random_layer()
    tokens = torch.randn(1, 2, 6, layer.conv1d.in_channels)
    both = layer._convolve(tokens)
    alone = layer._convolve(tokens[:, 1:])
    torch.testing.assert_close(both[:, 1:], alone)
    carried = layer._convolve(tokens.flatten(1, 2)[:, None])[:, :, 6:]
    assert (carried[:, :, :3] - alone[:, :, :3]).abs().max() > 0.1
    torch.testing.assert_close(carried[:, :, 3:], alone[:, :, 3:])


def test_norm_comes_after_the_gate():
    norm = GatedRMSNorm(DIM)
    x, gate = torch.randn(2, 3, DIM)
    gated = x * gate * gate.sigmoid()
    torch.testing.assert_close(
        norm(x, gate), gated / (gated.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    )


@pytest.mark.parametrize(
    'size,target', [((28, 38), (2, 3)), ((56, 80), (5, 8)), ((39, 57), (3, 5))]
)
def test_pooling_windows_overlap(size, target):
    maps = torch.randn(2, 3, *size)
    torch.testing.assert_close(average_pool(maps, target), F.adaptive_avg_pool2d(maps, target))
    assert pooled_size(size, 0.1) == target, 'rounded down'


def test_a_map_that_is_too_small_to_pool_is_refused():
    assert pooled_size((10, 10), 0.1) == (1, 1)
    with pytest.raises(InputError, match='9x12'):
        pooled_size((12, 9), 0.1)


def test_update_is_upsampled_then_activated_then_projected():
    module = random_temporal()
    for block in module.blocks[0]:  # what is left adds the pooled map itself
        for last in (block.mamba.out_proj, block.mlp[2]):
            for parameter in last.parameters():
                torch.nn.init.zeros_(parameter)
    maps = torch.randn(1, DIM, 24, 31)
    found, _ = module(maps, torch.zeros(2, 1, 4, 8, 16))
    up = F.interpolate(
        F.adaptive_avg_pool2d(maps, (2, 3)), (24, 31), mode='bilinear', align_corners=True
    )
    wanted = maps + module.final_layer[1](F.gelu(up).movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(found, wanted)


def test_training_starts_from_the_still_image():
    module = TemporalMamba(DIM, SMALL)
    maps = torch.randn(1, DIM, 24, 31)
    found, _ = module(maps, torch.randn(2, 1, 4, 8, 16))
    assert torch.equal(found, maps)


def test_tokens_are_scanned_row_by_row():
    """A change in one cell reaches the cells behind it, and none before."""
    module = random_temporal()
    module.blocks[0] = module.blocks[0][:1]
    seen = []
    module.blocks[0][0].register_forward_hook(lambda _, inputs, out: seen.append(out[0][0, 0]))
    maps = torch.randn(1, DIM, 30, 40)
    state = torch.zeros(1, 1, 4, 8, 16)
    module(maps, state)
    maps[:, :, 10:20, 20:30] += 1  # row 1, column 2 of 3 rows and 4 columns: token 6
    module(maps, state)
    changed = (seen[0] != seen[1]).any(1)
    assert changed.tolist() == [False] * 6 + [True] * 6


def test_state_is_one_matrix_a_head_whatever_the_size():
    module = random_temporal()
    state = torch.zeros(2, 1, 4, 8, 16)
    for size in ((20, 30), (64, 48)):
        _, state = module(torch.randn(1, DIM, *size), state)
        assert tuple(state.shape) == SMALL.state_shape(DIM, 1) == (2, 1, 4, 8, 16)
