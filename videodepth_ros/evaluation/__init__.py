# SPDX-License-Identifier: Apache-2.0
"""Depth, boundary and trajectory metrics on plain arrays.

>>> import numpy as np
>>> from videodepth_ros.evaluation import DepthAlignment, DepthPair, evaluate_depth
>>> truth = np.linspace(1, 4, 12).reshape(3, 4)  # metres
>>> pairs = [DepthPair(stamp_ns=0, predicted_m=truth / 2, truth_m=truth)]
>>> evaluate_depth(pairs).errors.abs_rel
0.5
>>> report = evaluate_depth(pairs, DepthAlignment.SCALE)
>>> round(report.scale, 6), round(report.errors.abs_rel, 6)  # scale of the inverse depth
(0.5, 0.0)

Camera trajectories, after an alignment with Sim(3):

>>> from videodepth_ros.evaluation import TrajectoryAlignment, evaluate_trajectory
>>> from videodepth_ros.geometry import Trajectory
>>> stamp_ns = np.arange(4) * 100_000_000
>>> T_map_cam = np.tile(np.eye(4), (4, 1, 1))
>>> T_map_cam[:, :2, 3] = [[0, 0], [1, 0], [2, 1], [3, 1]]
>>> half = T_map_cam.copy()
>>> half[:, :3, 3] /= 2
>>> report = evaluate_trajectory(
...     Trajectory(stamp_ns, half), Trajectory(stamp_ns, T_map_cam), TrajectoryAlignment.SIM3
... )
>>> round(report.scale, 6), round(report.ate_rmse_m, 6)
(2.0, 0.0)
"""

from videodepth_ros.evaluation.accumulators import DepthAlignment, DepthErrors
from videodepth_ros.evaluation.boundary import boundary_f1, boundary_recall
from videodepth_ros.evaluation.depth import DepthPair, DepthReport, evaluate_depth
from videodepth_ros.evaluation.trajectory import (
    RpeDelta,
    TrajectoryAlignment,
    TrajectoryReport,
    evaluate_trajectory,
)
from videodepth_ros.evaluation.tum import read_tum, write_tum

__all__ = [
    'DepthAlignment',
    'DepthErrors',
    'DepthPair',
    'DepthReport',
    'RpeDelta',
    'TrajectoryAlignment',
    'TrajectoryReport',
    'boundary_f1',
    'boundary_recall',
    'evaluate_depth',
    'evaluate_trajectory',
    'read_tum',
    'write_tum',
]
