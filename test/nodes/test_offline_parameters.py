# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from videodepth.action import Refine

from test.nodes.test_parameters import flat
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.nodes.declaration import markdown_table
from videodepth_ros.nodes.offline_parameters import (
    DECLARATIONS,
    OfflineParameters,
    offline_parameters,
    output_of,
    request_from,
)
from videodepth_ros.refine.settings import RefineSettings


def test_the_defaults_are_allowed_and_agree():
    assert offline_parameters({d.name: d.default for d in DECLARATIONS}) == OfflineParameters()
    with pytest.raises(ConfigError, match=r'config/offline\.yaml lists all'):
        offline_parameters({'no_such': 1})


def test_the_defaults_are_those_of_the_job(tmp_path):
    request = request_from(Refine.Goal(bag=str(tmp_path)), OfflineParameters())
    assert request.settings == RefineSettings()


def test_what_a_goal_says_is_what_the_job_is_told(tmp_path):
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


def test_odometry_is_left_out_where_goal_or_parameters_say_so(tmp_path):
    goal = Refine.Goal(bag=str(tmp_path))
    assert not request_from(goal, OfflineParameters(odometry=False)).settings.odometry
    assert request_from(goal, OfflineParameters()).settings.odometry


def test_every_field_of_a_goal_is_a_parameter():
    assert set(Refine.Goal.get_fields_and_field_types()) <= {d.name for d in DECLARATIONS}


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
    assert output_of(Path(bag), output) == Path(expected)


def test_the_shipped_file_holds_every_parameter_with_its_default(root):
    shipped = yaml.safe_load((root / 'config/offline.yaml').read_text())['/**']['ros__parameters']
    assert flat(shipped) == {d.name: d.default for d in DECLARATIONS}


def test_the_table_of_the_readme_is_that_of_the_code(root):
    readme = (root / 'docs/parameters.md').read_text()
    shown = readme.partition('<!-- offline parameters -->\n')[2]
    assert shown.partition('<!-- end of offline parameters -->')[0] == markdown_table(
        DECLARATIONS
    ), 'put this table between the marks'
