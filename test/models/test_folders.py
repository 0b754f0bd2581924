# SPDX-License-Identifier: Apache-2.0
"""Bringing the folders of monocular priors into the store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from test.support.small_priors import frame, small_depth_anything, small_depth_pro
from videodepth_ros.core.errors import ModelError
from videodepth_ros.models.catalogue import weights_folder, weights_path
from videodepth_ros.models.folders import identify_folder
from videodepth_ros.models.importing import import_weights
from videodepth_ros.models.mono import open_mono_prior


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hub'))


def test_a_folder_is_imported_and_only_its_components(tmp_path):
    source = small_depth_pro(tmp_path / 'downloaded')
    (source / 'malicious.py').write_text('1 / 0')
    card = import_weights(source)
    assert card.name == 'depth-pro'
    assert sorted(path.name for path in weights_path(card).iterdir()) == [
        'config.json',
        'model.safetensors',
    ]
    before = next(open_mono_prior('depth-pro').estimate([frame()])).values
    import_weights(small_depth_pro(tmp_path / 'other', seed=1))
    assert [path.name for path in weights_folder().iterdir()] == ['depth-pro'], 'nothing is left'
    assert not np.array_equal(
        next(open_mono_prior('depth-pro').estimate([frame()])).values, before
    )


@pytest.mark.parametrize(
    ('width', 'metric', 'largest', 'name'),
    [
        (384, False, 1, 'depth-anything-v2-small'),
        (768, False, 1, 'depth-anything-v2-base'),
        (1024, False, 1, 'depth-anything-v2-large'),
        (384, True, 20, 'depth-anything-v2-metric-indoor-small'),
        (1024, True, 80, 'depth-anything-v2-metric-outdoor-large'),
    ],
)
def test_depth_anything_is_recognised_by_its_configuration(tmp_path, width, metric, largest, name):
    change(small_depth_anything(tmp_path / 'da', metric=metric), width, largest)
    assert identify_folder(tmp_path / 'da').name == name


def change(folder, width, largest):
    config = json.loads((folder / 'config.json').read_text())
    config['backbone_config'] |= {'hidden_size': width, 'out_indices': [3, 6, 9, 12]}
    (folder / 'config.json').write_text(json.dumps(config | {'max_depth': largest}))


def test_the_first_depth_anything_is_not_taken_for_the_second(tmp_path):
    small_depth_anything(tmp_path / 'da', width=384)  # it reads the last blocks, as V1 did
    with pytest.raises(ModelError, match=r'version 1.*Depth-Anything-V2-Small-hf'):
        import_weights(tmp_path / 'da')


def test_folders_that_are_none(tmp_path):
    folder = tmp_path / 'folder'
    folder.mkdir()
    with pytest.raises(ModelError, match=r'neither a config\.json.* and no checkpoint'):
        import_weights(folder)
    (folder / 'config.json').write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match=r'a bert.*apple/DepthPro-hf'):
        import_weights(folder)
    (folder / 'config.json').write_text('{"model_type": "depth_pro"}')
    with pytest.raises(
        ModelError, match=r'depth-pro but lacks model\.safetensors: videodepth weights fetch'
    ):
        import_weights(folder)
    assert not list(weights_folder().iterdir())


def test_a_folder_with_nan_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    file = small_depth_pro(tmp_path / 'downloaded') / 'model.safetensors'
    weights = load_file(file)
    weights['head.layers.0.bias'][0] = np.nan
    save_file(weights, file, {'format': 'pt'})
    with pytest.raises(ModelError, match=r'head\.layers\.0\.bias of .* holds NaN'):
        import_weights(file.parent)


def test_the_folder_of_rollingdepth(tmp_path):
    pytest.importorskip('diffusers', reason='diffusers is not installed')
    source = Path(__file__).parents[2].parent / 'shared/goldens/rollingdepth/tiny_rollingdepth'
    if not source.exists():
        pytest.skip('reference data ../shared/goldens/rollingdepth is not beside the tree')
    card = import_weights(source)
    assert card.name == 'rollingdepth'
    stored = {
        str(path.relative_to(weights_path(card)))
        for path in weights_path(card).rglob('*')
        if path.is_file()
    }
    assert stored == set(card.components)
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'model_index.json').write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ModelError, match=r'a FluxPipeline.*prs-eth/rollingdepth'):
        import_weights(tmp_path / 'other')
