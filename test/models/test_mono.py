# SPDX-License-Identifier: Apache-2.0
"""What every monocular prior shares, with small random networks in folders of the hub's form."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch

from test.support.small_priors import frame, small_depth_anything, small_depth_pro
from videodepth_ros.core.errors import ConfigError, DeviceError, InputError, ModelError
from videodepth_ros.models.catalogue import PRIOR_CARDS
from videodepth_ros.models.mono import MonoEstimate, PriorKind, open_mono_prior
from videodepth_ros.models.prior import batches

BOTH = ['depth-pro', 'depth-anything-v2-small']


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Keep the user's own folders out, and return that of the weights."""
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hub'))
    torch.set_num_threads(1)
    return tmp_path / 'weights'


@pytest.fixture
def networks(store):
    small_depth_pro(store / 'depth-pro')
    small_depth_anything(store / 'depth-anything-v2-small')
    return store


def relmax(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.usefixtures('networks')
@pytest.mark.parametrize('name', BOTH)
def test_a_batch_changes_nothing_and_keeps_the_order(name):
    frames = [
        frame(seed=0),
        frame(seed=1),
        frame(40, 56, seed=2),
        frame(40, 56, seed=3),
        frame(40, 56, seed=4),
    ]
    alone = [next(open_mono_prior(name).estimate([each])) for each in frames]
    together = list(open_mono_prior(name, batch=2).estimate(iter(frames)))
    assert len(together) == len(frames)
    for found, wanted in zip(together, alone, strict=True):
        assert found.values.shape == wanted.values.shape
        assert relmax(found.values, wanted.values) <= 1e-5
    assert relmax(alone[0].values, alone[1].values) > 1e-3, 'two frames have two depths'


@pytest.mark.usefixtures('networks')
@pytest.mark.parametrize('name', BOTH)
def test_frames_are_taken_as_they_are_needed(name):
    taken = []

    def source():
        for seed in range(6):
            taken.append(seed)
            yield frame(seed=seed)

    estimates = open_mono_prior(name, batch=2).estimate(source())
    next(estimates)
    assert len(taken) <= 3


@pytest.mark.usefixtures('networks')
@pytest.mark.parametrize('name', BOTH)
def test_half_precision_is_near(name):
    wanted = next(open_mono_prior(name).estimate([frame()]))
    found = next(open_mono_prior(name, precision='bf16').estimate([frame()]))
    assert found.values.dtype == np.float32
    assert 0 < relmax(found.values, wanted.values) < 0.1


@pytest.mark.usefixtures('networks')
def test_the_licence_is_told():
    assert 'must not be used commercially' in open_mono_prior('depth-pro').notice
    assert open_mono_prior('depth-anything-v2-small').notice is None


def test_batches_are_of_one_size():
    frames = [frame(), frame(), frame(), frame(40, 40), frame()]
    assert [len(batch) for batch in batches(frames, 2)] == [2, 1, 1, 1]


def test_another_focal_length_scales_metric_depth():
    estimate = MonoEstimate(np.full((2, 2), 3, np.float32), PriorKind.METRIC, 100.0)
    moved = estimate.at_focal(150)
    assert moved.focal_px == 150
    assert (moved.values == 4.5).all()
    with pytest.raises(InputError, match='no focal length'):
        MonoEstimate(estimate.values, PriorKind.RELATIVE_INVERSE).at_focal(150)


@pytest.mark.usefixtures('networks')
def test_names_and_options_that_cannot_be():
    with pytest.raises(ConfigError, match=r"'depth-amateur'.*depth-pro, depth-anything-v2-small"):
        open_mono_prior('depth-amateur')
    with pytest.raises(ConfigError, match="'tpu'"):
        open_mono_prior('depth-pro', device='tpu')
    with pytest.raises(ConfigError, match=r"'int8'.*fp16"):
        open_mono_prior('depth-pro', precision='int8')
    with pytest.raises(ConfigError, match='-1 frames'):
        open_mono_prior('depth-pro', batch=-1)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match='no GPU'):
            open_mono_prior('depth-pro', device='cuda:0')


@pytest.mark.parametrize('card', PRIOR_CARDS, ids=lambda card: card.name)
def test_missing_weights_say_how_to_get_them(card, store):
    with pytest.raises(ModelError, match=f'videodepth weights fetch {card.name}'):
        open_mono_prior(card.name)


@pytest.mark.parametrize('absent', ['config.json', 'model.safetensors'])
def test_a_missing_component_is_named(networks, absent):
    (networks / 'depth-pro' / absent).unlink()
    with pytest.raises(ModelError, match=f'lacks {absent} of depth-pro: videodepth weights fetch'):
        open_mono_prior('depth-pro')


def test_a_missing_tensor_is_named_and_never_random(networks):
    from safetensors.torch import load_file, save_file

    file = networks / 'depth-anything-v2-small' / 'model.safetensors'
    weights = load_file(file)
    del weights['head.conv2.weight']
    save_file(weights, file, {'format': 'pt'})
    with pytest.raises(ModelError, match=r'lacks 1 tensors.*head\.conv2\.weight'):
        open_mono_prior('depth-anything-v2-small')


def test_a_broken_file_is_named(networks):
    file = networks / 'depth-pro' / 'model.safetensors'
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match='cannot be read as a DepthPro'):
        open_mono_prior('depth-pro')


def test_the_cache_of_the_hub_serves_as_well(networks, tmp_path):
    entry = tmp_path / 'hub' / 'models--apple--DepthPro-hf'
    (entry / 'refs').mkdir(parents=True)
    (entry / 'refs' / 'main').write_text('0123abc')
    shutil.move(networks / 'depth-pro', entry / 'snapshots' / '0123abc')
    assert next(open_mono_prior('depth-pro').estimate([frame()])).values.shape == (48, 64)


def test_without_the_library_the_mend_is_told(networks, monkeypatch):
    for module in ('depth_anything', 'depth_pro', 'pretrained'):
        monkeypatch.delitem(sys.modules, f'videodepth_ros.models.{module}', raising=False)
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(DeviceError, match=r"pip install torch .*'transformers>="):
        open_mono_prior('depth-pro')
