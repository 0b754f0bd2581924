# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from training.planes import fit_rms, plane_rms
from videodepth_ros.evaluation.depth import DepthPair


def floor() -> np.ndarray:
    """Depth (192, 256) of a tilted plane."""
    rows, columns = np.indices((192, 256), dtype=np.float32)
    return 1 / (0.1 + 1e-3 * rows + 3e-4 * columns)


def test_a_plane_leaves_nothing_at_any_scale() -> None:
    assert fit_rms(floor()) == pytest.approx(0, abs=1e-5)
    assert plane_rms([DepthPair(0, 3 * floor(), floor())]) == pytest.approx(0, abs=1e-4)


def test_waves_on_a_plane_are_measured() -> None:
    waves = 1 + 0.05 * np.sqrt(2) * np.sin(np.arange(256, dtype=np.float32))
    measured = plane_rms([DepthPair(0, floor() / waves, floor())])
    assert measured == pytest.approx(0.05, rel=0.1)


def test_where_the_truth_is_no_plane_nothing_is_measured() -> None:
    rough = floor() * np.random.default_rng(0).uniform(0.9, 1.1, (192, 256)).astype(np.float32)
    assert np.isnan(plane_rms([DepthPair(0, floor(), rough)]))
    unknown = floor()
    unknown[::48, ::64] = 0
    assert np.isnan(plane_rms([DepthPair(0, floor(), unknown)]))
