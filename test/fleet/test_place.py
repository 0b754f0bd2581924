# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle

import fsspec
import pytest

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.fleet.place import Place, find_recordings, is_recording


@pytest.fixture
def memory():
    fs = fsspec.filesystem('memory')
    fs.store.clear()
    yield fs
    fs.store.clear()


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(patterns):
    return [one.name for one in find_recordings([str(one) for one in patterns])[0]]


def test_recordings_of_a_glob_are_files_and_folders(tmp_path):
    make(tmp_path, 'a.mcap', 'b.BAG', 'c/metadata.yaml', 'c/c_0.db3', 'read.me', '.hidden.mcap')
    make(tmp_path, 'd.mcap.zstd', 'e.work/lock')
    found, notes = find_recordings([str(tmp_path / '*')])
    assert [one.name for one in found] == ['a', 'b', 'c', 'd']
    assert 'read.me' in notes[0]
    assert 'e.work' in notes[0]


def test_names_have_the_folders_below_the_wildcard(tmp_path):
    make(tmp_path, 'r1/drive.mcap', 'r2/drive.mcap', 'r2/bag/bag_0.mcap')
    assert names([tmp_path / '*/drive.mcap']) == ['r1/drive', 'r2/drive']
    assert names([tmp_path / '*/*']) == ['r1/drive', 'r2/bag', 'r2/drive']
    assert names([tmp_path / 'r1/drive.mcap', tmp_path / 'r2/bag']) == ['bag', 'drive']


def test_the_files_of_a_recording_are_none_of_their_own(tmp_path):
    make(tmp_path, 'a/a_0.mcap', 'a/metadata.yaml', 'b.mcap')
    found, notes = find_recordings([f'{tmp_path}/a', f'{tmp_path}/**/*'])
    assert [one.name for one in found] == ['a', 'b']
    assert notes == []


def test_a_path_with_wildcard_characters_is_taken_as_it_is(tmp_path):
    make(tmp_path, 'überfahrt [1] 東京.mcap')
    assert names([tmp_path / 'überfahrt [1] 東京.mcap']) == ['überfahrt [1] 東京']


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [
        ('nothing/*.mcap', 'matches nothing'),
        ('nothing', 'matches nothing'),
        ('', r"quote a glob for those in a folder: '.*/\*'"),
        ('*.md', 'no recording among'),
    ],
)
def test_a_pattern_without_recordings_is_an_error(tmp_path, pattern, message):
    make(tmp_path, 'folder/a.mcap', 'read.md')
    with pytest.raises(ConfigError, match=message):
        find_recordings([str(tmp_path / pattern)])


def test_two_bags_of_one_name_are_an_error(tmp_path):
    make(tmp_path, 'x.mcap', 'x.bag')
    with pytest.raises(ConfigError, match="would both be 'x'"):
        find_recordings([str(tmp_path / '*')])


def test_an_unknown_file_system_names_the_plugin():
    with pytest.raises(ConfigError, match='pip install s3fs'):
        Place.of('nothing-like-this://bucket/a.mcap')


def test_the_state_changes_with_content_and_with_files(tmp_path):
    make(tmp_path, 'bag/a.mcap')
    place = Place.of(str(tmp_path / 'bag'))
    first = place.state()
    assert place.state() == first
    os.utime(tmp_path / 'bag' / 'a.mcap', ns=(1, 1))
    assert place.state() != first
    make(tmp_path, 'bag/b.mcap')
    second = place.state()
    (tmp_path / 'bag' / 'b.mcap').unlink()
    assert place.state() != second
    with pytest.raises(FileNotFoundError, match='vanished'):
        Place.of(str(tmp_path / 'gone')).state()


def test_bags_of_a_store_of_objects_are_fetched_once_and_results_put(memory, tmp_path):
    memory.pipe({'/in/a.mcap': b'a', '/in/b/metadata.yaml': b'm', '/in/b/b_0.mcap': b'bb'})
    found, _ = find_recordings(['memory://in/*'])
    assert [one.name for one in found] == ['a', 'b']
    assert all(is_recording(one.place) for one in found)
    one, two = (pickle.loads(pickle.dumps(each.place)) for each in found)
    copy = one.fetch(tmp_path)
    assert copy.name == 'a.mcap'
    assert copy.read_bytes() == b'a'
    assert (two.fetch(tmp_path) / 'b_0.mcap').read_bytes() == b'bb'
    copy.write_bytes(b'kept')
    assert one.fetch(tmp_path).read_bytes() == b'kept'
    memory.pipe('/in/a.mcap', b'other')
    assert one.fetch(tmp_path).read_bytes() == b'other'

    make(tmp_path, 'result/x', 'result/deep/y')
    target = Place.of('memory://out') / 'r/a'
    (target / 'old').write(b'of an earlier run')
    target.put(tmp_path / 'result')
    assert [path.removeprefix(target.path) for path in target.files()] == ['/deep/y', '/x']
    assert (target / 'deep/y').read() == b'result/deep/y'
    assert str(target) == 'memory:///out/r/a'


def test_a_local_result_is_moved_and_replaces_an_earlier_one(tmp_path):
    make(tmp_path, 'staged/new', 'out/a/old')
    Place.of(str(tmp_path / 'out' / 'a')).put(tmp_path / 'staged')
    assert [path.name for path in (tmp_path / 'out' / 'a').iterdir()] == ['new']
    assert not (tmp_path / 'staged').exists()
