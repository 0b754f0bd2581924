# SPDX-License-Identifier: Apache-2.0
"""Names and keywords of version 0.1 keep working on plain arrays, and warn."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest


def deprecated(name):
    """Import a module anew, so that it warns in every test."""
    full = f'videodepth_ros.offline.{name}'
    sys.modules.pop(full, None)
    with pytest.warns(DeprecationWarning, match=rf'{full} is deprecated'):
        return importlib.import_module(full)


def test_rolling_depth_of_plain_arrays():
    rolling = deprecated('rolling')
    truth = np.linspace(0.1, 0.9, 5 * 8 * 9, dtype=np.float32).reshape(5, 8, 9)
    truth += np.sin(np.arange(9, dtype=np.float32))
    windows = [rolling.snippet_frames(5)]
    settings = rolling.CoalignSettings(stride_px=1, border_px=0, broken_beyond=4.0)
    assert settings.max_inconsistency_ratio == 4.0
    depth = rolling.rolling_depth(plan=windows, predict=lambda n: truth[n], settings=settings)
    np.testing.assert_allclose(list(depth), truth - truth.min(), rtol=1e-4, atol=1e-4)


def test_rolling_steps_of_plain_arrays():
    rolling = deprecated('rolling')
    frames, depth = np.array([[0, 1], [1, 2]]), np.random.default_rng(0).random((2, 2, 8, 9))
    snippets = [rolling.Snippets(frames, depth)]
    found = rolling.align_snippets(snippets, settings=None)
    assert isinstance(found, rolling.Alignment)
    assert len(list(rolling.merge_snippets(snippets, found))) == 3
    assert rolling.to_unit_range(np.float32([[[0, 1]]])).tolist() == [[[-1, 1]]]
    latents, same = np.ones((4, 1), np.float32), lambda latents, frames, step: latents
    plan = rolling.RefinementPlan((1,), 2)
    np.testing.assert_array_equal(rolling.refine_latents(latents, plan, 3, same), latents)
    once = rolling.refined_once(latents, 1, 1, 3, same, at_once=2)
    np.testing.assert_array_equal(list(once), latents)
