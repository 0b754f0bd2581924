# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import nn

from test.support.fused_networks import NAMES, fused_model, variant
from videodepth_ros.engines.check import max_relative_error
from videodepth_ros.engines.lowering import lower_network
from videodepth_ros.models.conv_norm import ConvNorm
from videodepth_ros.models.vit import LayerScale

pytestmark = pytest.mark.slow

EVERY = pytest.mark.parametrize('name', NAMES)


def rollout(model, name, dtype=torch.float32, frames=3):
    it = variant(name)
    noise = torch.Generator().manual_seed(0)
    state, depths = None, []
    with torch.inference_mode():
        for _ in range(frames):
            image = torch.randn(1, 3, it.height, it.width, generator=noise)
            depth, state = model.step(image.to(dtype), state)
            depths.append(depth)
    return torch.stack(depths), state


@EVERY
def test_lowered_computes_the_same(name):
    """2e-5: products of constants are rounded once more; a lost layer scale makes 0.1."""
    model, it = fused_model(name), variant(name)
    expected, expected_state = rollout(model, name)
    depths, state = rollout(lower_network(model, it.width, it.height), name)
    assert max_relative_error(depths, expected) < 2e-5
    assert max_relative_error(state, expected_state) < 2e-5


@EVERY
def test_what_can_be_computed_once_is(name):
    it = variant(name)
    network = lower_network(fused_model(name), it.width, it.height)
    left = {type(module) for module in network.modules()}
    assert not left & {LayerScale, ConvNorm, nn.BatchNorm2d, nn.ConvTranspose2d}
    assert not any(parameter.requires_grad for parameter in network.parameters())


@EVERY
def test_the_original_stays_as_it_is(name):
    model, it = fused_model(name), variant(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    lower_network(model, it.width, it.height, torch.float16)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize('name', ['tiny-s', 'tiny-full', 'nano'])
@pytest.mark.parametrize(('dtype', 'bound'), [(torch.float16, 5e-3), (torch.bfloat16, 5e-2)])
def test_half_precision_keeps_the_sums_in_float32(name, dtype, bound):
    """A float16 has 11 digits, a bfloat16 has 8: sums of a hundred products lose two of them."""
    model, it = fused_model(name), variant(name)
    network = lower_network(model, it.width, it.height, dtype)
    depths, state = rollout(network, name, dtype)
    expected, expected_state = rollout(model, name)
    assert depths.dtype == state.dtype == torch.float32
    assert 0 < max_relative_error(depths, expected) < bound
    assert 0 < max_relative_error(state, expected_state) < bound
    products = {
        module.weight.dtype
        for path, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv1d)) and 'inner' not in path
    }
    norms = {
        module.weight.dtype for module in network.modules() if isinstance(module, nn.LayerNorm)
    }
    assert products == {dtype}
    assert norms == {torch.float32}
    for block in network.mamba.blocks[0]:
        assert block.mamba.A_log.dtype == block.mamba.dt_bias.dtype == torch.float32
    assert network.depth_head.scratch['output_conv2'][2].inner.weight.dtype == torch.float32
