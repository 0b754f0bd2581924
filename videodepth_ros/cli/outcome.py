# SPDX-License-Identifier: Apache-2.0
"""Result of a command, and its JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OK, FAILED = 0, 1


@dataclass(frozen=True)
class Outcome:
    """Success of a command, and its results as JSON text."""

    ok: bool
    json: str


def outcome(facts: Any, *, ok: bool = True) -> Outcome:
    """Return the outcome whose JSON has the fields of the dataclass ``facts``."""
    return Outcome(ok, json.dumps(asdict(facts), indent=2, default=str))


def failure_json(message: str) -> str:
    """Return the JSON of a command that failed."""
    return json.dumps({'error': message}, indent=2)


def write_json(path: str, text: str) -> None:
    """Write the JSON of a command; raise OSError if the file cannot be written."""
    Path(path).write_text(text + '\n', encoding='utf-8')
