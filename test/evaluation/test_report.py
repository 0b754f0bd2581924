# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np

from videodepth_ros.evaluation.depth import DepthPair, evaluate_depth
from videodepth_ros.evaluation.report import Evaluation, format_table, to_json
from videodepth_ros.evaluation.trajectory import evaluate_trajectory
from videodepth_ros.geometry.trajectory import Trajectory

TRUTH = np.random.default_rng(0).uniform(1, 5, (8, 10)).astype(np.float32)


def evaluation() -> Evaluation:
    depth = evaluate_depth([DepthPair(i, TRUTH * (1 + i / 10), TRUTH) for i in range(3)])
    poses = np.stack([np.eye(4)] * 3)
    poses[:, 0, 3] = [0, 1, 2]
    trajectory = Trajectory(np.arange(3), poses)
    return Evaluation(depth, evaluate_trajectory(trajectory, trajectory))


def test_json_has_the_documented_keys():
    facts = json.loads(to_json(evaluation()))
    assert {'abs_rel', 'rmse_m', 'delta_1_25', 'boundary_f1', 'scale_drift', 'frames'} <= set(
        facts['depth']
    )
    assert {'ate_rmse_m', 'rpe_trans_m', 'rpe_rot_deg', 'path_length_m', 'frames'} <= set(
        facts['trajectory']
    )
    assert facts['depth']['alignment'] == 'none'
    assert facts['depth']['per_frame'][2]['abs_rel'] > 0.19
    assert facts['depth']['best_constant']['abs_rel'] > 0


def test_nan_becomes_null():
    depth = evaluate_depth([DepthPair(0, TRUTH, TRUTH)])
    text = to_json(Evaluation(depth, None))
    facts = json.loads(text)
    assert facts['trajectory'] is None
    assert facts['depth']['flicker'] is None
    assert 'NaN' not in text


def test_table_shows_prediction_extremes_and_baselines():
    text = format_table(evaluation())
    for part in (
        'prediction',
        'best frame',
        'worst frame',
        'best constant depth',
        'best vertical gradient',
        'boundary F1',
        'ATE rmse',
    ):
        assert part in text
    assert format_table(Evaluation(None, None)) == ''
