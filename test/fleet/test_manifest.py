# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO

import fsspec
import pytest

from videodepth_ros.fleet.manifest import DONE, FAILED, STARTED, Entry, Manifest, to_parquet
from videodepth_ros.fleet.place import Place

ENTRY = Entry('fahrt ü', '/bags/ü.mcap', STARTED, 'refine', {'stereo': False}, 'key')
FINISHED = replace(
    ENTRY, status=DONE, figures={'ate_rmse_m': 0.25}, outputs=('/out/ü',), notes=('a', 'b')
)


def lines(folder):
    return (folder / 'manifest.jsonl').read_text().splitlines()


def test_the_last_line_of_a_bag_counts(tmp_path):
    manifest = Manifest(Place.of(str(tmp_path)))
    manifest.record(ENTRY)
    manifest.record(FINISHED)
    assert len(lines(tmp_path)) == 2
    again = Manifest(Place.of(str(tmp_path)))
    assert again.entries == {ENTRY.name: FINISHED}
    assert again.counts() == {DONE: 1}
    assert len(lines(tmp_path)) == 2  # reading changes nothing
    again.finish()
    assert len(lines(tmp_path)) == 1


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path):
    manifest = Manifest(Place.of(str(tmp_path)))
    manifest.record(FINISHED)
    whole = (tmp_path / 'manifest.jsonl').read_bytes()
    cut = replace(FINISHED, name='second').line().encode()
    for end in (1, len(cut) // 2, len(cut) - 2):
        (tmp_path / 'manifest.jsonl').write_bytes(whole + cut[:end])
        again = Manifest(Place.of(str(tmp_path)))
        assert again.entries == {FINISHED.name: FINISHED}
        again.record(replace(FINISHED, name='third', status=FAILED, error='why'))
        assert [json.loads(line)['name'] for line in lines(tmp_path)] == [ENTRY.name, 'third']


def test_a_store_of_objects_has_the_whole_manifest():
    fs = fsspec.filesystem('memory')
    fs.store.clear()
    manifest = Manifest(Place.of('memory://fleet'))
    for number in range(50):
        manifest.record(replace(FINISHED, name=str(number)))
    manifest.finish()
    assert set(Manifest(Place.of('memory://fleet')).entries) == {str(n) for n in range(50)}
    fs.store.clear()


def test_the_table_has_a_column_per_figure():
    parquet = pytest.importorskip('pyarrow.parquet', reason="pip install 'videodepth[fleet]'")
    other = replace(FINISHED, name='b', figures={'scale_drift': 0.5}, scale_source='lidar')
    table = parquet.read_table(BytesIO(to_parquet({'b': other, ENTRY.name: FINISHED})))
    rows = table.to_pylist()
    assert [row['name'] for row in rows] == ['b', ENTRY.name]
    assert [row['ate_rmse_m'] for row in rows] == [None, 0.25]
    assert [row['scale_drift'] for row in rows] == [0.5, None]
    assert rows[0]['scale_source'] == 'lidar'
    assert json.loads(rows[0]['settings']) == {'stereo': False}
    assert rows[1]['outputs'] == ['/out/ü']
