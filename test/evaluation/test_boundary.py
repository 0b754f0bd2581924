# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest

from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.boundary import boundary_f1, boundary_recall, match_edges

GOLDENS = Path(__file__).parents[2].parent / 'shared' / 'goldens' / 'depthpro'


def step_edge(column: int, near: float = 1.0, far: float = 2.0) -> np.ndarray:
    depth_m = np.full((6, 8), far)
    depth_m[:, :column] = near
    return depth_m


def test_equal_maps_score_one_only_where_every_direction_has_an_edge():
    depth_m = np.ones((9, 9))
    depth_m[3:6, 3:6] = 2.0
    assert boundary_f1(depth_m, depth_m) == pytest.approx(1.0)
    # A vertical step has edges in one of four directions: precision = recall = 1/4.
    assert boundary_f1(step_edge(4), step_edge(4)) == pytest.approx(0.25)


def test_an_edge_one_pixel_off_scores_nothing():
    assert boundary_f1(step_edge(3), step_edge(4)) == 0.0


def test_an_edge_counts_at_thresholds_below_its_ratio():
    # A ratio of 1.10 passes the thresholds 1.05, 1.072 and 1.094 of ten, each weighted by itself.
    thresholds = np.linspace(1.05, 1.25, 10)
    weak = step_edge(4, 1.0, 1.10)
    expected = thresholds[:3].sum() / thresholds.sum() * 0.25
    assert boundary_f1(weak, weak) == pytest.approx(expected)


def test_scale_cancels_and_flat_maps_score_zero():
    truth = step_edge(4)
    assert boundary_f1(3.7 * truth, truth) == pytest.approx(boundary_f1(truth, truth))
    assert boundary_f1(np.ones_like(truth), truth) == 0.0


def test_predicted_edges_without_truth_are_ignored():
    truth = np.ones((9, 12))
    truth[3:6, 3:6] = 2.0
    predicted = truth.copy()
    predicted[:, 9:] = 5.0
    assert boundary_f1(predicted, truth) < 1.0
    truth[:, 8:] = np.nan
    assert boundary_f1(predicted, truth) == pytest.approx(1.0)


def test_sky_behind_a_roof_is_an_edge():
    truth = np.full((9, 9), np.inf)
    truth[3:6, 3:6] = 20.0
    assert boundary_f1(truth, truth) == pytest.approx(1.0)


def test_unequal_sizes_are_rejected():
    with pytest.raises(InputError, match='resize'):
        boundary_f1(np.ones((4, 4)), np.ones((4, 5)))


def test_recall_counts_the_edges_of_the_matte_only():
    matte = np.zeros((12, 16))
    matte[4:8, 4:10] = 0.8
    matte[0, 0] = 0.05
    depth_m = np.where(matte > 0.1, 1.0, 3.0)
    depth_m[:, 13:] = 9.0
    assert boundary_recall(depth_m, matte) == pytest.approx(1.0)
    assert boundary_recall(np.ones_like(depth_m), matte) == 0.0
    assert boundary_recall(1 / depth_m, matte) == 0.0  # the wrong side is in front
    assert boundary_recall(depth_m, np.zeros_like(matte)) == 0.0


def test_non_maxima_of_a_ramp_are_suppressed():
    depth_m = np.tile([1.0, 1.0, 1.3, 2.6, 3.4, 3.4, 1.0, 2.0], (4, 1))
    ramp, steepest = np.zeros((2, 4, 8), bool)
    ramp[:, :2] = True
    steepest[:, :3] = True
    assert boundary_recall(depth_m, ramp) == 0.0
    assert boundary_recall(depth_m, steepest) == pytest.approx(0.25)


def test_runs_of_edges_end_with_their_row():
    depth_m = np.array([[1.0, 2.0], [1.0, 3.0]])
    matte = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert boundary_recall(depth_m, matte) == pytest.approx(0.25)


def test_a_matte_of_another_size_is_rejected():
    with pytest.raises(InputError, match='matte'):
        boundary_recall(np.ones((4, 4)), np.ones((4, 5)))


@pytest.mark.skipif(not GOLDENS.is_dir(), reason='no ../shared/goldens/depthpro here')
def test_equals_the_reference_cases():
    cases = json.loads((GOLDENS / 'boundary.json').read_text())['cases']
    arrays = np.load(GOLDENS / 'boundary_inputs.npz')
    for name, golden in cases.items():
        index, kind = name.split('_', 1)
        predicted = arrays[f'pred{index}_{kind}']
        truth, matte = arrays[f'gt{index}'], arrays[f'mask{index}']
        edges = match_edges(predicted, truth, 1.1)
        ours = {
            'SI_boundary_F1': boundary_f1(predicted, truth),
            'SI_boundary_Recall': boundary_recall(predicted, matte),
            'F1_custom_t': boundary_f1(predicted, truth, np.linspace(1.1, 1.5, 5)),
            'f1_t1.1': edges.f1,
            'prec_t1.1': edges.precision,
            'rec_t1.1': edges.recall,
        }
        # float64 agrees to the last bits; the bar for all is 1e-6.
        exact = 1e-12 if predicted.dtype == np.float64 else 1e-7
        assert ours == pytest.approx(golden, abs=exact), name
