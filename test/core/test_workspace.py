# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import numpy as np
import pytest

from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.core.workspace import (
    DiskArray,
    WorkFolder,
    atomic_write,
    digest,
    require_new,
    save_npz,
)

RECORDS = np.arange(24, dtype=np.float32).reshape(4, 2, 3)


def disk_array(tmp_path):
    return DiskArray(tmp_path / 'depth', (2, 3), 'float32')


def test_a_digest_depends_on_type_and_grouping():
    assert digest('a', 1) == digest('a', 1)
    assert len({digest('a', 1), digest('a', 1.0), digest('a1'), digest(('a', 1))}) == 4


def test_a_second_job_in_the_folder_is_rejected(tmp_path):
    with WorkFolder(tmp_path / 'work'), pytest.raises(ConfigError, match='another job'):
        WorkFolder(tmp_path / 'work')
    with WorkFolder(tmp_path / 'work') as again:
        again.remove()
    assert not (tmp_path / 'work').exists()


def test_a_folder_that_cannot_be_created_is_a_configuration_error(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='give an output in a writable folder'):
        WorkFolder(tmp_path / 'file' / 'work')


def test_a_folder_with_other_files_is_rejected(tmp_path):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'holiday.jpg').touch()
    with pytest.raises(ConfigError, match='holds other files'):
        WorkFolder(tmp_path / 'work')
    assert (tmp_path / 'work' / 'holiday.jpg').exists()


def test_a_file_gets_its_name_when_it_is_complete(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / 'result') as part:
        part.write_bytes((tmp_path / 'missing').read_bytes())
    assert not (tmp_path / 'result').exists()
    with atomic_write(tmp_path / 'result') as part:
        part.write_text('whole')
    assert (tmp_path / 'result').read_text() == 'whole'


def test_arrays_round_trip(tmp_path):
    save_npz(tmp_path / 'a.npz', one=RECORDS, name=np.array('x'))
    with np.load(tmp_path / 'a.npz') as stored:
        np.testing.assert_array_equal(stored['one'], RECORDS)
        assert str(stored['name']) == 'x'


def test_a_disk_array_round_trips(tmp_path):
    array = disk_array(tmp_path)
    with array.writer() as writer:
        for record in RECORDS:
            writer.append(record)
    np.testing.assert_array_equal(array.open(), RECORDS)
    np.testing.assert_array_equal(list(array.records()), RECORDS)


def test_a_killed_writer_resumes_after_its_last_complete_record(tmp_path):
    array = disk_array(tmp_path)
    (tmp_path / 'depth.part').write_bytes(RECORDS[:2].tobytes() + b'torn')
    with array.writer(resume=True) as writer:
        assert writer.count == 2
        for record in RECORDS[2:]:
            writer.append(record)
    np.testing.assert_array_equal(array.open(), RECORDS)


def test_a_writer_without_resume_starts_from_zero(tmp_path):
    array = disk_array(tmp_path)
    (tmp_path / 'depth.part').write_bytes(RECORDS.tobytes())
    with array.writer() as writer:
        writer.append(RECORDS[3])
    np.testing.assert_array_equal(array.open(), RECORDS[3:])


def test_two_jobs_do_not_write_one_array(tmp_path):
    array = disk_array(tmp_path)
    with array.writer() as writer:
        writer.append(RECORDS[0])
        with pytest.raises(ConfigError, match='another job'), array.writer(resume=True):
            pytest.fail('both write')
    np.testing.assert_array_equal(array.open(), RECORDS[:1])


def test_a_record_of_another_shape_is_rejected(tmp_path):
    with pytest.raises(ValueError, match='a record of'), disk_array(tmp_path).writer() as writer:
        writer.append(RECORDS[0].T)


def test_an_output_that_cannot_be_created_is_refused_with_the_next_step(tmp_path, monkeypatch):
    file = tmp_path / 'file'
    file.write_text('')
    dangling = tmp_path / 'dangling'
    dangling.symlink_to(tmp_path / 'nowhere')
    for path, reason in [
        (file, 'exists and is not overwritten; remove it'),
        (tmp_path, 'exists and is not overwritten'),
        (dangling, 'is a link to .*nowhere, which does not exist; remove it'),
        (file / 'out', 'is no folder'),
        (file / 'deeper' / 'out', 'is no folder'),
        (dangling / 'out', 'is no folder'),
    ]:
        with pytest.raises(BagError, match=reason):
            require_new(path)
    require_new(tmp_path / 'new')
    require_new(tmp_path / 'several' / 'new' / 'folders')
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    with pytest.raises(BagError, match='is not writable; give another name'):
        require_new(tmp_path / 'new')
