# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from videodepth_ros.core.errors import Cancelled, ConfigError, ModelError
from videodepth_ros.engines.store import (
    DEFAULTS,
    EngineKey,
    EngineStore,
    StoredArtefact,
    cache_folder,
    sha256_of,
)

KEY = EngineKey(
    model='nano',
    kind='onnx',
    width=320,
    height=240,
    precision='fp32',
    schema=1,
    weights_sha256='a' * 64,
    source_sha256='b' * 64,
    toolchain=('torch 2.13.0',),
)


class Counting:
    """A builder that writes its count into the artefact."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> str:
        self.calls += 1
        path.write_text(f'artefact {self.calls}')
        return 'relmax 1e-05'


@pytest.fixture
def store(tmp_path) -> EngineStore:
    return EngineStore(tmp_path / 'cache' / 'videodepth')


def no_builder(path: Path) -> str:
    raise AssertionError('there was nothing to build')


def test_builds_once_and_says_so(store):
    build = Counting()
    first = store.fetch(KEY, build)
    assert first.path.read_text() == 'artefact 1'
    (note,) = first.notes
    assert 'built in' in note
    assert 'relmax 1e-05' in note
    assert store.fetch(KEY, no_builder) == StoredArtefact(first.path)


def test_folder_is_the_users_own(store):
    store.fetch(KEY, Counting())
    assert store.folder.stat().st_mode & 0o777 == 0o700


def test_record_says_in_words_what_the_artefact_is(store):
    path = store.fetch(KEY, Counting()).path
    record = json.loads(path.with_name(path.name + '.json').read_text())
    assert record['sha256'] == sha256_of(path)
    assert record['self_check'] == 'relmax 1e-05'
    assert record['key']['toolchain'] == ['torch 2.13.0']


@pytest.mark.parametrize(
    'change',
    [
        {'model': 'other'},
        {'kind': 'plan'},
        {'width': 336},
        {'height': 256},
        {'precision': 'fp16'},
        {'schema': 2},
        {'weights_sha256': 'c' * 64},
        {'source_sha256': 'c' * 64},
        {'toolchain': ('torch 2.13.1',)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_the_key_counts(store, change):
    store.fetch(KEY, Counting())
    build = Counting()
    store.fetch(replace(KEY, **change), build)
    assert build.calls == 1
    store.fetch(KEY, no_builder)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def lose_record(path: Path) -> None:
    path.with_name(path.name + '.json').unlink()


def garble_record(path: Path) -> None:
    path.with_name(path.name + '.json').write_text('{"sha256"')


@pytest.mark.parametrize('harm', [flip_a_byte, cut_off, lose_record, garble_record])
def test_broken_artefact_is_replaced_and_the_operator_told(store, harm):
    build = Counting()
    path = store.fetch(KEY, build).path
    harm(path)
    again = store.fetch(KEY, build)
    assert again.path.read_text() == 'artefact 2'
    assert str(path) in again.notes[0]
    assert 'replaced' in again.notes[0]
    assert 'built in' in again.notes[1]
    store.fetch(KEY, no_builder)


def test_failed_build_leaves_nothing_and_frees_the_lock(store):
    def fails(path: Path) -> str:
        path.write_text('half')
        raise ModelError('differs')

    with pytest.raises(ModelError, match='differs'):
        store.fetch(KEY, fails)
    assert not [path for path in store.folder.iterdir() if path.suffix != '.lock']
    store.fetch(KEY, Counting())


def test_remains_of_a_killed_builder_do_not_disturb(store):
    path = store.fetch(KEY, Counting()).path
    path.unlink()
    remains = store.folder / f'.{path.stem}.abc'
    remains.mkdir()
    (remains / 'half').write_text('')
    store.fetch(KEY, Counting())
    assert not remains.exists()


def test_only_one_builds_and_the_other_waits_for_it(store):
    second_may_start, second_built = threading.Event(), threading.Event()
    results = []

    def first_build(path: Path) -> str:
        second_may_start.set()
        assert not second_built.wait(0.5), 'both built at once'
        path.write_text('of the first')
        return ''

    def second_build(path: Path) -> str:
        second_built.set()
        path.write_text('of the second')
        return ''

    def second() -> None:
        second_may_start.wait(10)
        results.append(store.fetch(KEY, second_build))

    thread = threading.Thread(target=second)
    thread.start()
    store.fetch(KEY, first_build)
    thread.join(10)
    assert results[0].path.read_text() == 'of the first'
    assert not second_built.is_set()


def test_whoever_waits_for_another_builder_is_told_and_may_leave(store):
    told = []

    def leave(phase: str, fraction: float) -> None:
        told.append(phase)
        raise Cancelled('enough')

    def build(path: Path) -> str:
        with pytest.raises(Cancelled):
            store.fetch(KEY, no_builder, leave)
        path.write_text('whole')
        return ''

    assert store.fetch(KEY, build).path.read_text() == 'whole'
    assert told == [f'Waiting for another process that builds {KEY.file_name}']


def test_an_artefact_of_another_key_is_not_taken_for_this_one(store):
    """Somebody has copied a plan over that of this machine, with its record."""
    other = replace(KEY, toolchain=('torch 1.0.0',))
    for suffix in ('', '.json'):
        source = store.fetch(other, Counting()).path
        target = store.folder / KEY.file_name
        target.with_name(target.name + suffix).write_bytes(
            source.with_name(source.name + suffix).read_bytes()
        )
    stored = store.fetch(KEY, Counting())
    assert stored.notes[0].endswith(
        f'was foreign (its record is that of {other.file_name}) and has been replaced'
    )
    assert store.fetch(KEY, no_builder).notes == ()


def test_without_tools_an_artefact_of_other_tools_will_do(store):
    path = store.fetch(KEY, Counting()).path
    assert store.fetch(replace(KEY, toolchain=()), None).path == path


@pytest.mark.parametrize('change', [{'weights_sha256': 'c' * 64}, {'width': 336}])
def test_without_tools_a_missing_artefact_is_an_error_with_a_mend(store, change):
    store.fetch(KEY, Counting())
    with pytest.raises(ModelError, match='install torch'):
        store.fetch(replace(KEY, **change), None)


def test_without_tools_a_broken_artefact_is_not_taken(store):
    flip_a_byte(store.fetch(KEY, Counting()).path)
    with pytest.raises(ModelError, match='no sound onnx'):
        store.fetch(replace(KEY, toolchain=()), None)


def idle_for(path: Path, idle_s: float) -> None:
    opened_s = time.time() - idle_s
    os.utime(path, (opened_s, opened_s))


def numbered(width: int) -> EngineKey:
    return replace(KEY, width=width)


def test_what_nobody_opens_is_removed_when_something_is_built(store):
    old, young = (store.fetch(numbered(width), Counting()).path for width in (16, 32))
    idle_for(old, DEFAULTS.max_idle_s + 60)
    idle_for(young, DEFAULTS.max_idle_s - 60)
    store.fetch(numbered(48), Counting())
    assert not old.exists()
    assert not old.with_name(f'{old.name}.json').exists()
    assert store.fetch(numbered(32), no_builder).path == young


def test_the_longest_idle_goes_where_there_is_too_much(store):
    store = EngineStore(store.folder, replace(DEFAULTS, max_bytes=25))  # two of ten bytes
    paths = [store.fetch(numbered(width), Counting()).path for width in (16, 32)]
    idle_for(paths[0], 2 * DEFAULTS.min_idle_s)
    idle_for(paths[1], 3 * DEFAULTS.min_idle_s)
    store.fetch(numbered(16), no_builder)  # to open it makes it young
    idle_for(paths[0], 2 * DEFAULTS.min_idle_s)
    third = store.fetch(numbered(48), Counting()).path
    assert paths[0].exists()
    assert third.exists()
    assert not paths[1].exists()


def test_what_was_just_opened_stays_even_where_there_is_too_much(store):
    store = EngineStore(store.folder, replace(DEFAULTS, max_bytes=5))
    paths = [store.fetch(numbered(width), Counting()).path for width in (16, 32, 48)]
    assert all(path.exists() for path in paths)


def test_opening_counts_as_use(store):
    path = store.fetch(KEY, Counting()).path
    idle_for(path, 1e6)
    store.fetch(KEY, no_builder)
    assert time.time() - path.stat().st_mtime < 60


@pytest.mark.parametrize(
    'place',
    ['/proc/nowhere', '/dev/null/videodepth', '/tmp/' + 300 * 'x'],
    ids=['unwritable', 'a-file', 'too-long'],
)
def test_cache_that_cannot_be_used_is_an_error_with_a_mend(place):
    with pytest.raises(ConfigError, match=f'{place}.*XDG_CACHE_HOME'):
        EngineStore(Path(place)).fetch(KEY, Counting())


@pytest.mark.parametrize('mode', [0o777, 0o770])
def test_cache_that_others_can_write_is_refused(store, mode):
    store.fetch(KEY, Counting())
    store.folder.chmod(mode)
    with pytest.raises(ConfigError, match='other users'):
        store.fetch(KEY, no_builder)


def test_cache_folder_follows_the_xdg_specification(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cache_folder() == tmp_path / 'videodepth'
    monkeypatch.setenv('HOME', '/home/somebody')
    for ignored in ('', 'relative/path'):
        monkeypatch.setenv('XDG_CACHE_HOME', ignored)
        assert cache_folder() == Path('/home/somebody/.cache/videodepth')
