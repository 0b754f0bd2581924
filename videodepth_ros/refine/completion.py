# SPDX-License-Identifier: Apache-2.0
"""The end of a job: the results get their name, and nothing else stays.

Results are complete in the work folder; their facts are written beside it; they are renamed; the
work folder is removed; the facts are removed. A job that was killed in between is finished by the
same call from the facts, which exist until all of that is done.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from videodepth_ros.core.errors import BagError
from videodepth_ros.core.stage_clock import StageTime
from videodepth_ros.core.workspace import WorkFolder, atomic_write, is_disk_full, require_new
from videodepth_ros.refine.facts import RefineFacts


def work_folder(output: Path) -> Path:
    """Return the folder of the intermediate results of a job."""
    return output.with_name(output.name + '.work')


@dataclass(frozen=True)
class Completion:
    """The last steps of one job.

    output  folder of the results
    key     digest of recording and settings: another job does not finish this one
    """

    output: Path
    key: str

    @property
    def staged(self) -> Path:
        """Where the results are written."""
        return work_folder(self.output) / 'results' / self.output.name

    @property
    def _file(self) -> Path:
        return facts_file(self.output)

    def stored_facts(self) -> RefineFacts | None:
        """Return the facts of results that are complete; None if the job has to run.

        raises  BagError if the output exists and is that of another job
        """
        try:
            stored = json.loads(self._file.read_text(encoding='utf-8'))
            is_same = stored.pop('key') == self.key
        except (OSError, ValueError, KeyError, AttributeError):
            stored, is_same = {}, False
        if is_same and (self.output.exists() or self.staged.exists()):
            lists = {name: tuple(stored[name]) for name in ('notes', 'outputs')}
            lists.update(
                {
                    name: tuple(map(tuple, stored[name]))
                    for name in ('pieces', 'lens', 'prior_frames')
                }
            )
            readout_s = stored['readout_s']
            lists['readout_s'] = readout_s and tuple(readout_s)
            lists['stages'] = tuple(StageTime(**one) for one in stored['stages'])
            return RefineFacts(**{**stored, **lists})
        require_new(self.output)
        self._file.unlink(missing_ok=True)
        shutil.rmtree(self.staged.parent, ignore_errors=True)
        return None

    def store(self, facts: RefineFacts) -> RefineFacts:
        """Store the facts of the staged results, and return them with the paths of the output."""
        outputs = (self.output / Path(path).relative_to(self.staged) for path in facts.outputs)
        facts = replace(facts, outputs=tuple(str(path) for path in outputs))
        with atomic_write(self._file) as part:
            part.write_text(json.dumps({'key': self.key, **asdict(facts)}), encoding='utf-8')
        return facts

    def finish(self, work: WorkFolder) -> None:
        """Rename the results unless that is done, and remove everything else."""
        if self.staged.exists():
            require_new(self.output)
            os.rename(self.staged, self.output)
        work.remove()
        self._file.unlink(missing_ok=True)


def facts_file(output: Path) -> Path:
    """Return the file that exists while the results of a job are complete, but not cleaned up."""
    return output.with_name(output.name + '.work.json')


def explain_full_disk(error: BaseException, folder: Path, needed_mb: float | None) -> BagError:
    """Return an error with path and need if another is that of a full disk; raise it otherwise.

    needed_mb  space that the job needs in all; None: not known yet
    """
    if not is_disk_full(error):
        raise error
    need = '' if needed_mb is None else f', and the job needs about {needed_mb:.0f} MB there'
    free_mb = shutil.disk_usage(folder).free / 1e6
    return BagError(
        f'the disk of {folder} is full: {free_mb:.0f} MB are free{need}; free space and call '
        'again, which continues, or give an output on another disk'
    )
