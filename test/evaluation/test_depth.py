# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.accumulators import DepthAlignment
from videodepth_ros.evaluation.depth import DepthPair, evaluate_depth, resize_nearest

NAN, INF = np.nan, np.inf


def pair(predicted, truth, stamp_ns: int = 0) -> DepthPair:
    return DepthPair(stamp_ns, np.array(predicted, np.float32), np.array(truth, np.float32))


def random_truth(seed: int, frames: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 20.0, (12, 16)).astype(np.float32) for _ in range(frames)]


def test_errors_by_hand():
    report = evaluate_depth([pair([[1.0, 2.2], [6.0, 4.0]], [[1.0, 2.0], [4.0, 4.0]])])
    assert report.errors.abs_rel == pytest.approx((0 + 0.1 + 0.5 + 0) / 4)
    assert report.errors.rmse_m == pytest.approx(np.sqrt((0.2**2 + 2.0**2) / 4))
    assert report.errors.delta_1_25 == pytest.approx(3 / 4)
    assert report.frames == 1
    assert (report.scale, report.shift_per_m, report.coverage) == (1.0, 0.0, 1.0)


def test_pixels_without_truth_are_ignored_and_missing_predictions_lower_coverage():
    truth = [[NAN, INF, 0.0, -1.0, 100.0, 2.0, 2.0, 2.0, 2.0]]
    predicted = [[1.0, 1.0, 1.0, 1.0, 1.0, 2.0, NAN, 0.0, -3.0]]
    report = evaluate_depth([pair(predicted, truth)])
    assert report.errors.abs_rel == 0.0
    assert report.coverage == pytest.approx(1 / 4)


def test_nothing_hit_counts_as_the_farthest_depth():
    report = evaluate_depth([pair([[INF]], [[35.0]])], max_depth_m=70.0)
    assert report.errors.abs_rel == pytest.approx(1.0)
    assert report.coverage == 1.0


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.2, 5.0), st.floats(0.0, 0.05))
def test_alignment_recovers_scale_and_shift(seed, scale, shift):
    truths = random_truth(seed)
    scaled = [pair(truth * scale, truth) for truth in truths]
    shifted = [pair(1 / ((1 / truth + shift) / scale), truth) for truth in truths]
    assert evaluate_depth(scaled, DepthAlignment.SCALE).errors.abs_rel < 1e-5
    report = evaluate_depth(shifted, DepthAlignment.SCALE_SHIFT)
    assert report.errors.abs_rel < 1e-4
    assert report.scale == pytest.approx(scale, rel=1e-3)
    assert report.shift_per_m == pytest.approx(-shift, abs=1e-4)


def test_a_richer_alignment_fits_the_inverse_depth_no_worse():
    rng = np.random.default_rng(1)
    pairs = [pair(truth * rng.uniform(0.5, 1.5, truth.shape), truth) for truth in random_truth(2)]

    def residual(alignment: DepthAlignment) -> float:
        report = evaluate_depth(pairs, alignment)
        return sum(
            np.square(report.scale / p.predicted_m + report.shift_per_m - 1 / p.truth_m).sum()
            for p in pairs
        )

    none, scale, both = map(
        residual, (DepthAlignment.NONE, DepthAlignment.SCALE, DepthAlignment.SCALE_SHIFT)
    )
    assert none > scale > both


def test_constant_prediction_can_be_shifted_but_not_scaled():
    truth = random_truth(3)
    report = evaluate_depth(
        [pair(np.full_like(t, 3.0), t) for t in truth], DepthAlignment.SCALE_SHIFT
    )
    assert report.scale == 0.0
    assert report.errors == report.best_constant


def test_scale_drift_is_the_relative_spread_of_the_scales_of_frames():
    truth = random_truth(4, frames=2)
    pairs = [pair(truth[0], truth[0], 0), pair(truth[1] * 3, truth[1], 1)]
    report = evaluate_depth(pairs)
    assert [frame.scale for frame in report.per_frame] == pytest.approx([1.0, 3.0])
    assert report.scale_drift == pytest.approx(np.std([1.0, 3.0]) / 2.0)
    steady = evaluate_depth([pair(2 * t, t) for t in truth])
    assert steady.scale_drift == pytest.approx(0.0, abs=1e-6)


def test_flicker_is_the_change_of_the_prediction_where_the_truth_is_static():
    still = np.full((4, 4), 5.0)
    moving = still.copy()
    moving[:2] = 3.0
    pairs = [pair(still, still, 0), pair(1.1 * still, still, 1), pair(1.1 * moving, moving, 2)]
    report = evaluate_depth(pairs)
    # 16 pixels change by ln 1.1, then the 8 whose truth stood still do not change.
    assert report.flicker == pytest.approx(16 * np.log(1.1) / 24, rel=1e-5)
    assert np.isnan(evaluate_depth([pair(still, still)]).flicker)


def test_baselines_are_fitted_per_sequence_in_inverse_depth():
    rows = (np.arange(8) + 0.5) / 8
    ground = np.broadcast_to(1 / (0.1 + 0.4 * rows)[:, None], (8, 6))
    report = evaluate_depth([pair(np.ones_like(ground), ground)])
    assert report.best_gradient.abs_rel < 1e-5
    constant = 1 / np.mean(1 / ground)
    assert report.best_constant.abs_rel == pytest.approx(np.mean(np.abs(constant / ground - 1)))


def test_extremes_of_frames_and_stamps_are_kept():
    truth = random_truth(5, frames=3)
    pairs = [pair(t * (1 + 0.1 * i), t, 100 * i) for i, t in enumerate(truth)]
    frames = evaluate_depth(pairs).per_frame
    assert [frame.stamp_ns for frame in frames] == [0, 100, 200]
    assert [frame.errors.abs_rel for frame in frames] == pytest.approx([0.0, 0.1, 0.2], abs=1e-5)


def test_a_frame_without_any_truth_is_ignored():
    good = pair([[1.0, 2.0]], [[1.0, 2.0]], 1)
    report = evaluate_depth([pair([[1.0, 2.0]], [[NAN, NAN]], 0), good])
    assert report.frames == 1
    assert report.per_frame[0].stamp_ns == 1


def test_no_valid_pixel_is_an_error():
    with pytest.raises(InputError, match='no pixel of 1 frames'):
        evaluate_depth([pair([[NAN]], [[1.0]])])
    with pytest.raises(InputError, match='no pixel of 0 frames'):
        evaluate_depth([])


def test_smaller_prediction_is_compared_at_the_truths_size():
    truth = np.repeat(np.repeat([[1.0, 2.0], [3.0, 4.0]], 3, axis=0), 3, axis=1)
    report = evaluate_depth([pair([[1.0, 2.0], [3.0, 4.0]], truth)])
    assert report.errors.abs_rel == 0.0


def test_nearest_resize_uses_pixel_centres_and_rejects_another_aspect():
    assert resize_nearest(np.arange(6.0)[None], (1, 6)).tolist() == [[0, 1, 2, 3, 4, 5]]
    row = np.broadcast_to(np.arange(6.0), (6, 6))
    assert resize_nearest(row, (2, 2))[0].tolist() == [1, 4]
    assert resize_nearest(np.array([[1.0, 2.0]] * 2), (6, 6))[0].tolist() == [1, 1, 1, 2, 2, 2]
    with pytest.raises(InputError, match='6x6 and the truth 8x4'):
        resize_nearest(row, (4, 8))
