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


def test_alignment_of_plain_arrays():
    alignment = deprecated('alignment')
    camera = alignment.Intrinsics(24, 16, 20.0, 20.0, 12.0, 8.0)
    v, u = np.mgrid[:16, :24].astype(np.float32)
    depth = 2 + 0.1 * np.sin(u)
    points = np.stack([(u - 12) / 20 * depth, (v - 8) / 20 * depth, depth], -1).astype(np.float32)
    sure = np.full((16, 24), 5, np.float32)
    moved = points + np.float32([0.1, 0, 0])  # camera 1 stands 0.1 m to the right of camera 0
    pairs = [
        alignment.PointMapPair(0, 1, points, moved, sure, sure),
        alignment.PointMapPair(1, 0, points, points - np.float32([0.1, 0, 0]), sure, sure),
    ]
    settings = alignment.Settings(
        camera=camera, focal=None, smoothing=0.0, translation_smoothing=0.0, pixels=96, levels=1
    )
    step = np.eye(4)
    step[0, 3] = 0.1
    priors = alignment.Priors(odometry=[alignment.Odometry(0, 1, step)])
    found = alignment.align(pairs, settings=settings, priors=priors)
    assert found.scale_from is alignment.ScaleFrom.ODOMETRY
    np.testing.assert_allclose(found.T_world_cam[1], step, atol=1e-3)
    np.testing.assert_allclose(found.depth[0], depth, rtol=1e-2)
