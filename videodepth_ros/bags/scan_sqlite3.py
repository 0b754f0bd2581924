# SPDX-License-Identifier: Apache-2.0
"""Scanner of rosbag2 databases that were cut off or have a write-ahead log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from videodepth_ros.bags.options import SCANNING
from videodepth_ros.bags.scan import DECODE_ERRORS, Channel, RawMessage


def scan_sqlite3(path: Path, notes: list[str]) -> Iterator[RawMessage]:
    """Yield every valid message, in the order of recording."""
    try:
        with closing(_connect(path)) as database:
            yield from _messages(database, path.name, notes)
    except DECODE_ERRORS as error:
        notes.append(f'{path.name} cannot be read as a database: {error}')


def _connect(path: Path) -> sqlite3.Connection:
    """Open read-only, with the write-ahead log where there is one."""
    database = sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro', uri=True)
    # needed to open a file that is shorter than its header states; nothing is written
    database.execute('PRAGMA writable_schema=ON')
    return database


def _messages(database: sqlite3.Connection, name: str, notes: list[str]) -> Iterator[RawMessage]:
    """Yield the valid rows, except the last one before a damaged place.

    SQLite fills a page that was cut off with zeros, and that row may extend into it.
    """
    channels = _channels(database)
    query = 'SELECT id, topic_id, timestamp, data FROM messages WHERE id >= ? ORDER BY id'
    last, step, is_whole = 0, 1, True
    while step <= SCANNING.max_row_gap:
        held: RawMessage | None = None
        try:
            for key, topic, stamp_ns, data in database.execute(query, (last + step,)):
                if (
                    not last < key <= last + SCANNING.max_row_gap
                    or topic not in channels
                    or not data
                ):
                    raise ValueError('a row is not valid')
                if held:
                    yield held
                last, step = key, 1
                held = channels[topic], stamp_ns, data
            if held:
                yield held
            return
        except DECODE_ERRORS as error:
            if is_whole:
                notes.append(f'{name} is damaged or cut off at message {last}: {error}')
            is_whole = False
            step *= 2


def _channels(database: sqlite3.Connection) -> dict[int, Channel]:
    definitions = {}
    tables = {name for (name,) in database.execute('SELECT name FROM sqlite_master')}
    if 'message_definitions' in tables:
        rows = database.execute(
            'SELECT topic_type, encoded_message_definition, encoding FROM message_definitions'
        )
        definitions = {kind: (text, 'idl' in form) for kind, text, form in rows if text and form}
    topics = database.execute('SELECT id, name, type, serialization_format FROM topics')
    return {
        key: Channel(topic, kind, encoding, *definitions.get(kind, ('', False)))
        for key, topic, kind, encoding in topics
    }
