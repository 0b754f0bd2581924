# SPDX-License-Identifier: Apache-2.0
"""Depth Pro against what the official code computes, with a small network."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from test.support import goldens as reference
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.importing import import_weights
from videodepth_ros.models.mono import open_mono_prior

golden = partial(reference.golden, 'depthpro')
pytest.importorskip(
    'transformers', reason='transformers is not installed: pip install -r requirements/priors.txt'
)

TOLERANCE = 1e-5  # of the README beside the goldens, relative


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path))
    return tmp_path


@pytest.fixture
def record(store):
    (store / 'depth-pro').symlink_to(golden('tiny_hf'))
    return np.load(golden('tiny_depthpro_io.npz'))


def frame(image: np.ndarray, fx: float | None = None) -> Frame:
    height, width = image.shape[:2]
    camera = Intrinsics(width, height, fx, fx, width / 2, height / 2) if fx else None
    return Frame(0, 'camera', image, camera)


@pytest.mark.parametrize(('case', 'fx'), [('a', None), ('b', None), ('c', 200.0), ('d', None)])
def test_depth_and_focal_length(record, case, fx):
    found = next(open_mono_prior('depth-pro').estimate([frame(record[f'{case}_image'], fx)]))
    assert np.abs(found.values / record[f'{case}_depth'] - 1).max() <= TOLERANCE
    assert found.focal_px == pytest.approx(float(record[f'{case}_focal_px']), rel=TOLERANCE)


def test_a_batch(record):
    found = open_mono_prior('depth-pro', batch=2).estimate(map(frame, record['batch_images']))
    np.testing.assert_allclose(
        [each.focal_px for each in found], record['batch_focal_px'], rtol=TOLERANCE
    )


def test_the_checkpoint_of_the_release_becomes_the_folder_of_the_library(store, monkeypatch):
    from safetensors.torch import load_file

    from videodepth_ros.models import depth_pro_release

    small = {
        'model_type': 'dinov2',
        'hidden_size': 32,
        'num_hidden_layers': 6,
        'num_attention_heads': 2,
    }
    vit = {**depth_pro_release._VIT, **small}
    monkeypatch.setattr(
        depth_pro_release,
        'RELEASED',
        depth_pro_release.RELEASED
        | {
            'fusion_hidden_size': 16,
            'intermediate_hook_ids': [3, 1],
            'intermediate_feature_dims': [16, 16],
            'scaled_images_feature_dims': [32, 32, 24],
            'image_model_config': vit,
            'patch_model_config': vit,
            'fov_model_config': vit,
        },
    )
    assert import_weights(golden('tiny_official_depthpro.pt')).name == 'depth-pro'
    found = load_file(store / 'depth-pro' / 'model.safetensors')
    wanted = load_file(golden('tiny_hf') / 'model.safetensors')
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


def test_the_release_has_as_many_parameters_as_its_paper_says():
    from transformers import DepthProConfig, DepthProForDepthEstimation

    from videodepth_ros.models.depth_pro_release import RELEASED

    with torch.device('meta'):
        model = DepthProForDepthEstimation(DepthProConfig(**RELEASED))
    assert len(model.state_dict()) == 1407
    assert sum(parameter.numel() for parameter in model.parameters()) == 951_991_330
