# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from training.confidence import Errors, errors_of, fit, line, of_clip, pooled
from training.shards import write_clip
from videodepth_ros.models.nano import NANO

from .test_measure import FlatWorld


def drawn(seed: int, pixels: int = 20_000, name: str = 'drawn') -> Errors:
    """Errors drawn exponentially about 0.5 curvature^0.3 flicker^0.2 / slope^0.1."""
    rng = np.random.default_rng(seed)
    curvature, flicker, slope = np.exp(rng.normal((-3, -4, -3), 1, (pixels, 3))).T
    mean = 0.5 * (curvature + 0.003) ** 0.3 * (flicker + 0.003) ** 0.2 / (slope + 0.003) ** 0.1
    return Errors(name, curvature, flicker, slope, mean * rng.exponential(1, pixels))


def test_the_fit_returns_the_model_that_errors_were_drawn_from():
    model = fit(drawn(0))
    assert model.factor == pytest.approx(0.5, rel=0.1)
    assert model.curvature_power == pytest.approx(0.3, abs=0.02)
    assert model.flicker_power == pytest.approx(0.2, abs=0.02)
    assert model.slope_power == pytest.approx(-0.1, abs=0.02)
    assert model.usual_flicker == pytest.approx(np.exp(-4), rel=0.05)


def test_expected_errors_are_those_found_in_every_fifth():
    model, other = fit(drawn(0)), drawn(1)
    fifths = other.fifths(model)
    expected = [part.mean() for part in np.array_split(np.sort(other.expected(model)), 5)]
    np.testing.assert_allclose(fifths, expected, rtol=0.1)
    assert (np.diff(fifths) > 0).all()
    assert f'{fifths[-1] / fifths[0]:.1f} |' in line(other, model)


def test_sequences_count_alike_in_the_pool():
    long, short = drawn(0, 9000, 'long'), drawn(1, 300, 'short')
    short.error[:] = 7.0
    both = pooled([long, short], 'both', 500)
    assert both.name == 'both'
    assert len(both.error) == 1000
    assert np.count_nonzero(both.error == 7.0) == 500


@pytest.mark.slow
def test_a_clip_is_streamed_and_judged_after_one_scale(tmp_path):
    """A network that sees one flat wall, before two walls at depths of 1 : 2."""
    inverse = np.full((4, 60, 80), 50.0, np.float16)
    inverse[:, :, 60:] = 25.0
    inverse[:, 30:] = np.nan
    clip = write_clip(tmp_path, 'walls', 0, np.zeros((4, 60, 80, 3), np.uint8), inverse)
    errors = errors_of(FlatWorld(NANO), of_clip(clip))
    assert len(errors.error) == 3 * 2000  # the first frame has no flicker
    assert np.median(errors.error) == pytest.approx(0, abs=0.05)
    assert np.percentile(errors.error, 98) == pytest.approx(0.5, abs=0.05)
    assert errors.flicker.max() < 1e-3
