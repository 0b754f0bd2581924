# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.check import (
    Difference,
    max_relative_error,
    require_agreement,
    rollout_difference,
)
from videodepth_ros.engines.engine import EngineSpec


class Leaky:
    """An engine whose depth is its state: the mean of the images with exponential forgetting."""

    spec = EngineSpec('toy', 'toy', 'CPU', 'fp32', 8, 6, (), ())

    def __init__(self, keep: float = 0.5, gain: float = 1.0) -> None:
        self.keep, self.gain = keep, gain

    def zero_state(self):
        return np.zeros((6, 8), np.float32)

    def step(self, image, state):
        after = self.keep * state + image.mean(axis=0)
        return self.gain * after, after

    def close(self) -> None:
        pass


def test_equal_engines_do_not_differ():
    assert rollout_difference(Leaky(), Leaky()) == Difference(0.0, 0.0)


def test_a_dropped_state_shows_in_both():
    difference = rollout_difference(Leaky(keep=0.0), Leaky())
    assert difference.inverse_depth > 0.1
    assert difference.state > 0.1


def test_a_wrong_output_shows_though_the_state_is_right():
    difference = rollout_difference(Leaky(gain=1.01), Leaky())
    assert difference.inverse_depth == pytest.approx(0.01, rel=1e-3)
    assert difference.state == 0.0


def test_nan_is_never_agreement():
    difference = rollout_difference(Leaky(gain=math.nan), Leaky())
    assert math.isnan(difference.inverse_depth)
    with pytest.raises(ModelError, match='the plan differs'):
        require_agreement(difference, 1.0, 'the plan')


def test_tolerance_is_a_bound():
    require_agreement(Difference(1e-4, 1e-4), 1e-4, 'the graph')
    with pytest.raises(ModelError, match=r'0\.0001'):
        require_agreement(Difference(0.0, 2e-4), 1e-4, 'the graph')


def test_relmax():
    assert max_relative_error([1.0, 2.0], [1.0, 4.0]) == 0.5
    assert max_relative_error([0.0], [0.0]) == 0.0
    assert math.isnan(max_relative_error([0.0], [0.0, 1.0]))
