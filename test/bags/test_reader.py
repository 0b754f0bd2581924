# SPDX-License-Identifier: Apache-2.0
"""Recordings of every kind, whole, damaged and unfinished."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from test.support.bag_makers import (
    DELAY_NS,
    IMAGE,
    INFO,
    camera_messages,
    image_message,
    info_message,
    number_of,
    only_file,
    picture,
    stamp_of,
    write_rosbag1,
    write_rosbag2,
)
from videodepth_ros.bags.bounded_file import BoundedPath
from videodepth_ros.bags.camera_topics import TopicInfo
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.types import STORE
from videodepth_ros.core.errors import BagError
from videodepth_ros.messages.image import decode_image
from videodepth_ros.messages.transforms import stamp_ns

FRAMES = 12
MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
KINDS = {
    'mcap': (MCAP, CompressionMode.NONE),
    'mcap-chunks': (MCAP, CompressionMode.STORAGE),
    'mcap-files': (MCAP, CompressionMode.FILE),
    'mcap-messages': (MCAP, CompressionMode.MESSAGE),
    'sqlite': (SQLITE, CompressionMode.NONE),
    'sqlite-files': (SQLITE, CompressionMode.FILE),
    'sqlite-messages': (SQLITE, CompressionMode.MESSAGE),
    'ros1': None,
    'ros1-bz2': Writer1.CompressionFormat.BZ2,
    'ros1-lz4': Writer1.CompressionFormat.LZ4,
}
each_kind = pytest.mark.parametrize('kind', KINDS)


def make(kind, path, frames=FRAMES):
    """Write a recording and return its path: a folder, or a file for ROS 1."""
    if kind.startswith('ros1'):
        return write_rosbag1(path.with_suffix('.bag'), camera_messages(frames), KINDS[kind])
    return write_rosbag2(path, camera_messages(frames), *KINDS[kind])


def numbers(reader):
    """Return which images could be read, and check each of them."""
    found = []
    for topic, recorded_ns, msg in reader.messages([IMAGE]):
        pixels = decode_image(msg)
        k = number_of(pixels)
        assert topic == IMAGE
        assert (recorded_ns, stamp_ns(msg.header.stamp)) == (stamp_of(k) + DELAY_NS, stamp_of(k))
        np.testing.assert_array_equal(pixels, picture(k))
        found.append(k)
    return found


@each_kind
def test_a_whole_recording(kind, tmp_path):
    with open_bag(make(kind, tmp_path / 'bag')) as reader:
        assert reader.topics == (
            TopicInfo(INFO, 'sensor_msgs/msg/CameraInfo', FRAMES),
            TopicInfo(IMAGE, 'sensor_msgs/msg/Image', FRAMES),
        )
        assert reader.count() == 2 * FRAMES
        assert reader.count([IMAGE]) == FRAMES
        assert numbers(reader) == list(range(FRAMES))
        assert numbers(reader) == list(range(FRAMES)), 'it can be read twice'
        assert sum(1 for _ in reader.messages()) == 2 * FRAMES
        assert reader.lost is None


@each_kind
def test_a_file_without_its_folder(kind, tmp_path):
    path = make(kind, tmp_path / 'bag')
    file = path if path.is_file() else only_file(path)
    folder = tmp_path / 'alone'
    folder.mkdir()
    alone = shutil.copy(file, folder)
    with open_bag(alone) as reader:
        assert numbers(reader) == list(range(FRAMES))
        assert reader.lost is None


@pytest.mark.parametrize('kind', [kind for kind in KINDS if not kind.startswith('ros1')])
@pytest.mark.parametrize('metadata', [None, 'not: [yaml', 'rosbag2_bagfile_information: 3'])
def test_a_folder_with_its_metadata_missing_or_damaged(kind, metadata, tmp_path):
    path = make(kind, tmp_path / 'bag')
    if metadata is None:
        (path / 'metadata.yaml').unlink()
    else:
        (path / 'metadata.yaml').write_text(metadata)
    with open_bag(path) as reader:
        assert numbers(reader) == list(range(FRAMES))
        assert (reader.lost is None) == (metadata is None)


@each_kind
@pytest.mark.parametrize('kept', [0.99, 0.6])
def test_what_was_not_cut_off_is_read(kind, kept, tmp_path):
    frames = 400 if 'mcap' in kind else 150
    lost_at_most = 30  # a chunk of bz2 is all or nothing
    path = make(kind, tmp_path / 'bag', frames)
    file = path if path.is_file() else only_file(path)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    with open_bag(path) as reader:
        found = numbers(reader)
        assert found == list(range(len(found)))
        assert frames * kept - lost_at_most <= len(found) < frames
        assert file.name.removesuffix('.zstd') in reader.lost
        assert reader.count([IMAGE]) == len(found)


def test_a_recorder_that_was_killed_leaves_mcap_without_an_index(tmp_path):
    path = make('mcap', tmp_path / 'bag')
    data = only_file(path).read_bytes()
    end = data.index(b'rosbag2', len(data) - 4000) - 13  # the record after the last chunk
    only_file(path).write_bytes(data[:end])
    (path / 'metadata.yaml').unlink()
    with open_bag(path) as reader:
        assert numbers(reader) == list(range(FRAMES))
        assert 'without an index' in reader.lost
        assert f'{2 * FRAMES} messages' in reader.lost


def test_a_recorder_that_was_killed_leaves_its_log_beside_the_database(tmp_path):
    path = make('sqlite', tmp_path / 'bag')
    source = only_file(path)
    killed = tmp_path / 'killed'
    killed.mkdir()
    database = sqlite3.connect(source)
    try:
        database.execute('PRAGMA journal_mode=WAL')
        database.execute('PRAGMA wal_autocheckpoint=0')
        raw = STORE.serialize_cdr(image_message(FRAMES), 'sensor_msgs/msg/Image')
        (topic,) = database.execute('SELECT id FROM topics WHERE name = ?', (IMAGE,)).fetchone()
        database.execute(
            'INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)',
            (topic, stamp_of(FRAMES) + DELAY_NS, bytes(raw)),
        )
        database.commit()
        for suffix in ('', '-wal'):
            shutil.copy(f'{source}{suffix}', killed / f'{source.name}{suffix}')
    finally:
        database.close()
    with open_bag(killed) as reader:
        assert numbers(reader) == list(range(FRAMES + 1))


def test_a_ros_1_bag_that_was_never_indexed(tmp_path):
    path = make('ros1', tmp_path / 'bag')
    data = path.read_bytes()
    at = data.index(b'index_pos=') + len(b'index_pos=')
    path.write_bytes(data[:at] + bytes(8) + data[at + 8 :])
    with open_bag(path) as reader:
        assert numbers(reader) == list(range(FRAMES))


def test_a_size_that_a_file_cannot_hold_is_not_allocated(tmp_path):
    path = tmp_path / 'bag'
    path.write_bytes(b'0123456789')
    tracemalloc.start()
    with BoundedPath(path).open('rb') as file:
        assert (file.read(2), file.read(1 << 30), file.read(1 << 30)) == (b'01', b'23456789', b'')
        file.seek(3)
        assert (file.read(), file.read(None)) == (b'3456789', b'')
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


@pytest.mark.parametrize('kind', ['mcap-chunks', 'ros1-lz4', 'ros1-bz2'])
def test_damage_in_the_middle_costs_only_its_part(kind, tmp_path):
    frames = 1000 if kind == 'mcap-chunks' else 150
    path = make(kind, tmp_path / 'bag', frames)
    file = path if path.is_file() else only_file(path)
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 5000] = bytes(5000)
    file.write_bytes(data)
    with open_bag(path) as reader:
        found = [number_of(decode_image(msg)) for _, _, msg in reader.messages([IMAGE])]
        assert frames * 0.3 <= len(found) < frames
        assert found == sorted(set(found))
        assert 'damaged' in reader.lost


def test_a_damaged_database_is_read_around_the_damage(tmp_path):
    path = make('sqlite', tmp_path / 'bag', 200)
    file = only_file(path)
    data = bytearray(file.read_bytes())
    leaf = data.index(b'camera_optical_frame', len(data) // 2) // 4096 * 4096
    data[leaf : leaf + 4096] = b'\xff' * 4096
    file.write_bytes(data)
    with open_bag(path) as reader:
        read = sum(1 for _ in reader.messages())
        assert 380 <= read < 400
        assert 'damaged' in reader.lost


def test_a_damaged_message_is_left_out_and_counted(tmp_path):
    messages = list(camera_messages(4))
    raw = bytes(STORE.serialize_cdr(image_message(9), 'sensor_msgs/msg/Image'))
    for damaged in (b'', b'\x00', b'\x00\x01\x00\x00abc', raw[:100], raw[:-1], bytes(200)):
        messages.insert(3, (IMAGE, stamp_of(1) + DELAY_NS, ('sensor_msgs/msg/Image', damaged)))
    with open_bag(write_rosbag2(tmp_path / 'bag', messages)) as reader:
        read = [msg for _, _, msg in reader.messages([IMAGE]) if msg.encoding == 'rgb8']
        assert len(read) == 4
        assert f' messages of {IMAGE} (sensor_msgs/msg/Image) could not be decoded' in reader.lost
        first = reader.lost
        list(reader.messages([IMAGE]))
        assert reader.lost == first, 'reading twice does not lose twice'


def test_messages_of_an_unknown_type_are_left_out_with_a_note(tmp_path):
    messages = [*camera_messages(3), ('/odd', stamp_of(9), ('acme_msgs/msg/Odd', b'\0\1\0\0abcd'))]
    with open_bag(write_rosbag2(tmp_path / 'bag', messages)) as reader:
        assert TopicInfo('/odd', 'acme_msgs/msg/Odd', 1) in reader.topics
        assert sum(1 for _ in reader.messages()) == 6
        assert reader.lost == (
            '1 messages of /odd (acme_msgs/msg/Odd) could not be decoded: '
            'its type is unknown and the recording does not define it'
        )


def test_an_unknown_type_does_not_affect_other_topics(tmp_path):
    messages = [*camera_messages(3), ('/odd', stamp_of(9), ('acme_msgs/msg/Odd', b'\0\1\0\0abcd'))]
    with open_bag(write_rosbag2(tmp_path / 'bag', messages)) as reader:
        assert numbers(reader) == [0, 1, 2]
        assert reader.lost is None


@pytest.mark.parametrize('plugin', [MCAP, SQLITE])
def test_an_empty_recording(plugin, tmp_path):
    with open_bag(write_rosbag2(tmp_path / 'bag', [], plugin)) as reader:
        assert (reader.topics, reader.count(), list(reader.messages())) == ((), 0, [])
        assert reader.lost is None


@pytest.fixture(scope='module')
def whole_files(tmp_path_factory):
    """Return name and content of a file of every kind."""
    folder = tmp_path_factory.mktemp('whole')
    paths = {kind: make(kind, folder / kind, 20) for kind in KINDS}
    files = {kind: path if path.is_file() else only_file(path) for kind, path in paths.items()}
    return {kind: (file.name, file.read_bytes()) for kind, file in files.items()}


@each_kind
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 255)), max_size=10),
    kept=st.sampled_from([1.0, 1.0, 0.9, 0.5]),
)
def test_whatever_a_file_holds_it_is_read_in_part_or_refused(
    kind, places, kept, tmp_path, whole_files
):
    name, data = whole_files[kind]
    data = bytearray(data)
    for place, value in places:  # cubed, for what matters stands near both ends
        data[int(place**3 * (len(data) - 1))] = value
    (tmp_path / name).write_bytes(data[: int(kept * len(data))])
    with suppress(BagError):
        with open_bag(tmp_path / name) as reader:
            sum(1 for _ in reader.messages())


def record(opcode, content):
    return struct.pack('<BQ', opcode, len(content)) + content


def text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack('<I', len(raw)) + raw


def foreign_mcap(path, times, schema='sensor_msgs/msg/Image', beside=None, chunked=False):
    """Write images in this order of file as another writer may; no index, profile or statistics.

    times   log time of each image, which is its number
    schema  name of the images' schema; ``beside``: encoding of one more channel
    """
    definition, _ = STORE.generate_msgdef('sensor_msgs/msg/Image', ros_version=2)
    head = record(3, struct.pack('<H', 1) + text(schema) + text('ros2msg') + text(definition))
    head += record(4, struct.pack('<HH', 1, 1) + text(IMAGE) + text('cdr') + text(b''))
    if beside:
        head += record(3, struct.pack('<H', 2) + text('acme.Thing') + text(beside) + text(b'x'))
        head += record(4, struct.pack('<HH', 2, 2) + text('/thing') + text(beside) + text(b''))
        head += record(5, struct.pack('<HIQQ', 2, 0, stamp_of(1), 0) + b'thing')
    parts = []
    for k in times:
        raw = bytes(STORE.serialize_cdr(image_message(k), 'sensor_msgs/msg/Image'))
        at_ns = stamp_of(k) + DELAY_NS
        parts.append((at_ns, record(5, struct.pack('<HIQQ', 1, k, at_ns, at_ns) + raw)))
    if chunked:
        parts[0] = parts[0][0], head + parts[0][1]
        body = b''.join(
            record(
                6,
                struct.pack('<QQQI', at, at, len(one), 0)
                + text('')
                + len(one).to_bytes(8, 'little')
                + one,
            )
            for at, one in parts
        )
    else:
        body = head + b''.join(one for _, one in parts)
    magic = b'\x89MCAP0\r\n'
    end = record(15, bytes(4)) + record(2, bytes(20))
    path.write_bytes(magic + record(1, text('') + text('other')) + body + end + magic)
    return path


SCHEMAS = (
    'sensor_msgs/msg/Image',
    'sensor_msgs/Image',
    'sensor_msgs::msg::dds_::Image_',
    'sensor_msgs.msg.Image',
)


@pytest.mark.parametrize('schema', SCHEMAS)
@pytest.mark.parametrize('beside', [None, 'protobuf', 'json', 'flatbuffer'])
def test_images_of_other_writers_are_read(schema, beside, tmp_path):
    path = foreign_mcap(tmp_path / 'a.mcap', range(4), schema, beside)
    with open_bag(path) as reader:
        assert TopicInfo(IMAGE, 'sensor_msgs/msg/Image', 4) in reader.topics
        assert numbers(reader) == [0, 1, 2, 3]
        assert reader.lost is None


@pytest.mark.parametrize('beside', [None, 'protobuf', 'json'])
@pytest.mark.parametrize('chunked', [True, False])
@pytest.mark.parametrize('times', [(0, 2, 4, 1, 3, 5), (5, 4, 3, 2, 1, 0), (3, 0, 1, 2)])
def test_messages_come_in_the_order_of_their_log_times(times, chunked, beside, tmp_path):
    path = foreign_mcap(tmp_path / 'a.mcap', times, beside=beside, chunked=chunked)
    with open_bag(path) as reader:
        assert numbers(reader) == sorted(times)


def test_a_schema_of_a_rosbag_with_an_index_is_named_as_in_ros_2(tmp_path):
    path = make('mcap', tmp_path / 'bag')
    file = only_file(path)
    data = file.read_bytes()
    for name in (b'sensor_msgs/msg/Image', b'sensor_msgs/msg/CameraInfo'):
        data = data.replace(name, name.replace(b'/msg/', b'/mxg/'))
    file.write_bytes(data.replace(b'/mxg/', b'.msg.'))
    with open_bag(file) as reader:
        assert [topic.type for topic in reader.topics] == [
            'sensor_msgs/msg/CameraInfo',
            'sensor_msgs/msg/Image',
        ]


@pytest.mark.parametrize(
    ('field', 'lacks'), [(b'is_bigendian', 'sensor_msgs/msg/Image'), (b' frame_id', 'Header')]
)
def test_a_definition_without_a_field_of_its_type_is_damaged(field, lacks, tmp_path):
    path = foreign_mcap(tmp_path / 'a.mcap', range(4))
    path.write_bytes(path.read_bytes().replace(field, field[:-1] + b'x'))
    with open_bag(path) as reader:
        assert list(reader.messages()) == []
        assert 'its definition is damaged' in reader.lost
        assert lacks in reader.lost


@pytest.mark.parametrize('kind', ['mcap', 'sqlite', 'ros1'])
def test_a_suffix_in_capitals_is_that_of_a_recording(kind, tmp_path):
    path = make(kind, tmp_path / 'bag')
    file = path if path.is_file() else only_file(path)
    capitals = tmp_path / file.name.upper()
    file.rename(capitals)
    with open_bag(capitals) as reader:
        assert len(numbers(reader)) == FRAMES


def test_the_metadata_stand_for_their_recording(tmp_path):
    path = make('mcap', tmp_path / 'bag')
    with open_bag(path / 'metadata.yaml') as reader:
        assert len(numbers(reader)) == FRAMES


@pytest.mark.parametrize('kind', ['mcap', 'sqlite', 'ros1'])
def test_a_file_that_its_recorder_did_not_close_is_read_under_its_name(kind, tmp_path):
    path = make(kind, tmp_path / 'bag')
    file = path if path.is_file() else only_file(path)
    folder = tmp_path / 'unfinished'
    folder.mkdir()
    active = folder / f'{file.name}.active'
    data = file.read_bytes()
    active.write_bytes(data if kind == 'sqlite' else data[: int(0.8 * len(data))])
    for opened in (active, folder):
        with open_bag(opened) as reader:
            found = numbers(reader)
            assert found
            assert found == list(range(len(found)))


def test_a_database_with_a_log_is_read_from_a_read_only_medium(tmp_path, monkeypatch):
    path = make('sqlite', tmp_path / 'bag')
    file = only_file(path)
    database = sqlite3.connect(file)
    try:
        database.execute('PRAGMA journal_mode=WAL')
        database.execute('PRAGMA wal_autocheckpoint=0')
        database.execute('DELETE FROM messages WHERE id > 6')
        database.commit()
        folder = tmp_path / 'medium'
        folder.mkdir()
        for suffix in ('', '-wal'):
            shutil.copy(f'{file}{suffix}', folder / f'{file.name}{suffix}')
    finally:
        database.close()
    before = sorted(one.name for one in folder.iterdir())
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    with open_bag(folder) as reader:
        assert numbers(reader) == [0, 1, 2]
        assert sorted(one.name for one in folder.iterdir()) == before


def split_in_two(tmp_path):
    """Make a folder of two files whose names sort by number, but not by text."""
    folder = tmp_path / 'split'
    folder.mkdir()
    for part in (2, 10):
        k = 0 if part == 2 else 1
        messages = [
            (IMAGE, stamp_of(k) + DELAY_NS, image_message(k)),
            (INFO, stamp_of(k), info_message(k)),
        ]
        made = write_rosbag2(tmp_path / f'part{part}', messages)
        shutil.copy(only_file(made), folder / f'split_{part}.mcap')
    return folder


def test_the_files_of_a_split_recording_come_in_their_order(tmp_path):
    with open_bag(split_in_two(tmp_path)) as reader:
        assert numbers(reader) == [0, 1]
        assert reader.count() == 4


def test_a_missing_file_of_a_split_recording_gets_a_note(tmp_path):
    folder = split_in_two(tmp_path)
    (folder / 'metadata.yaml').write_text(
        'rosbag2_bagfile_information:\n  relative_file_paths:\n'
        '  - split_2.mcap\n  - split_7.mcap\n  - split_10.mcap\n'
    )
    with open_bag(folder) as reader:
        assert numbers(reader) == [0, 1]
        assert 'split_7.mcap of split is missing' in reader.lost


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('none', None, 'does not exist'),
        ('empty', (), 'has no file that ends in .mcap'),
        ('notes.txt', b'hello', 'is not a recording'),
        ('a.mcap', b'hello', 'nothing of'),
        ('b.mcap', b'', 'nothing of'),
        ('c.bag', b'#ROSBAG V1.2\n', 'nothing of'),
        ('d.db3', b'hello' * 100, 'nothing of'),
        ('e.mcap', b'\x89MCAP0\r\n', 'nothing of'),
    ],
)
def test_what_is_no_recording_is_refused(name, content, message, tmp_path):
    path = tmp_path / name
    if content == ():
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(BagError, match=message):
        open_bag(path)
