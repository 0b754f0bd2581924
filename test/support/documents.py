# SPDX-License-Identifier: Apache-2.0
"""Fenced blocks of the README and the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'training/README.md')
]
DOCUMENTS += sorted((ROOT / 'docs').rglob('*.md'))

_BLOCK = re.compile(
    r'(?:<!-- not run: (?P<reason>[^>]+?) -->\n\s*)?^```(?P<language>\w+)\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``reason`` is why it cannot run in a test, empty if it can."""

    document: Path
    line: int
    language: str
    text: str
    reason: str

    @property
    def name(self) -> str:
        """Return file and line of the block."""
        return f'{self.document.relative_to(ROOT)}:{self.line}'

    def commands(self) -> Iterator[str]:
        """Yield the commands of a shell block, without comments."""
        for line in self.text.replace('\\\n', ' ').splitlines():
            command = re.sub(r'(^|\s)#.*', '', line).strip()
            if command:
                yield command


def blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document."""
    text = document.read_text()
    return [
        Block(
            document,
            text.count('\n', 0, match.start('language')) + 1,
            match['language'],
            match['text'],
            match['reason'] or '',
        )
        for match in _BLOCK.finditer(text)
    ]
