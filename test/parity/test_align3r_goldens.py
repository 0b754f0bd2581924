# SPDX-License-Identifier: Apache-2.0
"""Align3R's network computes what the official modules compute."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import save_file

from test.support.align3r_goldens import CONFIGS, encoded, golden, inputs, model_of, weight
from videodepth_ros.models.align3r import Align3R, PairPoints, load_align3r
from videodepth_ros.models.checkpoint import shapes_of

# float32 against float64 of the official code: 9e-5 of a point, 3e-6 of a confidence.
POINT_GATE, CONFIDENCE_GATE, STAGE_GATE = 1e-3, 1e-4, 1e-4
FULL_POINT_GATE, FULL_MEDIAN_GATE, FULL_CONFIDENCE_GATE = 1e-2, 1e-3, 1e-3
# Half and brain precision keep 11 and 8 bits: their relative rounding is 2**-11 and 2**-8.
REDUCED = {torch.float16: 2**-11, torch.bfloat16: 2**-8}
RECORDED = ('landscape', 'portrait')


def point_errors(found: torch.Tensor, wanted: np.ndarray) -> np.ndarray:
    """Distance of each point from the wanted one, as a part of its distance from the camera.

    The distance counts as at least a thousandth of the farthest one, as at zero nothing is exact.
    """
    distance = np.linalg.norm(wanted, axis=-1)
    error = np.linalg.norm(found.numpy() - wanted, axis=-1)
    return error / np.maximum(distance, 1e-3 * distance.max())


def views(points: PairPoints, record: np.lib.npyio.NpzFile):
    """Yield points found and wanted, confidences found and wanted, of either view."""
    yield points.points_1, record['pts3d'], points.confidence_1, record['conf']
    yield points.points_2, record['pts3d_in_other_view'], points.confidence_2, record['conf2']


@pytest.mark.parametrize('name', RECORDED)
def test_pair_equals_official(name):
    record, model = np.load(golden(f'model_tiny_{name}.npz')), model_of('tiny')
    with torch.inference_mode():
        found = model(*inputs(record))
    for points, wanted_points, confidence, wanted_confidence in views(found, record):
        assert point_errors(points, wanted_points).max() <= POINT_GATE
        assert_allclose(confidence.numpy(), wanted_confidence, rtol=CONFIDENCE_GATE)


@pytest.mark.parametrize('name', RECORDED)
def test_stages_equal_official(name):
    """What passes between the parts, so that a mistake shows its place."""
    record, model = np.load(golden(f'model_tiny_{name}.npz')), model_of('tiny')
    calls: list[torch.Tensor] = []
    for module in (model.enc_norm, model.patch_embed_point_cloud):
        module.register_forward_hook(lambda _, inputs, output: calls.append(output))
    with torch.inference_mode():
        first, second = encoded(model, record)
        decoded = model._decode(first, second)
    found = {'enc1': calls[0], 'enc2': calls[2], 'pc_embed': torch.cat(calls[1::2])}
    for view, (middle, _, last) in zip('12', decoded, strict=True):
        found |= {f'dec{view}_6': middle, f'dec{view}_last': last}
    for key, value in found.items():
        assert_allclose(value.numpy(), record[key], rtol=0, atol=STAGE_GATE, err_msg=key)


@pytest.mark.parametrize('precision', REDUCED, ids=str)
def test_reduced_precision_is_near_official(precision):
    record = np.load(golden('model_tiny_landscape.npz'))
    model = model_of('tiny').in_precision(precision)
    with torch.inference_mode():
        found = model(*inputs(record))
    for points, wanted_points, confidence, wanted_confidence in views(found, record):
        assert points.dtype == confidence.dtype == torch.float32
        rounding = REDUCED[precision]
        assert np.median(point_errors(points, wanted_points)) <= 5 * rounding
        assert np.median(abs(confidence.numpy() / wanted_confidence - 1)) <= 5 * rounding


def test_full_size_equals_official():
    images = np.load(golden('model_full_inputs.npz'))
    record = np.load(golden('model_full_512x288.npz'))
    with torch.inference_mode():
        found = model_of('full')(*inputs(images))
    sampled = PairPoints(*(value[:, ::4, ::4] for value in vars(found).values()))
    for points, wanted_points, confidence, wanted_confidence in views(sampled, record):
        errors = point_errors(points, wanted_points)
        assert errors.max() <= FULL_POINT_GATE
        assert np.median(errors) <= FULL_MEDIAN_GATE
        assert_allclose(confidence.numpy(), wanted_confidence, rtol=FULL_CONFIDENCE_GATE)


def test_official_names_and_shapes():
    listed = json.loads(golden('keys_align3r.json').read_text())
    assert len(listed) == 1069
    with torch.device('meta'):
        model = Align3R(CONFIGS['full'])
    assert shapes_of(model.state_dict()) == {key: tuple(shape) for key, shape in listed.items()}


def test_official_names_that_share_a_tensor():
    with torch.device('meta'):
        named = Align3R(CONFIGS['full']).state_dict(keep_vars=True)
    pairs = json.loads(golden('keys_aliases.json').read_text())
    for one, other in pairs:
        assert named[one] is named[other]
    assert len({id(value) for value in named.values()}) == len(named) - len(pairs)


def test_rule_of_weights():
    state = np.load(golden('model_tiny_state.npz'))
    twice = dict(json.loads(golden('keys_aliases.json').read_text()))
    for key in state:
        assert_array_equal(weight(twice.get(key, key), state[key].shape), state[key], key)


@pytest.mark.parametrize('name', ['official.pth', 'official.safetensors'])
def test_checkpoint_file_loads_unmodified(tmp_path, name):
    state = {
        key: torch.from_numpy(value)
        for key, value in np.load(golden('model_tiny_state.npz')).items()
    }
    path = tmp_path / name
    if name.endswith('.pth'):
        torch.save({'model': state, 'epoch': 49}, path)
    else:
        save_file(state, path)
    loaded = load_align3r(path, CONFIGS['tiny']).state_dict()
    assert loaded.keys() == state.keys()
    for key, value in loaded.items():
        assert torch.equal(value, state[key]), key
