# SPDX-License-Identifier: Apache-2.0
"""Refinement of recordings: consistent depth, intrinsics and camera poses of a whole bag.

>>> from videodepth_ros.refine import RefineSettings
>>> settings = RefineSettings(prior='bag', end_s=20.0, stride=2)
>>> settings.chosen_pairs.value
'geometric'

A call takes minutes; it continues where an earlier one was stopped:

>>> from pathlib import Path
>>> from videodepth_ros.refine import refine_bag
>>> facts = refine_bag(Path('drive'), Path('drive_refined'), settings)  # doctest: +SKIP
>>> facts.frames, facts.scale_source  # doctest: +SKIP
(300, 'depth')

`job.py` lists the stages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videodepth_ros.refine.facts import RefineFacts
    from videodepth_ros.refine.job import refine_bag
    from videodepth_ros.refine.settings import Method, Pairs, RefineSettings

_MODULES = {
    'Method': 'settings',
    'Pairs': 'settings',
    'RefineFacts': 'facts',
    'RefineSettings': 'settings',
    'refine_bag': 'job',
}

__all__ = ['Method', 'Pairs', 'RefineFacts', 'RefineSettings', 'refine_bag']


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562): settings need no solver."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
