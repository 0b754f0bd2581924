# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from videodepth.action import Refine

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.options import options_of
from videodepth_ros.nodes.offline_parameters import OfflineParameters, output_path, request_from
from videodepth_ros.refine.settings import RefineSettings


def test_the_defaults_are_those_of_the_job(tmp_path):
    request = request_from(Refine.Goal(bag=str(tmp_path)), OfflineParameters())
    assert request.settings == RefineSettings()


def test_fields_of_a_goal_are_settings_of_the_job(tmp_path):
    said = {
        'preset': 'full',
        'engine': 'torch',
        'depth_topic': '/depth',
        'clip': 7,
        'max_pixels': 50_000,
        'processes': 2,
        'odometry': False,
        'max_range_m': 20.0,
        'voxel_m': 0.25,
        'path_length_m': 3.0,
        'copy_topics': True,
    }
    request = request_from(Refine.Goal(bag=str(tmp_path), **said), OfflineParameters())
    assert request.settings == RefineSettings(**said)


def test_goal_or_parameters_can_disable_odometry(tmp_path):
    goal = Refine.Goal(bag=str(tmp_path))
    assert not request_from(goal, OfflineParameters(odometry=False)).settings.odometry
    assert request_from(goal, OfflineParameters()).settings.odometry


def test_every_field_of_a_goal_is_a_parameter():
    names = {each.name for each in options_of(OfflineParameters)}
    assert set(Refine.Goal.get_fields_and_field_types()) <= names


def test_parameters_are_set_one_by_one_and_a_request_is_checked(tmp_path):
    parameters = OfflineParameters(start_s=5.0, end_s=3.0)
    with pytest.raises(ConfigError, match='the end is after the start'):
        request_from(Refine.Goal(bag=str(tmp_path)), parameters)


@pytest.mark.parametrize(
    ('bag', 'output', 'expected'),
    [
        ('/data/drive.mcap', '', '/data/drive_refined'),
        ('/data/drive', '', '/data/drive_refined'),
        ('/data/rosbag2_2026_01_01-10.20.30', '', '/data/rosbag2_2026_01_01-10.20.30_refined'),
        ('/data/drive', '/elsewhere/map.mcap', '/elsewhere/map.mcap'),
    ],
)
def test_where_results_go(bag, output, expected):
    assert output_path(Path(bag), output) == Path(expected)
