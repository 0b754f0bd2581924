# SPDX-License-Identifier: Apache-2.0
"""Deprecated module of version 0.1; import `videodepth_ros.coalign` and `.rollingdepth`."""

from __future__ import annotations

import warnings

from videodepth_ros.coalign import options, solver
from videodepth_ros.coalign.samples import Snippets
from videodepth_ros.coalign.solver import SnippetAlignment as Alignment
from videodepth_ros.coalign.solver import merge_snippets
from videodepth_ros.offline import accept_old_keywords
from videodepth_ros.rollingdepth import inference, snippets
from videodepth_ros.rollingdepth.inference import to_unit_range
from videodepth_ros.rollingdepth.snippets import RefinementSchedule as RefinementPlan
from videodepth_ros.rollingdepth.snippets import snippet_frames

__all__ = [
    'Alignment',
    'CoalignSettings',
    'RefinementPlan',
    'Snippets',
    'align_snippets',
    'merge_snippets',
    'predict_snippets',
    'refine_latents',
    'refined_once',
    'rolling_depth',
    'snippet_frames',
    'to_unit_range',
]

CoalignSettings = accept_old_keywords(
    options.CoalignOptions, broken_beyond='max_inconsistency_ratio'
)
align_snippets = accept_old_keywords(solver.align_snippets, settings='options')
predict_snippets = accept_old_keywords(snippets.predict_snippets, plan='snippets')
refine_latents = accept_old_keywords(snippets.refine_latents, plan='schedule')
refined_once = accept_old_keywords(snippets.refinement_step, at_once='batch_size')
rolling_depth = accept_old_keywords(inference.rolling_depth, plan='snippets', settings='options')

warnings.warn(
    'videodepth_ros.offline.rolling is deprecated; import videodepth_ros.coalign and '
    'videodepth_ros.rollingdepth',
    DeprecationWarning,
    stacklevel=2,
)
