# SPDX-License-Identifier: Apache-2.0
"""One task: fetch a bag, run the job on it, store its results. It runs in a worker."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from videodepth_ros.core.errors import BagError, VideoDepthError
from videodepth_ros.core.parallel import Pool, use_pool
from videodepth_ros.core.version import version
from videodepth_ros.core.workspace import is_disk_full
from videodepth_ros.fleet.manifest import DONE, FAILED, Entry
from videodepth_ros.fleet.place import Place

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class JobFacts:
    """What a job returns.

    scale_source  where the metres come from; None: unknown
    figures       numbers by name; one that is not finite is left out
    outputs       files and folders below the output
    preview       JPEG of a frame and its depth; empty: none
    """

    scale_source: str | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    preview: bytes = b''


Job = Callable[[Path, Path, Any, Path | None], JobFacts]
"""A module-level function of a bag, a folder to write, settings, and the bag of the ground truth.
A folder ``NAME.work`` beside the one to write is kept between attempts."""


@dataclass(frozen=True)
class BagTask:
    """The call of one task; picklable, and it returns an entry in any case but its own death.

    entry   the state of the bag as it is planned
    before  an earlier result, which is kept if command, settings and content are the same
    output  folder of all results; work that of intermediate ones
    truth   bag of the ground truth; None: the job has none
    pool    processes of the job
    """

    entry: Entry
    before: Entry | None
    bag: Place
    output: Place
    work: Path
    job: Job
    settings: Any
    truth: Place | None
    pool: Pool

    def __call__(self) -> Entry:
        """Run the task; return the entry of the bag, done or failed."""
        began_s = time.monotonic()
        try:
            with use_pool(self.pool):
                entry = self._run()
        except (VideoDepthError, OSError) as error:
            hint = ''
            if is_disk_full(error) and not isinstance(error, VideoDepthError):
                hint = f'; free space for {self.work} and {self.output}, and run it again'
            entry = self._failed(f'{error}{hint}')
        except Exception as error:  # the border of the process: the manifest has it
            traceback.print_exc()
            entry = self._failed(f'{type(error).__name__}: {error}')
        if not entry.seconds:  # not of an earlier result
            entry = replace(entry, seconds=round(time.monotonic() - began_s, 3))
        return entry

    def _run(self) -> Entry:
        bag = self.bag.fetch(self.work / 'bags')
        entry = replace(self.entry, state=self.bag.state(), sha256=content_hash(bag))
        before = self.before
        if before and is_same(before, entry.key, sha256=entry.sha256) and self._is_there(before):
            return replace(before, state=entry.state)
        staged = self.work / 'tasks' / entry.name
        shutil.rmtree(staged, ignore_errors=True)  # of a worker that died while it was stored
        staged.parent.mkdir(parents=True, exist_ok=True)
        truth = self.truth.fetch(self.work / 'bags') if self.truth else None
        facts = self.job(bag, staged, self.settings, truth)
        return self._stored(entry, facts, staged)

    def _stored(self, entry: Entry, facts: JobFacts, staged: Path) -> Entry:
        """Store the results of a job in the output."""
        target, preview = self.output / entry.name, ''
        outputs = [str(Path(path).relative_to(staged)) for path in facts.outputs]
        if staged.exists():
            target.put(staged)
        if facts.preview:
            picture = self.output / f'previews/{entry.name}.jpg'
            picture.write(facts.preview)
            preview = str(picture)
        if not self.bag.is_local:
            shutil.rmtree(self.bag.fetch(self.work / 'bags').parent, ignore_errors=True)
        return replace(
            entry,
            status=DONE,
            scale_source=facts.scale_source,
            figures={
                name: value
                for name, value in facts.figures.items()
                if value is not None and math.isfinite(value)
            },
            notes=facts.notes,
            outputs=tuple(str(target if one == '.' else target / one) for one in outputs),
            preview=preview,
            version=version(),
        )

    def _is_there(self, entry: Entry) -> bool:
        return not entry.outputs or (self.output / entry.name).exists()

    def _failed(self, error: str) -> Entry:
        return replace(self.entry, status=FAILED, error=' '.join(error.split()), version=version())


def is_same(entry: Entry, key: str, *, state: str = '', sha256: str = '') -> bool:
    """Return whether an entry is done with the same command and settings on the same bag."""
    same_bag = (state and entry.state == state) or (sha256 and entry.sha256 == sha256)
    return entry.status == DONE and entry.key == key and bool(same_bag)


def content_hash(bag: Path) -> str:
    """Return the SHA-256 of the names and bytes of the files of a bag.

    raises  BagError if it has vanished
    """
    if not bag.exists():
        raise BagError(f'{bag} does not exist any more; call again when it is back')
    found = hashlib.sha256()
    files = [bag] if bag.is_file() else sorted(path for path in bag.rglob('*') if path.is_file())
    for path in files:
        found.update(f'{path.relative_to(bag.parent)}\0{path.stat().st_size}\0'.encode())
        with open(path, 'rb') as file:
            while block := file.read(BLOCK_BYTES):
                found.update(block)
    return found.hexdigest()
