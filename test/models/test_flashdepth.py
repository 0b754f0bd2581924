# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx

from test.support.small_flashdepth import (
    EACH,
    SMALL_HYBRID,
    SMALL_L,
    SMALL_S,
    clip,
    relmax,
    small_model,
)
from videodepth_ros.core.errors import InputError, ModelError
from videodepth_ros.models.flashdepth import (
    FLASHDEPTH_FULL,
    FLASHDEPTH_L,
    FLASHDEPTH_S,
    FlashDepth,
    FlashDepthConfig,
    load_flashdepth,
)

ROUNDING = 2e-5  # relmax of the same sums in another order


@pytest.mark.parametrize('config', EACH.values(), ids=EACH)
def test_frame_by_frame_equals_at_once(config):
    model, images = small_model(config), clip(4, batch=2)
    with torch.no_grad():
        at_once, last = model.sequence(images)
        state, frames = None, []
        for t in range(images.shape[1]):
            inverse_depth, state = model.step(images[:, t], state)
            frames.append(inverse_depth)
    assert relmax(torch.stack(frames, dim=1), at_once) <= ROUNDING
    assert relmax(state, last) <= ROUNDING


@pytest.mark.parametrize('config', EACH.values(), ids=EACH)
def test_a_stream_starts_from_zero(config):
    model, image = small_model(config), clip(1)[:, 0]
    depth, state = model.step(image)
    same_depth, same_state = model.step(image, model.zero_state())
    assert torch.equal(depth, same_depth)
    assert torch.equal(state, same_state)
    assert tuple(depth.shape) == (1, 84, 112)
    assert depth.dtype == state.dtype == torch.float32


@pytest.mark.parametrize('config', EACH.values(), ids=EACH)
def test_the_past_matters(config):
    model, images = small_model(config), clip(2)
    with torch.no_grad():
        _, state = model.step(images[:, 0])
        before = state.clone()
        after_a_frame, _ = model.step(images[:, 1], state)
        alone, _ = model.step(images[:, 1])
    assert relmax(after_a_frame, alone) > 100 * ROUNDING
    assert torch.equal(state, before), 'a step leaves the state that it was given as it is'


def test_streams_of_a_batch_do_not_mix():
    model, images = small_model(SMALL_S), clip(2, batch=2)
    with torch.no_grad():
        both, states = model.sequence(images)
        for b in range(2):
            alone, state = model.sequence(images[b : b + 1])
            assert relmax(both[b : b + 1], alone) <= ROUNDING
            assert relmax(states[:, b : b + 1], state) <= ROUNDING


def test_training_reaches_back_through_the_state():
    model, images = small_model(SMALL_S), clip(3).requires_grad_()
    inverse_depth, _ = model.sequence(images)
    inverse_depth[:, -1].sum().backward()
    assert images.grad is not None
    assert (images.grad.abs().amax(dim=(0, 2, 3, 4)) > 0).all()


IDLE = {  # in the checkpoints, and without effect in the official code as well
    'mask_token',
    'depth_head.scratch.refinenet4.resConfUnit1',
    'hybrid_fusion.blocks.0.1.context_proj',
    'hybrid_fusion.blocks.0.2.context_proj',
    *(
        f'teacher_model.depth_head.{part}'
        for part in (
            'projects.0',
            'projects.1',
            'projects.2',
            'resize_layers.0',
            'resize_layers.1',
            'scratch.layer1_rn',
            'scratch.layer2_rn',
            'scratch.layer3_rn',
            'scratch.refinenet1',
            'scratch.refinenet2',
            'scratch.refinenet3',
            'scratch.refinenet4.resConfUnit1',
            'scratch.output_conv1',
            'scratch.output_conv2',
        )
    ),
}


@pytest.mark.parametrize('config', EACH.values(), ids=EACH)
def test_every_other_weight_has_an_effect(config):
    model = small_model(config)
    model.sequence(clip(2))[0].square().sum().backward()
    for name, parameter in model.named_parameters():
        idle = any(part in name for part in IDLE)
        assert (parameter.grad is None) == idle, name


def sizes_through(model: FlashDepth, module: torch.nn.Module, image: torch.Tensor) -> tuple:
    seen = []
    module.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape[-2:]))
    model.step(image)
    return tuple(seen[0])


@pytest.mark.parametrize('stage,factor', [(4, 1), (3, 2), (2, 4), (1, 8)])
def test_temporal_module_follows_the_stage_of_the_config(stage, factor):
    config = FlashDepthConfig(SMALL_S.encoder, SMALL_S.decoder, SMALL_S.mamba, mamba_stage=stage)
    model = small_model(config)
    assert sizes_through(model, model.mamba, clip(1, 140, 154)[:, 0]) == (10 * factor, 11 * factor)


def test_released_stages_are_not_the_papers():
    assert (FLASHDEPTH_S.mamba_stage, FLASHDEPTH_L.mamba_stage, FLASHDEPTH_FULL.mamba_stage) == (
        3,
        1,
        3,
    )


def test_released_states():
    for config, heads, head_dim in ((FLASHDEPTH_S, 8, 32), (FLASHDEPTH_L, 8, 64)):
        shape = config.mamba.state_shape(config.decoder.dim, 2)
        assert shape == (4, 2, heads, head_dim, 256)


def test_teacher_informs_the_coarsest_stage():
    model, image = small_model(SMALL_HYBRID), clip(1)[:, 0]
    before, _ = model.step(image)
    model.teacher_model.pretrained.norm.weight.data.mul_(-1)
    after, _ = model.step(image)
    assert relmax(after, before) > 100 * ROUNDING
    assert sizes_through(model, model.hybrid_fusion, image) == (6, 8)


@pytest.mark.parametrize('config', EACH.values(), ids=EACH)
def test_every_bilinear_resize_aligns_corners(config, monkeypatch):
    calls = []

    def spy(*args, **settings):
        calls.append(settings)
        return interpolate(*args, **settings)

    interpolate = F.interpolate
    monkeypatch.setattr(F, 'interpolate', spy)
    small_model(config).step(clip(1)[:, 0])
    assert len(calls) >= 6
    assert all(call == {'mode': 'bilinear', 'align_corners': True} for call in calls)


def operators(model: FlashDepth, image: torch.Tensor) -> list[Node]:
    """Return the calls of one step, as an exporter sees them."""
    return list(make_fx(lambda *args: model.step(*args))(image, model.zero_state()).graph.nodes)


@pytest.mark.parametrize('config', EACH.values(), ids=EACH)
def test_every_gelu_is_exact(config):
    model, image = small_model(config), clip(1)[:, 0]
    gelus = [
        node for node in operators(model, image) if node.target is torch.ops.aten.gelu.default
    ]
    assert len(gelus) >= 4 + 2 + 1
    assert all(node.kwargs.get('approximate', 'none') == 'none' for node in gelus)


def test_graph_can_be_exported():
    """Without what TensorRT 10.3 lacks or computes otherwise."""
    names = {str(node.target) for node in operators(small_model(SMALL_L), clip(1)[:, 0])}
    assert 'aten.convolution.default' in names
    for absent in ('cumsum', 'bicubic', 'adaptive', 'nonzero', 'scalar'):
        assert not [name for name in names if absent in name]


@pytest.mark.parametrize('size', [(84, 100), (90, 112)])
def test_a_size_of_broken_patches_is_refused(size):
    with pytest.raises(InputError, match='multiples of 14'):
        small_model(SMALL_S).step(clip(1, *size)[:, 0])


def test_the_least_size():
    """Five patches a side, where the temporal module works at twice the patch grid."""
    model = small_model(SMALL_S)
    model.step(clip(1, 70, 70)[:, 0])
    with pytest.raises(InputError, match='too small'):
        model.step(clip(1, 56, 70)[:, 0])
    small_model(SMALL_L).step(clip(1, 28, 28)[:, 0])


def test_half_precision_keeps_the_scan_in_float32():
    model, images = small_model(SMALL_S), clip(3)
    with torch.no_grad():
        wanted, wanted_state = model.sequence(images)
        depth, state = model.bfloat16().sequence(images.bfloat16())
    assert depth.dtype == state.dtype == torch.float32
    assert relmax(depth, wanted) <= 5e-2  # bfloat16 has 8 bits
    assert relmax(state, wanted_state) <= 5e-2


@pytest.mark.parametrize('form', ['bare.pth', 'training.pth', 'plain.safetensors'])
def test_checkpoint_forms(tmp_path, form):
    model = small_model(SMALL_HYBRID)
    path, weights = tmp_path / form, model.state_dict()
    if form.endswith('.safetensors'):
        save_file(weights, path)
    else:
        training = {'model': weights, 'step': 14001, 'optimizer': {'state': {0: torch.ones(2)}}}
        torch.save(training if form.startswith('training') else weights, path)
    loaded, image = load_flashdepth(SMALL_HYBRID, path), clip(1)[:, 0]
    assert not loaded.training
    assert relmax(loaded.step(image)[0], model.step(image)[0]) <= ROUNDING
    loaded.sequence(clip(2))[0].sum().backward()  # and it can be trained further


def test_half_precision_file_runs_in_float32(tmp_path):
    path = tmp_path / 'half.safetensors'
    save_file({k: v.half() for k, v in small_model(SMALL_S).state_dict().items()}, path)
    assert {p.dtype for p in load_flashdepth(SMALL_S, path).parameters()} == {torch.float32}


def test_another_variant_is_refused(tmp_path):
    path = tmp_path / 'hybrid.pth'
    torch.save(small_model(SMALL_HYBRID).state_dict(), path)
    with pytest.raises(ModelError, match=r'has besides \d+ tensors, such as hybrid_fusion'):
        load_flashdepth(SMALL_S, path)


def test_a_bent_tensor_and_a_missing_one_are_named(tmp_path):
    weights = small_model(SMALL_S).state_dict()
    del weights['mamba.blocks.0.1.mamba.D']
    weights['pretrained.norm.bias'] = torch.zeros(25)
    path = tmp_path / 'bent.safetensors'
    save_file(weights, path)
    with pytest.raises(ModelError) as caught:
        load_flashdepth(SMALL_S, path)
    assert 'lacks 1 tensors, such as mamba.blocks.0.1.mamba.D' in str(caught.value)
    assert 'pretrained.norm.bias with (25,) instead of (24,)' in str(caught.value)


@pytest.mark.parametrize(
    'name', ['noise.pth', 'noise.safetensors', 'absent.pth', 'empty.pth', 'absent.safetensors']
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, name):
    path = tmp_path / name
    if name.startswith('noise'):
        path.write_bytes(b'these are not the weights' * 9)
    elif name.startswith('empty'):
        path.touch()
    with pytest.raises(ModelError, match=name):
        load_flashdepth(SMALL_S, path)


class Trap:
    def __reduce__(self):
        return print, ('code of the file was run',)


@pytest.mark.parametrize('content', [{'model': 3}, [torch.ones(2)], {'a': Trap()}])
def test_other_content_is_refused_and_not_run(tmp_path, content, capsys):
    path = tmp_path / 'other.pth'
    torch.save(content, path)
    with pytest.raises(ModelError, match=r'other\.pth'):
        load_flashdepth(SMALL_S, path)
    assert not capsys.readouterr().out
