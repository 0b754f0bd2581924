# SPDX-License-Identifier: Apache-2.0
"""rosbag2 databases that were cut off, or that still have their write-ahead log beside them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from videodepth_ros.bags.scan import Channel, Record

_MOST_GAPS = 64   # damaged places that are stepped over before the file is given up


def scan_sqlite3(path: Path, notes: list[str]) -> Iterator[Record]:
    """Yield every message that can be read, in the order of recording."""
    try:
        with closing(_connect(path)) as database:
            yield from _messages(database, path.name, notes)
    except sqlite3.Error as error:
        notes.append(f'{path.name} cannot be read as a database: {error}')


def _connect(path: Path) -> sqlite3.Connection:
    """Open for reading only, with its write-ahead log where it has one."""
    database = sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro', uri=True)
    # a file shorter than its header says is opened only with this; nothing is written
    database.execute('PRAGMA writable_schema=ON')
    return database


def _messages(database: sqlite3.Connection, name: str, notes: list[str]) -> Iterator[Record]:
    channels = _channels(database)
    last, step = 0, 1
    for _ in range(_MOST_GAPS):
        query = 'SELECT id, topic_id, timestamp, data FROM messages WHERE id >= ? ORDER BY id'
        try:
            for key, topic, stamp_ns, data in database.execute(query, (last + step,)):
                last, step = key, 1
                if topic in channels:
                    yield channels[topic], stamp_ns, data
            break
        except sqlite3.DatabaseError as error:
            if step == 1:
                notes.append(f'{name} is damaged or cut off after message {last}: {error}')
            step *= 2


def _channels(database: sqlite3.Connection) -> dict[int, Channel]:
    definitions = {}
    tables = {name for name, in database.execute('SELECT name FROM sqlite_master')}
    if 'message_definitions' in tables:
        rows = database.execute('SELECT topic_type, encoded_message_definition, encoding '
                                'FROM message_definitions')
        definitions = {kind: (text, 'idl' in form) for kind, text, form in rows}
    topics = database.execute('SELECT id, name, type, serialization_format FROM topics')
    return {key: Channel(topic, kind, encoding, *definitions.get(kind, ('', False)))
            for key, topic, kind, encoding in topics}
