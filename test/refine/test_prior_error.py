# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from videodepth_ros.core.workspace import DiskArray, WorkFolder
from videodepth_ros.frames import ScaleSource
from videodepth_ros.models.catalogue import card
from videodepth_ros.mvs.confidence import USUAL_PRIOR_ERROR
from videodepth_ros.refine.prior_depth import DepthSequence
from videodepth_ros.refine.prior_error import cached_prior_error, error_of
from videodepth_ros.refine.settings import Method, RefineSettings
from videodepth_ros.stream.confidence import ErrorEstimator

SHAPE = 48, 128


@pytest.fixture
def depth(tmp_path):
    """A wall whose right half flickers; nothing is hit in its corner, which is unknown once."""
    random, array = np.random.default_rng(0), DiskArray(tmp_path / 'depth', SHAPE, 'float32')
    with array.writer() as kept:
        for k in range(5):
            one = np.full(SHAPE, 3.0)
            one[:, 64:] *= np.kron(random.uniform(0.8, 1.2, (12, 16)), np.ones((4, 4)))
            one[:8, :8] = np.nan if k == 2 else np.inf
            kept.append(one.astype(np.float32))
    return DepthSequence(array, ScaleSource.INTRINSICS)


def test_error_is_that_of_the_live_estimator(depth, tmp_path):
    with WorkFolder(tmp_path / 'work') as work:
        error = cached_prior_error(work, RefineSettings(prior='nano'), depth)
        estimator = ErrorEstimator(card('nano').errors)
        for kept, depth_m in zip(error.open(), depth.array.open(), strict=True):
            expected = estimator.update(np.nan_to_num(1 / depth_m, nan=0.0))
            np.testing.assert_array_equal(kept, expected)
        last = error_of(error, 4, SHAPE)
    assert last.shape == SHAPE
    assert last[20:, 80:].mean() > 1.5 * last[20:, :48].mean()


def test_error_is_kept_and_does_not_depend_on_the_run(depth, tmp_path):
    with WorkFolder(tmp_path / 'work') as work:
        error = cached_prior_error(work, RefineSettings(prior='nano'), depth)
        before = error.path.read_bytes()
        assert cached_prior_error(work, RefineSettings(prior='nano'), depth) == error
        error.path.unlink()
        assert (
            cached_prior_error(work, RefineSettings(prior='nano'), depth).path.read_bytes()
            == before
        )
        other = cached_prior_error(
            work, RefineSettings(prior='depth_pro'), replace(depth, scale_source=None)
        )
        rolled = replace(RefineSettings(prior='nano'), method=Method.ROLLINGDEPTH)
        assert cached_prior_error(work, rolled, depth).open().min() >= 0.15
    assert other.path != error.path
    assert other.open().min() >= 0.15  # no model is fitted to it


def test_recorded_depth_has_the_usual_error(depth, tmp_path):
    with WorkFolder(tmp_path / 'work') as work:
        assert cached_prior_error(work, RefineSettings(prior='bag'), depth) is None
    np.testing.assert_array_equal(error_of(None, 0, (2, 3)), np.float32(USUAL_PRIOR_ERROR))
