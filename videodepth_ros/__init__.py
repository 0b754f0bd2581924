# SPDX-License-Identifier: Apache-2.0
"""Dense, temporally stable depth from one camera, for ROS 2.

The names below are the public interface of Python; they are imported at first use, so that
``import videodepth_ros`` needs neither torch nor ROS.

>>> import numpy as np
>>> from videodepth_ros import DepthStream
>>> with DepthStream('nano', engine='torch', max_pixels=128 * 96) as stream:
...     for k in range(2):
...         depth = stream(np.zeros((96, 128, 3), np.uint8), stamp_ns=k * 100_000_000)
>>> depth.depth_m.shape, depth.scale_source.value
((96, 128), 'model')
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videodepth_ros.alignment.global_alignment import align
    from videodepth_ros.coalign.solver import align_snippets
    from videodepth_ros.core.errors import VideoDepthError
    from videodepth_ros.engines.open import open_engine
    from videodepth_ros.evaluation.depth import evaluate_depth
    from videodepth_ros.evaluation.trajectory import evaluate_trajectory
    from videodepth_ros.frames import DepthMap, Frame, ScaleSource
    from videodepth_ros.geometry.camera import Intrinsics
    from videodepth_ros.refine.job import refine_bag
    from videodepth_ros.refine.settings import RefineSettings
    from videodepth_ros.stream.depth_stream import DepthStream
    from videodepth_ros.stream.session import SessionSettings

__all__ = [
    'DepthMap',
    'DepthStream',
    'Frame',
    'Intrinsics',
    'RefineSettings',
    'ScaleSource',
    'SessionSettings',
    'VideoDepthError',
    'align',
    'align_snippets',
    'evaluate_depth',
    'evaluate_trajectory',
    'open_engine',
    'refine_bag',
]

_MODULES = {
    'DepthMap': 'frames',
    'DepthStream': 'stream.depth_stream',
    'Frame': 'frames',
    'Intrinsics': 'geometry.camera',
    'RefineSettings': 'refine.settings',
    'ScaleSource': 'frames',
    'SessionSettings': 'stream.session',
    'VideoDepthError': 'core.errors',
    'align': 'alignment.global_alignment',
    'align_snippets': 'coalign.solver',
    'evaluate_depth': 'evaluation.depth',
    'evaluate_trajectory': 'evaluation.trajectory',
    'open_engine': 'engines.open',
    'refine_bag': 'refine.job',
}
"""Module of each public name (PEP 562)."""


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
