# SPDX-License-Identifier: Apache-2.0
"""Numbers in texts for people."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = '') -> str:
    """Return a number with its noun: 1 bag, 2 bags.

    plural  empty: the noun and an s
    """
    return f'{number} {noun if number == 1 else plural or noun + "s"}'


def duration_text(seconds: float) -> str:
    """Return a duration as 42 s, 3 min or 2.5 h."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'
