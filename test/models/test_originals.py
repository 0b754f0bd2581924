# SPDX-License-Identifier: Apache-2.0
"""Original files of the releases, and files that must be rejected."""

from __future__ import annotations

import argparse
import collections
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from test.support.small_align3r import SMALL as SMALL_ALIGN3R
from test.support.small_align3r import small_align3r
from test.support.small_flashdepth import EACH, relmax, small_model
from videodepth_ros.core.errors import ModelError
from videodepth_ros.models import depth_anything_release as release
from videodepth_ros.models import variants
from videodepth_ros.models.catalogue import align3r_card, card, weights_folder, weights_path
from videodepth_ros.models.dpt import DPT, DPTConfig
from videodepth_ros.models.importing import import_weights
from videodepth_ros.models.safetensors_file import write_safetensors
from videodepth_ros.models.vit import ViTConfig


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setattr(variants, '_CONFIGS', {'flashdepth-s': EACH['S']})
    monkeypatch.setattr(variants, 'ALIGN3R', SMALL_ALIGN3R)


def weights() -> dict[str, torch.Tensor]:
    return small_model(EACH['S']).state_dict()


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    'wrap',
    [
        lambda w: w,
        lambda w: {'model': w, 'args': argparse.Namespace(lr=1e-4, folder=Path('a'))},
        lambda w: {'state_dict': {f'module.{name}': value for name, value in w.items()}},
        lambda w: {'model': w, 'loss': np.float64(0.5), 'epoch': np.int64(3)},
        lambda w: {'model': w, 'log': collections.defaultdict(list)},
        lambda w: {'model': {name: value.half() for name, value in w.items()}},
    ],
    ids=['bare', 'namespace', 'module.', 'numpy', 'defaultdict', 'fp16'],
)
def test_what_trainers_write_is_imported(tmp_path, wrap):
    assert import_weights(saved(tmp_path / 'iter.pth', wrap(weights()))).name == 'flashdepth-s'
    stored = load_file(weights_path(card('flashdepth-s')))
    assert stored.keys() == weights().keys()


def test_stored_files_follow_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        import_weights(saved(tmp_path / 'iter.pth', weights()))
    finally:
        os.umask(before)
    assert weights_path(card('flashdepth-s')).stat().st_mode & 0o777 == 0o644


class Executed:
    """An object whose unpickling would run a command."""

    def __reduce__(self):
        return os.system, ('exit 7',)


def test_an_object_with_code_is_named_and_not_run(tmp_path):
    file = saved(tmp_path / 'evil.pth', {'model': weights(), 'x': Executed()})
    with pytest.raises(ModelError, match=r'object of posix\.system') as caught:
        import_weights(file)
    assert 'weights_only' not in str(caught.value)
    log = collections.defaultdict(list, {'loss': [1.0]})
    with pytest.raises(ModelError, match=r'object of collections\.defaultdict'):
        import_weights(saved(tmp_path / 'log.pth', {'model': weights(), 'log': log}))


def test_a_compressed_archive_is_rejected_before_it_is_read(tmp_path):
    file = saved(tmp_path / 'plain.pth', {'a': torch.zeros(1_000_000)})
    bomb = tmp_path / 'bomb.pth'
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(bomb, 'w') as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry), zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 20_000
    with pytest.raises(ModelError, match='compressed archive of 4 MB'):
        import_weights(bomb)


def test_a_repeated_storage_is_rejected_before_it_is_expanded(tmp_path):
    file = saved(tmp_path / 'bomb.pth', {'a': torch.zeros(1).expand(1 << 40)})
    with pytest.raises(ModelError, match='repeats a small storage'):
        import_weights(file)


def test_other_networks_are_named(tmp_path):
    windows = {**weights(), 'head.motion_modules.0.norm.weight': torch.ones(2)}
    with pytest.raises(ModelError, match='Video Depth Anything'):
        import_weights(saved(tmp_path / 'vda.pth', windows))
    dust3r = {
        name: value
        for name, value in small_align3r().state_dict().items()
        if not name.startswith(('dec_blocks_pc', 'zero_convs', 'patch_embed_point'))
    }
    with pytest.raises(ModelError, match=r'checkpoint of DUSt3R.*fetch align3r-depth-pro'):
        import_weights(saved(tmp_path / 'dust3r.pth', {'model': dust3r}))


def test_align3r_checkpoints_of_both_priors_are_stored_beside_each_other(tmp_path):
    folder = tmp_path / 'Align3R_DepthPro_ViTLarge'
    folder.mkdir()
    (folder / 'config.json').write_text('{"enc_depth": 24}')
    saved(folder / 'checkpoint-last.pth', {'model': small_align3r().state_dict()})
    assert import_weights(folder).name == 'align3r-depth-pro'
    other = saved(tmp_path / 'other.pth', {'model': small_align3r().state_dict()})
    assert import_weights(other, 'align3r-depth-anything-v2').name == 'align3r-depth-anything-v2'
    assert import_weights(other).name == 'align3r'
    assert align3r_card(metric=True).name == 'align3r-depth-pro'
    weights_path(align3r_card(metric=True)).unlink()
    assert align3r_card(metric=True).name == 'align3r', 'the one of unnamed prior'
    assert align3r_card(metric=False).name == 'align3r-depth-anything-v2'


def test_a_folder_with_several_checkpoints_names_them(tmp_path):
    for name in ('a.pth', 'b.pth'):
        saved(tmp_path / name, weights())
    with pytest.raises(ModelError, match=r'several checkpoints.*a\.pth, b\.pth'):
        import_weights(tmp_path)
    (tmp_path / 'b.pth').unlink()
    assert import_weights(tmp_path).name == 'flashdepth-s'


def test_a_tar_of_a_folder_is_imported_and_links_are_not(tmp_path):
    saved(tmp_path / 'iter.pth', weights())
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:
        archive.add(tmp_path / 'iter.pth', 'checkpoint/iter.pth')
    assert import_weights(tmp_path / 'a.tar').name == 'flashdepth-s'
    with tarfile.open(tmp_path / 'b.tar', 'w') as archive:
        link = tarfile.TarInfo('checkpoint/iter.pth')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        archive.addfile(link)
    with pytest.raises(ModelError, match='holds links'):
        import_weights(tmp_path / 'b.tar')


def test_a_pickle_that_is_no_archive_is_rejected(tmp_path):
    (tmp_path / 'list.pth').write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ModelError, match=r'cannot be read as a checkpoint|not a state dict'):
        import_weights(tmp_path / 'list.pth')


def test_the_writer_agrees_with_the_library(tmp_path):
    tensors = {
        'b': torch.randn(3, 4).T,
        'a': torch.arange(5, dtype=torch.int16),
        'c': torch.randn(2, dtype=torch.bfloat16),
        'd': torch.tensor(2.0),
        'e': torch.zeros(0, 3),
    }
    write_safetensors(tensors, tmp_path / 'own.safetensors', {'format': 'pt'})
    found = load_file(tmp_path / 'own.safetensors')
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor), name
        assert found[name].dtype == tensor.dtype
    with pytest.raises(ModelError, match='a holds NaN'):
        write_safetensors({'a': torch.tensor([np.nan])}, tmp_path / 'nan.safetensors')


class DepthAnythingReference(nn.Module):
    """The release's network from this package's modules, whose names are the release's."""

    def __init__(self, encoder: ViTConfig, decoder: DPTConfig) -> None:
        super().__init__()
        self.pretrained, self.depth_head = encoder.build(), DPT(encoder, decoder)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        head = self.depth_head
        levels = head.levels(self.pretrained(image))
        path = head.stage_4(levels[3], levels[2].shape[-2:])
        for stage in (3, 2, 1):
            path = head.stage(stage, path, levels)
        return head.head(path, image.shape[-2:])


@pytest.fixture
def small_release(monkeypatch):
    """A Depth Anything V2 of 24 channels, and the conversion with its sizes."""
    backbone = {'num_hidden_layers': 4, 'num_attention_heads': 2, 'out_indices': [1, 2, 3, 4]}
    decoder = {'neck_hidden_sizes': [8, 8, 12, 12], 'fusion_hidden_size': 16}
    monkeypatch.setattr(release, 'SIZES', {24: ('small', backbone, decoder)})
    torch.manual_seed(0)
    encoder = ViTConfig(dim=24, depth=4, heads=2, taps=(0, 1, 2, 3))
    network = DepthAnythingReference(encoder, DPTConfig(dim=16, channels=(8, 8, 12, 12)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        network.depth_head.scratch['output_conv2'][2].bias.fill_(1.0)
    return network.eval()


@pytest.mark.filterwarnings('ignore')
def test_depth_anything_of_the_release_is_converted(tmp_path, small_release):
    transformers = pytest.importorskip('transformers')
    file = saved(tmp_path / 'depth_anything_v2_vits.pth', small_release.state_dict())
    target = tmp_path / 'folder'
    weights = torch.load(file)
    assert release.variant_of(weights, file, None) == 'depth-anything-v2-small'
    release.write_folder(weights, 'depth-anything-v2-small', target)
    model = transformers.DepthAnythingForDepthEstimation.from_pretrained(target).eval()
    image = torch.randn(1, 3, 518, 518)
    with torch.inference_mode():
        assert relmax(model(image).predicted_depth, small_release(image)) < 1e-5
    processor = transformers.DPTImageProcessorPil.from_pretrained(target)
    assert processor.ensure_multiple_of == 14


@pytest.mark.parametrize(
    ('file', 'name', 'expected'),
    [
        ('depth_anything_v2_vits.pth', None, 'depth-anything-v2-small'),
        (
            'depth_anything_v2_metric_hypersim_vits.pth',
            None,
            'depth-anything-v2-metric-indoor-small',
        ),
        (
            'depth_anything_v2_metric_vkitti_vits.pth',
            None,
            'depth-anything-v2-metric-outdoor-small',
        ),
        ('mine.pth', 'depth-anything-v2-small', 'depth-anything-v2-small'),
        ('mine.pth', None, None),
        ('mine.pth', 'depth-anything-v2-large', None),
    ],
)
def test_the_variant_of_depth_anything_follows_from_file_or_option(file, name, expected):
    weights = {release.TOKEN: torch.zeros(1, 1, 384), release.MARKER: torch.zeros(1)}
    if expected is None:
        with pytest.raises(ModelError, match='give its name with --as'):
            release.variant_of(weights, Path(file), name)
    else:
        assert release.variant_of(weights, Path(file), name) == expected


def test_an_imported_name_must_fit(tmp_path):
    with pytest.raises(ModelError, match='weights of flashdepth-s, not of depth-pro'):
        import_weights(saved(tmp_path / 'iter.pth', weights()), 'depth-pro')
    assert not list(weights_folder().iterdir())


def test_a_safetensors_of_the_store_is_imported_again(tmp_path):
    save_file(weights(), tmp_path / 'model.safetensors')
    assert import_weights(tmp_path / 'model.safetensors').name == 'flashdepth-s'
