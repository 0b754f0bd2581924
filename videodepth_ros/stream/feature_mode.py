# SPDX-License-Identifier: Apache-2.0
"""Tri-state switches of features that only some models need."""

from __future__ import annotations

FEATURE_MODES = ('auto', 'always', 'never')


def is_enabled(mode: str, default: bool) -> bool:
    """Return whether a feature is on, given one of ``FEATURE_MODES`` and the model's default."""
    return mode == 'always' or (mode == 'auto' and default)
