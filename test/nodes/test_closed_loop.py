# SPDX-License-Identifier: Apache-2.0
"""A short ``python -m bench.closed_loop``: a robot that drives by what the live node publishes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.closed_loop import GOAL, complete, counts, stored
from bench.robot_control import Controller, Costmap
from bench.robot_world import Pose, Robot, blocked_cells, open_world
from videodepth_ros.synthetic.atlas import load_atlas
from videodepth_ros.synthetic.scene import Lights, Material, SceneBuilder

pytestmark = pytest.mark.slow

LOW_M, CELL_M, SHAPE = (0.0, 0.0), 0.05, (80, 80)
ROBOT = Robot()


def ranges(at: dict[int, float]) -> np.ndarray:
    """Return a full circle of unknown beams with the ranges of some, by degrees from ahead."""
    found = np.full(360, np.nan, np.float32)
    for degrees, range_m in at.items():
        found[180 + degrees] = range_m
    return found


def test_beams_mark_where_they_end_and_clear_what_they_cross():
    costmap = Costmap(SHAPE, LOW_M, CELL_M)
    costmap.update(1.0, 2.0, 0.0, ranges({0: 1.2}))
    assert list(np.argwhere(costmap.marked)[0]) == [40, 44]
    costmap.update(1.0, 2.0, 0.0, ranges({0: math.nan}))
    assert costmap.marked.sum() == 1
    costmap.update(1.0, 2.0, 0.0, ranges({0: math.inf}))
    assert not costmap.marked.any()


def test_the_robot_turns_before_a_wall_and_drives_where_it_is_free():
    costmap = Costmap(SHAPE, LOW_M, CELL_M)
    controller = Controller(costmap, ROBOT.radius_m, LOW_M, CELL_M)
    speed, turn = controller.command(1.0, 2.0, 0.0, (3.0, 2.0))
    assert speed > 0.3
    assert abs(turn) < 0.2
    costmap.marked[20:60, 27] = True
    assert controller.command(1.0, 2.0, 0.0, (3.0, 2.0))[0] == 0.0


def test_the_map_has_what_the_robot_runs_into():
    builder = SceneBuilder(load_atlas(0), np.random.default_rng(0))
    grey = Material('plain')
    builder.box((1.0, 1.0, 0.25), (0.4, 0.2, 0.5), grey)
    builder.box((2.0, 2.0, 1.5), (0.5, 0.5, 0.2), grey)  # it passes below
    builder.box((3.0, 3.0, 0.02), (0.5, 0.5, 0.04), grey)  # and over
    builder.rod((3.0, 1.0, 0.0), (3.0, 1.0, 1.0), 0.1, grey)
    scene = builder.build(Lights((1.0, 1.0, 1.0)), (0, 0, 0), (4, 4, 2))
    blocked = blocked_cells(scene, ROBOT, CELL_M)
    places = (np.argwhere(blocked)[:, ::-1] + 0.5) * CELL_M
    is_box = (np.abs(places - (1.0, 1.0)) < (0.25, 0.15)).all(axis=1)
    is_rod = np.linalg.norm(places - (3.0, 1.0), axis=1) < 0.16
    assert is_box.sum() >= 8 * 4
    assert is_rod.sum() >= 9
    assert (is_box | is_rod).all()


def test_drives_by_an_ideal_lidar_reach_their_goals(tmp_path):
    path = tmp_path / 'lidar.jsonl'
    complete(path, 'corridors', 2, 'lidar', 4, ROBOT)
    assert counts(stored(path))[GOAL] == 4
    world = open_world('corridors', 2, ROBOT)
    for each in stored(path):
        assert math.dist(each.path_m[-1], each.errand.goal_m) < 0.3
        assert min(world.distance_m(*point) for point in each.path_m) >= ROBOT.radius_m


def test_a_drive_by_true_depth_through_the_node_reaches_its_goal(ros, tmp_path):
    path = tmp_path / 'truth.jsonl'
    complete(path, 'corridors', 2, 'truth', 1, ROBOT)
    complete(path, 'corridors', 2, 'truth', 1, ROBOT)  # nothing is left to do
    assert counts(stored(path)) == {'goal': 1, 'collision': 0, 'frozen': 0}


def test_the_lidar_ranges_are_those_to_the_map():
    world = open_world('corridors', 2, ROBOT)
    start = world.errands(ROBOT, 1, 2)[0].start
    found = world.lidar(Pose(start.x_m, start.y_m, 0.0))
    assert found.min() == pytest.approx(world.distance_m(*start[:2]), abs=2 * CELL_M)
