# SPDX-License-Identifier: Apache-2.0
"""The state of every bag of an output folder: manifest.jsonl, one line per bag.

On a local file system each change is appended at once, and the last line of a bag counts; a line
that a kill has cut off is dropped. Stores of objects cannot append: there the whole file is
replaced, at most as often as that takes a small share of the time. At the end it has one line per
bag, sorted, and manifest.parquet the same table where pyarrow is installed.
"""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.util import find_spec
from typing import Any

from videodepth_ros.core.options import Value
from videodepth_ros.fleet.place import Place

STARTED, DONE, FAILED = 'started', 'done', 'failed'
MANIFEST, PARQUET = 'manifest.jsonl', 'manifest.parquet'
MAX_WRITE_SHARE = 0.05
"""Share of the time that may go into writing the manifest to a store of objects."""


@dataclass(frozen=True)
class Entry:
    """The state of one bag.

    bag           its path or URI
    status        started, done or failed; failed has an error
    command       refine, run-bag or eval
    settings      that are no defaults, by name
    key           digest of command and settings
    state         digest of names, sizes and times of its files
    sha256        of its content
    scale_source  where the metres come from; None: unknown
    figures       numbers by name, see docs/fleet.md
    seconds       of the last attempt
    attempts      1 unless workers died
    outputs       files and folders that were written
    preview       picture of a frame and its depth; empty: none
    version       of videodepth
    """

    name: str
    bag: str
    status: str
    command: str
    settings: dict[str, Value]
    key: str
    state: str = ''
    sha256: str = ''
    error: str = ''
    scale_source: str | None = None
    figures: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    attempts: int = 1
    outputs: tuple[str, ...] = ()
    preview: str = ''
    version: str = ''

    def line(self) -> str:
        """Return the entry as a line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False) + '\n'

    @staticmethod
    def of_line(line: str) -> Entry | None:
        """Return the entry of a line; None if it is cut off or none of a manifest."""
        try:
            values = json.loads(line)
            known = {each.name: values[each.name] for each in fields(Entry) if each.name in values}
            entry = Entry(**known)
        except (ValueError, TypeError):
            return None
        return replace(entry, notes=tuple(entry.notes), outputs=tuple(entry.outputs))


class Manifest:
    """The entries of an output folder; ``entries`` has them by name."""

    def __init__(self, folder: Place) -> None:
        """Read the manifest of a folder, if it has one."""
        self._file, self._parquet = folder / MANIFEST, folder / PARQUET
        self.entries: dict[str, Entry] = {}
        self._written_s = self._write_s = 0.0
        self._may_append = not self._file.exists()  # else its last line may be cut off
        if not self._may_append:
            lines = self._file.read().decode('utf-8', errors='replace').splitlines()
            found = filter(None, map(Entry.of_line, lines))
            self.entries = {entry.name: entry for entry in found}

    def record(self, entry: Entry) -> None:
        """Store the new state of a bag; raises OSError, as on a full disk."""
        self.entries[entry.name] = entry
        if self._file.is_local and self._may_append:
            self._file.local.parent.mkdir(parents=True, exist_ok=True)
            with open(self._file.local, 'ab') as file:
                file.write(entry.line().encode())
        elif time.monotonic() - self._written_s > self._write_s / MAX_WRITE_SHARE:
            self._rewrite()
            self._may_append = True

    def finish(self) -> list[str]:
        """Write both files, one line or row per bag; return their paths."""
        self._rewrite()
        if find_spec('pyarrow') is None:
            return [str(self._file)]
        self._parquet.write(to_parquet(self.entries))
        return [str(self._file), str(self._parquet)]

    def counts(self) -> Counter[str]:
        """Return the number of bags by status."""
        return Counter(entry.status for entry in self.entries.values())

    def _rewrite(self) -> None:
        began_s = time.monotonic()
        entries = sorted(self.entries.items())
        self._file.write(''.join(entry.line() for _, entry in entries).encode())
        self._written_s = time.monotonic()
        self._write_s = self._written_s - began_s


def to_parquet(entries: Mapping[str, Entry]) -> bytes:
    """Return a table with a row per entry: settings as JSON, and a column per figure."""
    import pyarrow as pa
    from pyarrow import parquet

    figures = sorted({name for entry in entries.values() for name in entry.figures})
    rows: list[dict[str, Any]] = []
    for _, entry in sorted(entries.items()):
        row = {**asdict(entry), 'settings': json.dumps(entry.settings)}
        del row['figures']
        rows.append({**row, **{name: entry.figures.get(name) for name in figures}})
    types = {
        **dict.fromkeys((each.name for each in fields(Entry)), pa.string()),
        **dict.fromkeys(('notes', 'outputs'), pa.list_(pa.string())),
        **dict.fromkeys(('seconds', *figures), pa.float64()),
        'attempts': pa.int32(),
    }
    del types['figures']
    buffer = io.BytesIO()
    schema = pa.schema(list(types.items()))
    parquet.write_table(pa.Table.from_pylist(rows, schema), buffer)
    return buffer.getvalue()
