# SPDX-License-Identifier: Apache-2.0
"""Parameter files as flat dictionaries."""

from __future__ import annotations


def flat(tree: dict[str, object], prefix: str = '') -> dict[str, object]:
    """Return the values of a parameter file by their full names."""
    found: dict[str, object] = {}
    for key, value in tree.items():
        found |= (
            flat(value, f'{prefix}{key}.')
            if isinstance(value, dict)
            else {f'{prefix}{key}': value}
        )
    return found
