# SPDX-License-Identifier: Apache-2.0
"""The words by which an operator says whether something is done that only some models need."""

from __future__ import annotations

FEATURE_MODES = ('auto', 'always', 'never')


def is_enabled(word: str, usual: bool) -> bool:
    """Tell whether it is done, by a word of ``FEATURE_MODES``; ``usual``: the model needs it."""
    return word == 'always' or (word == 'auto' and usual)
