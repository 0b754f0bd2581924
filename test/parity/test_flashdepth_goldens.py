# SPDX-License-Identifier: Apache-2.0
"""FlashDepth computes what the official modules compute, at every size they were recorded at."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from test.support.flashdepth_goldens import CONFIGS, golden, model_of, weight
from videodepth_ros.models.checkpoint import shapes_of
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.preprocess import official_input, official_size

FLOAT32_GATE = 5e-5  # float32 against float64 of the official code differ by up to 4.4e-6
FLOAT16_GATE = 1e-3  # of goldens that were stored in half precision
RECORDED = (
    'tiny_S@196x266',
    'tiny_L@98x140',
    'tiny_L@280x420',
    'tiny_Full@196x266',
    'tiny_Full@112x154',
    'real_S@252x350',
    'real_S@518x518',
    'real_L@252x350',
    'real_Full@518x700',
)


def relmax(found, wanted) -> float:
    return float(np.abs(found - wanted.astype(np.float32)).max() / np.abs(wanted).max())


@pytest.mark.parametrize('name', RECORDED)
def test_stream_equals_official(name):
    """Depth of every frame, and each recorded state, along the stream."""
    record = np.load(golden(f'{name}.npz'))
    gate = FLOAT32_GATE if record['depth'].dtype == np.float32 else FLOAT16_GATE
    model = model_of(name.partition('@')[0])
    video = torch.from_numpy(record['video_i8'] / np.float32(32))
    state = None
    for t in range(video.shape[1]):
        with torch.inference_mode():
            inverse_depth, state = model.step(video[:, t], state)
        assert relmax(inverse_depth.numpy(), record['depth'][:, t]) <= gate, f'frame {t}'
        for layer in range(len(state)):
            key = f'ssm_f{t}_l{layer}'
            if key in record:
                assert relmax(state[layer].numpy(), record[key]) <= FLOAT32_GATE, key


@pytest.mark.parametrize('name', ['tiny_S@196x266', 'tiny_L@98x140', 'tiny_Full@196x266'])
def test_sequence_equals_official(name):
    """All frames at once."""
    record = np.load(golden(f'{name}.npz'))
    video = torch.from_numpy(record['video_i8'] / np.float32(32))
    with torch.inference_mode():
        inverse_depth, state = model_of(name.partition('@')[0]).sequence(video)
    assert relmax(inverse_depth.numpy(), record['depth']) <= FLOAT32_GATE
    last = video.shape[1] - 1
    for layer in range(len(state)):
        assert relmax(state[layer].numpy(), record[f'ssm_f{last}_l{layer}']) <= FLOAT32_GATE


def watch(module: torch.nn.Module) -> list:
    """Return a list that will hold the inputs and the output of each call of a module."""
    calls: list = []
    module.register_forward_hook(lambda _, inputs, output: calls.append((inputs, output)))
    return calls


@pytest.mark.parametrize('name', ['tiny_S@196x266', 'tiny_L@98x140', 'tiny_Full@196x266'])
def test_stages_equal_official(name):
    """What passes between the parts in the first frame, so that a mistake shows its place."""
    record = np.load(golden(f'{name}.npz'))
    model = model_of(name.partition('@')[0])
    encoder = model.pretrained
    watched = {f'f0_vit_block{i}': watch(block) for i, block in enumerate(encoder.blocks)}
    watched['f0_path_4_student'] = watch(model.depth_head.scratch['refinenet4'])
    first, *_, last = model.mamba.blocks[0]
    watched |= {'f0_mamba_block0_out': watch(first), 'f0_mamba_last_out': watch(last)}
    if model.config.hybrid is not None:
        watched['f0_path_4_teacher'] = watch(model.teacher_model)
        watched['f0_path_4_fused'] = watch(model.hybrid_fusion)
    temporal = watch(model.mamba)
    with torch.inference_mode():
        model.step(torch.from_numpy(record['video_i8'][:, 0] / np.float32(32)))
    found = {key: calls[0][1] for key, calls in watched.items()}
    for key in ('f0_mamba_block0_out', 'f0_mamba_last_out'):
        found[key] = found[key][0].squeeze(1)
    found['f0_mamba_fn_in'], found['f0_mamba_fn_out'] = temporal[0][0][0], temporal[0][1][0]
    assert set(found) == {key for key in record if key.startswith('f0_')}
    for key, value in found.items():
        assert relmax(value.numpy(), record[key]) <= FLOAT32_GATE, key


@pytest.mark.parametrize('variant', ['S', 'L', 'Full'])
def test_official_names_and_shapes(variant):
    listed = json.loads(golden(f'keys_{variant}.json').read_text())
    with torch.device('meta'):
        model = FlashDepth(CONFIGS[f'real_{variant}'])
    assert shapes_of(model.state_dict()) == {key: tuple(shape) for key, shape in listed.items()}


@pytest.mark.parametrize('name', ['tiny_S', 'tiny_L', 'tiny_Full', 'real_S'])
def test_rule_of_weights(name):
    facts = json.loads(golden(f'{name}.weights.json').read_text())
    for key, value in model_of(name).state_dict().items():
        assert zlib.crc32(value.numpy().astype('<f4').tobytes()) == facts[key]['crc32'], key


@pytest.mark.parametrize('name', ['tiny_S', 'tiny_L'])
def test_checkpoint_file_loads(name):
    model = load_flashdepth(CONFIGS[name], golden(f'{name}.safetensors'))
    for key, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert_array_equal(value.numpy(), weight(key, tuple(value.shape)))


def test_official_size():
    for camera, facts in json.loads(golden('preprocess_sizes.json').read_text()).items():
        width, height = map(int, camera.split('x'))
        assert official_size(width, height) == (facts['net_w'], facts['net_h']), camera


@pytest.mark.parametrize('size', ['101x75', '140x98', '97x61'])
def test_official_input(size):
    record = np.load(golden('preprocess.npz'))
    found = official_input(record[f'bgr_{size}'][..., ::-1])
    # Equal to the bit with OpenCV 4.14; the cubic weights of others may be rounded differently.
    assert np.abs(found - record[f'net_{size}']).max() <= 1e-5
