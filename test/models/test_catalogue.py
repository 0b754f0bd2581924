# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model

from test.support.small_align3r import SMALL as SMALL_ALIGN3R
from test.support.small_align3r import small_align3r
from test.support.small_flashdepth import EACH, relmax, small_model
from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.models import variants
from videodepth_ros.models.catalogue import (
    ALIGN3R_CARD,
    INSTALL_PRIORS,
    PRIOR_CARDS,
    InverseDepthUnit,
    card,
    cards,
    weights_card,
    weights_cards,
    weights_folder,
    weights_path,
)
from videodepth_ros.models.flashdepth import load_flashdepth
from videodepth_ros.models.importing import import_weights
from videodepth_ros.models.mamba import pooled_size

SMALL = {'flashdepth-s': EACH['S'], 'flashdepth': EACH['hybrid']}


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """Keep the user's own folders out."""
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))


@pytest.fixture
def _small(monkeypatch):
    """Know the variants at sizes that a test can write."""
    monkeypatch.setattr(variants, '_CONFIGS', SMALL)
    monkeypatch.setattr(variants, 'ALIGN3R', SMALL_ALIGN3R)


def test_names():
    assert [model.name for model in cards()] == [
        'nano',
        'nano-1',
        'flashdepth-s',
        'flashdepth-l',
        'flashdepth',
    ]
    for model in cards():
        assert card(model.name) is model
        assert model.weights_file == f'{model.name}.safetensors'


def test_an_unknown_name_is_refused_with_the_choices():
    choices = r"'flashdepth-xl'.*nano, nano-1, flashdepth-s, flashdepth-l"
    with pytest.raises(ConfigError, match=choices):
        card('flashdepth-xl')
    with pytest.raises(ConfigError, match=choices):
        variants.config_of('flashdepth-xl')


def test_licences():
    """Depth Anything V2 Large, from which the large networks began, is non-commercial."""
    licences = {model.name: (model.licence, model.commercial_use) for model in cards()}
    assert licences == {
        'nano': ('Apache-2.0', True),
        'nano-1': ('Apache-2.0', True),
        'flashdepth-s': ('Apache-2.0', True),
        'flashdepth-l': ('CC-BY-NC-4.0', False),
        'flashdepth': ('CC-BY-NC-4.0', False),
    }
    notice = card('flashdepth-l').notice
    assert notice is not None
    assert 'CC-BY-NC-4.0' in notice
    assert card('nano').notice is None


def test_the_network_of_the_offline_job_is_no_choice_of_those_that_stream():
    assert ALIGN3R_CARD not in cards()
    assert set(weights_cards()) >= {*cards(), ALIGN3R_CARD, *PRIOR_CARDS}
    assert weights_card('align3r') is ALIGN3R_CARD
    assert weights_card('nano') is card('nano')
    with pytest.raises(ConfigError, match="'align3r': choose one of nano"):
        card('align3r')
    with pytest.raises(ConfigError, match=r"'other'.*flashdepth, align3r-depth-pro"):
        weights_card('other')
    assert set(variants._networks()) == {known.name for known in (*cards(), ALIGN3R_CARD)}
    assert ALIGN3R_CARD.notice is not None
    assert 'align3r are licensed CC-BY-NC-SA-4.0' in ALIGN3R_CARD.notice
    assert 'commercially' in ALIGN3R_CARD.notice


def test_only_the_small_ones_of_the_priors_are_free():
    assert len(PRIOR_CARDS) == 10
    free = {known.name for known in PRIOR_CARDS if known.commercial_use}
    assert free == {
        'depth-anything-v2-small',
        'depth-anything-v2-metric-indoor-small',
        'depth-anything-v2-metric-outdoor-small',
    }
    assert {known.repository for known in PRIOR_CARDS} >= {
        'apple/DepthPro-hf',
        'depth-anything/Depth-Anything-V2-Large-hf',
        'depth-anything/Depth-Anything-V2-Metric-Outdoor-Base-hf',
    }


def test_who_lacks_the_libraries_of_the_priors_is_told_their_names(root):
    wanted = (root / 'requirements/priors.txt').read_text().splitlines()[1:]
    assert all(f"'{line.partition('#')[0].strip()}'" in INSTALL_PRIORS for line in wanted)


def test_units():
    units = {model.name: model.unit for model in cards()}
    assert units.pop('nano') is units.pop('nano-1') is InverseDepthUnit.CANONICAL_AREA
    assert set(units.values()) == {InverseDepthUnit.NOMINAL}


@pytest.mark.parametrize('model', cards(), ids=lambda model: model.name)
def test_card_agrees_with_its_network(model):
    config = variants.config_of(model.name)
    assert config.mamba_stage == model.mamba_stage
    assert config.encoder.patch == model.patch
    scale = 2 ** (4 - config.mamba_stage)
    cells = -(-model.min_size_px // model.patch)
    assert min(pooled_size((cells * scale, cells * scale), config.mamba.pool)) >= 1


@pytest.mark.parametrize('model', cards()[2:], ids=lambda model: model.name)
def test_least_size_of_the_published_is_the_least_possible(model):
    config = variants.config_of(model.name)
    cells = (model.min_size_px // model.patch - 1) * 2 ** (4 - config.mamba_stage)
    assert int(cells * config.mamba.pool) == 0


def test_folder(tmp_path, monkeypatch):
    assert weights_folder() == tmp_path / 'weights'
    monkeypatch.delenv('VIDEODEPTH_WEIGHTS')
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    assert weights_folder() == tmp_path / 'data' / 'videodepth' / 'weights'
    for ignored in ('', 'relative'):
        monkeypatch.setenv('XDG_DATA_HOME', ignored)
        assert weights_folder() == Path.home() / '.local/share/videodepth/weights'


def test_missing_weights_say_where_to_get_them():
    with pytest.raises(ModelError, match=r'videodepth weights fetch flashdepth-l'):
        weights_path(card('flashdepth-l'))


@pytest.mark.usefixtures('_small')
@pytest.mark.parametrize('name', SMALL)
@pytest.mark.parametrize('form', ['iter_1.pth', 'renamed.safetensors'])
def test_import_recognises_the_variant_by_its_tensors(tmp_path, name, form):
    file, model = tmp_path / form, small_model(SMALL[name])
    if form.endswith('.pth'):
        weights = model.state_dict()
        pair = torch.stack((weights['pretrained.norm.weight'], weights['pretrained.norm.bias']))
        weights['pretrained.norm.weight'], weights['pretrained.norm.bias'] = pair  # views of one
        torch.save({'model': weights, 'optimizer': {'lr': torch.ones(1)}}, file)
    else:
        save_file(model.state_dict(), file)
    assert import_weights(file).name == name
    path = weights_path(card(name))
    assert path == tmp_path / 'weights' / f'{name}.safetensors'
    image = torch.randn(1, 3, 70, 70)
    assert relmax(load_flashdepth(SMALL[name], path).step(image)[0], model.step(image)[0]) <= 2e-5
    assert [p.name for p in path.parent.iterdir()] == [path.name], 'nothing is left lying about'


@pytest.mark.usefixtures('_small')
def test_import_completes_tensors_that_a_file_holds_once(tmp_path):
    file, model = tmp_path / 'model.safetensors', small_align3r()
    save_model(model, str(file))
    assert len(load_file(file)) == len(model.state_dict()) - 8
    assert import_weights(file) is ALIGN3R_CARD
    stored = load_file(weights_path(ALIGN3R_CARD))
    assert stored.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(stored[key], value), key


@pytest.mark.usefixtures('_small')
def test_import_again_replaces():
    model = small_model(SMALL['flashdepth-s'])
    file = weights_folder().parent / 'again.pth'
    for value in (1.0, 2.0):
        model.pretrained.norm.bias.data.fill_(value)
        torch.save(model.state_dict(), file)
        import_weights(file)
        stored = load_file(weights_path(card('flashdepth-s')))
        assert (stored['pretrained.norm.bias'] == value).all()


@pytest.mark.usefixtures('_small')
def test_who_reads_meanwhile_keeps_the_old_file(tmp_path):
    model, file = small_model(SMALL['flashdepth-s']), tmp_path / 'file.pth'
    torch.save(model.state_dict(), file)
    import_weights(file)
    with weights_path(card('flashdepth-s')).open('rb') as reader:
        before = reader.read()
        model.pretrained.norm.bias.data += 1
        torch.save(model.state_dict(), file)
        import_weights(file)
        reader.seek(0)
        assert reader.read() == before
    assert weights_path(card('flashdepth-s')).read_bytes() != before


@pytest.mark.usefixtures('_small')
def test_a_refused_import_leaves_the_store_as_it_was(tmp_path):
    model, file = small_model(SMALL['flashdepth-s']), tmp_path / 'file.pth'
    torch.save(model.state_dict(), file)
    import_weights(file)
    before = weights_path(card('flashdepth-s')).read_bytes()
    model.pretrained.norm.bias.data[3] = torch.nan
    torch.save(model.state_dict(), file)
    with pytest.raises(ModelError, match=r'pretrained\.norm\.bias holds NaN'):
        import_weights(file)
    torch.save({'model': {'a.b': torch.ones(2)}}, file)
    with pytest.raises(ModelError) as caught:
        import_weights(file)
    for name in (*SMALL, 'align3r'):
        assert f'{name}: it lacks' in str(caught.value)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ModelError, match='cannot be read'):
        import_weights(file)
    assert weights_path(card('flashdepth-s')).read_bytes() == before
    assert len(list(weights_folder().iterdir())) == 1


@pytest.mark.usefixtures('_small')
def test_a_checkpoint_of_an_old_torch_is_read(tmp_path):
    file = tmp_path / 'old.pth'
    torch.save(
        small_model(SMALL['flashdepth-s']).state_dict(), file, _use_new_zipfile_serialization=False
    )
    assert import_weights(file).name == 'flashdepth-s'


def test_what_is_no_checkpoint_or_not_there_is_called_that(tmp_path):
    with pytest.raises(ModelError, match=r'none\.pth does not exist'):
        import_weights(tmp_path / 'none.pth')
    for text in ('1 2 3', ''):
        (tmp_path / 'notes.txt').write_text(text)
        with pytest.raises(ModelError, match=r'notes\.txt .*: torch\.save has not written it'):
            import_weights(tmp_path / 'notes.txt')


@pytest.mark.usefixtures('_small')
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'weights').write_text('in the way')
    file = tmp_path / 'file.pth'
    torch.save(small_model(SMALL['flashdepth-s']).state_dict(), file)
    with pytest.raises(ConfigError, match='VIDEODEPTH_WEIGHTS'):
        import_weights(file)
