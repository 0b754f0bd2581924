# SPDX-License-Identifier: Apache-2.0
"""The end of a job, which is killed between any two of its steps."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from videodepth_ros.core.errors import BagError
from videodepth_ros.core.stage_clock import StageTime
from videodepth_ros.core.workspace import WorkFolder
from videodepth_ros.refine import completion as module
from videodepth_ros.refine.completion import Completion, explain_full_disk, work_folder
from videodepth_ros.refine.facts import RefineFacts


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


def facts_of(completion: Completion) -> RefineFacts:
    return RefineFacts(
        3, 0, 1.5, 'align3r', 'nano', 'geometric', 'model', 0.5, 'imu', None, ('a note',),
        (str(completion.staged), str(completion.staged / 'cloud.ply')),
        pieces=((0, 2, 0),), stages=(StageTime('read', 1.0, 0.5),),
    )  # fmt: skip


def stage(completion: Completion) -> None:
    """Do what the stages of a job do."""
    completion.staged.mkdir(parents=True)
    (completion.staged / 'cloud.ply').write_text('points')
    (work_folder(completion.output) / 'images').write_text('intermediate')


def end(completion: Completion, work: WorkFolder) -> None:
    completion.store(facts_of(completion))
    completion.finish(work)


def call(output: Path, key: str = 'key') -> RefineFacts:
    """Run a job, or finish one that was killed."""
    completion = Completion(output, key)
    with WorkFolder(work_folder(output)) as work:
        facts = completion.stored_facts()
        if facts is None:
            stage(completion)
            facts = completion.store(facts_of(completion))
        completion.finish(work)
    return facts


def assert_complete(output: Path, facts: RefineFacts) -> None:
    assert facts.outputs == (str(output), str(output / 'cloud.ply'))
    assert facts.notes == ('a note',)
    assert facts.pieces == ((0, 2, 0),)
    assert facts.stages == (StageTime('read', 1.0, 0.5),)
    assert (output / 'cloud.ply').read_text() == 'points'
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def kill(*_, **__):
    raise Killed


KILLS = {
    'before the facts are stored': (Completion, 'store', kill),
    'while the facts are stored': (module.json, 'dumps', kill),
    'before the results are renamed': (os, 'rename', kill),
    'before the work folder is removed': (WorkFolder, 'remove', kill),
    'while the work folder is removed': (shutil, 'rmtree', kill),
    'before the facts or the lock are removed': (Path, 'unlink', kill),
    'before the empty work folder is removed': (Path, 'rmdir', kill),
}


@pytest.mark.parametrize('when', KILLS)
def test_a_job_that_was_killed_at_its_end_is_finished_by_the_next_call(when, tmp_path):
    output = tmp_path / 'refined'
    owner, name, killing = KILLS[when]
    with pytest.MonkeyPatch.context() as patch:
        stage_first = Completion(output, 'key')
        with WorkFolder(work_folder(output)) as work:
            stage(stage_first)
            patch.setattr(owner, name, killing)
            with pytest.raises(Killed):
                end(stage_first, work)
    assert_complete(output, call(output))
    with pytest.raises(BagError, match='refined exists and is not overwritten'):
        call(output)


def test_another_job_does_not_take_the_results_of_a_killed_one(tmp_path):
    output = tmp_path / 'refined'
    completion = Completion(output, 'other')
    with WorkFolder(work_folder(output)):
        stage(completion)
        (completion.staged / 'cloud.ply').write_text('other points')
        completion.store(facts_of(completion))
    assert_complete(output, call(output))


def test_results_of_another_job_are_not_overwritten(tmp_path):
    output = tmp_path / 'refined'
    completion = Completion(output, 'other')
    with WorkFolder(work_folder(output)) as work, pytest.MonkeyPatch.context() as patch:
        stage(completion)
        completion.store(facts_of(completion))
        patch.setattr(WorkFolder, 'remove', kill)
        with pytest.raises(Killed):
            completion.finish(work)
    with pytest.raises(BagError, match='exists and is not overwritten'):
        call(output)
    assert (output / 'cloud.ply').read_text() == 'points'


def test_a_full_disk_is_named_with_the_need(tmp_path):
    full = OSError(28, 'No space left on device')
    wrapped = BagError('out cannot be written')
    wrapped.__cause__ = full
    for error in (full, wrapped):
        text = str(explain_full_disk(error, tmp_path, 1234.4))
        assert f'the disk of {tmp_path} is full' in text
        assert 'needs about 1234 MB' in text
    assert 'needs' not in str(explain_full_disk(full, tmp_path, None))
    with pytest.raises(BagError, match='damaged'):
        explain_full_disk(BagError('damaged'), tmp_path, 1.0)
