# SPDX-License-Identifier: Apache-2.0
"""Fetching weights from a local server with the hub's protocol."""

from __future__ import annotations

import io
import random

import pytest
import torch

from test.support.local_hub import COMMIT, Hub, serve
from test.support.small_flashdepth import EACH, small_model
from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.models import fetching, hub, variants
from videodepth_ros.models.catalogue import card, weights_card, weights_folder, weights_path
from videodepth_ros.models.fetching import fetch_weights, fetchable, free_cards, pins

REPOSITORY, FILE = 'Eyeline-Labs/FlashDepth', 'flashdepth-s/iter_14001.pth'


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setenv('HF_HUB_DISABLE_PROGRESS_BARS', '1')
    monkeypatch.setattr(variants, '_CONFIGS', {'flashdepth-s': EACH['S']})


def checkpoint(seed: int = 0) -> bytes:
    """Return a checkpoint in the layout of the release."""
    buffer = io.BytesIO()
    weights = small_model(EACH['S'], seed).state_dict()
    torch.save({'model': weights, 'optimizer': {'lr': torch.ones(1)}}, buffer)
    return buffer.getvalue()


@pytest.fixture
def served(monkeypatch):
    with serve(Hub({REPOSITORY: {FILE: checkpoint(), 'README.md': b'# FlashDepth'}})) as running:
        monkeypatch.setenv('HF_ENDPOINT', running.url)
        yield running


def fetch(name: str = 'flashdepth-s', **options: object) -> list[str]:
    lines: list[str] = []
    fetch_weights(weights_card(name), lines.append, **options)
    return lines


def outcome_of_fetch() -> str | None:
    """Return the message of a failed fetch; None where it succeeds."""
    try:
        fetch()
    except ModelError as error:
        return str(error)
    return None


def in_store() -> list[str]:
    return sorted(path.name for path in weights_folder().iterdir())


def test_weights_are_fetched_verified_and_pinned(served):
    lines = fetch()
    assert weights_path(card('flashdepth-s')).is_file()
    assert in_store() == ['fetched.json', 'flashdepth-s.safetensors']
    assert REPOSITORY in lines[0]
    assert 'Apache-2.0' in lines[0]
    pin = pins()['flashdepth-s']
    assert (pin['commit'], pin['files'][0]['path']) == (COMMIT, FILE)
    assert pin['files'][0]['sha256'] in lines[1]
    assert not [path for _, path, _ in served.requests if path.endswith('README.md')]


def test_an_interrupted_download_resumes(served, monkeypatch):
    """Broken at five random bytes, it goes on behind what it has."""
    monkeypatch.setattr('huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE', 1000)
    size = len(served.files[REPOSITORY][FILE])
    breaks = sorted(random.Random(1).sample(range(1, size), 5))
    served.break_after = [b - a for a, b in zip([0, *breaks], breaks, strict=False)]
    failures = []
    while not failures or failures[-1] is not None:
        assert len(failures) <= len(breaks)
        failures.append(outcome_of_fetch())
        assert failures[-1] is None or not (weights_folder() / 'flashdepth-s.safetensors').exists()
    assert all('resumes' in text for text in failures[:-1])
    assert weights_path(card('flashdepth-s')).is_file()
    ranges = [found for _, path, found in served.requests if path.startswith('lfs') and found]
    assert ranges, 'nothing was resumed'


def test_a_wrong_digest_is_rejected_and_leaves_nothing(served):
    served.corrupt = True
    with pytest.raises(ModelError, match=r'sha256 .* instead of'):
        fetch()
    assert not (weights_folder() / 'flashdepth-s.safetensors').exists()
    assert pins() == {}
    served.corrupt = False
    fetch()
    assert weights_path(card('flashdepth-s')).is_file()


def test_a_digest_of_the_catalogue_must_match(served):
    source = card('flashdepth-s').hub
    changed = hub.HubSource(source.repository, source.files, 0, {FILE: 'a' * 64})
    with pytest.raises(ModelError, match='the release has changed'):
        hub.resolve(changed)


def test_a_restrictive_licence_must_be_accepted(served):
    with pytest.raises(ConfigError, match=r'CC-BY-NC-4\.0.*--accept-licence'):
        fetch('flashdepth-l')
    assert not served.requests


def test_errors_of_the_hub_have_a_next_step(served, monkeypatch):
    served.gated.add(REPOSITORY)
    with pytest.raises(ModelError, match='hf auth login'):
        fetch()
    served.gated.clear()
    with pytest.raises(ModelError, match='no such revision'):
        fetch(revision='v9')
    del served.files[REPOSITORY][FILE]
    with pytest.raises(ModelError, match=r'lacks flashdepth-s/iter_14001\.pth'):
        fetch()
    served.files.clear()
    with pytest.raises(ModelError, match='does not exist or needs a login'):
        fetch()
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    with pytest.raises(ConfigError, match=r'HF_HUB_OFFLINE.*weights import FILE'):
        fetch()


def test_a_server_that_limits_the_rate_is_named(served):
    served.busy = 1
    with pytest.raises(ModelError, match='status 429: wait some minutes'):
        fetch()


def test_a_hub_that_is_unreachable_is_named(monkeypatch):
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9')
    with pytest.raises(ModelError, match=r'127\.0\.0\.1:9.*HTTPS_PROXY'):
        fetch()


def test_a_full_disk_is_detected_before_the_download(served, monkeypatch):
    monkeypatch.setattr(hub, 'SPARE_BYTES', 1 << 60)
    with pytest.raises(ConfigError, match='free space'):
        fetch()
    assert not [path for _, path, _ in served.requests if path.startswith('lfs')]


def test_another_network_under_the_name_is_rejected(served, monkeypatch):
    monkeypatch.setattr(variants, '_CONFIGS', {'flashdepth': EACH['S']})
    with pytest.raises(ModelError, match='weights of flashdepth, not of flashdepth-s'):
        fetch()


def test_what_can_be_fetched():
    assert {each.name for each in free_cards()} == {
        'flashdepth-s',
        'depth-anything-v2-small',
        'depth-anything-v2-metric-indoor-small',
        'depth-anything-v2-metric-outdoor-small',
    }
    assert 'nano' not in {each.name for each in fetchable()}
    with pytest.raises(ConfigError, match='cannot be fetched'):
        fetching.fetch_weights(card('nano'), print)
