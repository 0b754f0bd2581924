# SPDX-License-Identifier: Apache-2.0
"""The map in 3D of the report: its cloud, and the page that draws it."""

from __future__ import annotations

import base64
import gzip
import json
import re

import numpy as np
import pytest

from videodepth_ros.pictures import ColourRange
from videodepth_ros.results.map_cloud import map_cloud
from videodepth_ros.results.map_page import map_scene
from videodepth_ros.results.options import MapCloudOptions
from videodepth_ros.results.point_cloud import POINT
from videodepth_ros.results.report import ReportFigures, TrajectoryFigures, render_report

POINTS = np.random.default_rng(3).uniform([-4, 0, 1], [2, 10, 3], (5000, 3))
COLOURS = np.random.default_rng(4).integers(0, 256, (5000, 3), np.uint8)


def test_positions_are_kept_to_a_level():
    cloud = map_cloud(POINTS, COLOURS, MapCloudOptions(max_share=1.0))
    positions_m = cloud.low_m + cloud.step_m * cloud.levels
    gaps = np.linalg.norm(positions_m[:, None] - POINTS[None, :1000], axis=2).min(axis=0)
    assert gaps.max() <= cloud.voxel_m * 3**0.5
    nearest = np.linalg.norm(POINTS[None] - positions_m[:50, None], axis=2)
    assert nearest.min(axis=1).max() <= cloud.step_m
    np.testing.assert_array_equal(cloud.colours[:50], COLOURS[nearest.argmin(axis=1)])


@pytest.mark.parametrize('most', [1, 100, 3000])
def test_a_large_cloud_is_thinned_out(most):
    cloud = map_cloud(POINTS, COLOURS, MapCloudOptions(max_points=most))
    assert 0.3 * most <= len(cloud.levels) <= most
    spread = np.ptp(cloud.low_m + cloud.step_m * cloud.levels, axis=0)
    assert most == 1 or (spread > 0.6 * np.ptp(POINTS, axis=0)).all()


def test_a_single_point_is_a_cloud():
    cloud = map_cloud(POINTS[:1], COLOURS[:1])
    np.testing.assert_allclose(cloud.low_m + cloud.step_m * cloud.levels, POINTS[:1])


def page(points):
    cloud = np.zeros(len(points), POINT)
    cloud['x'], cloud['y'], cloud['z'] = points.T
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, :3, 3] = 1, 2, 3
    figures = ReportFigures(2, ColourRange(1, 10))
    for values in (figures.known, figures.median_m, figures.confidence):
        values += [1.0, 1.0]
    picture = np.zeros((4, 4, 3), np.uint8)
    poses = TrajectoryFigures(picture, np.zeros(2), 1.0, scene=map_scene(cloud, T))
    return render_report('t', [], [], np.array([0, 10**9]), poses, figures, 'm')


def test_the_report_holds_the_map_and_what_draws_it():
    html = page(POINTS)
    facts = json.loads(re.search(r'const facts = (\{.*\});', html).group(1))
    assert facts['path'] == [0, 0, 0, 1, 2, 3]
    three, data = (
        gzip.decompress(base64.b64decode(each))
        for each in re.findall(r"unpacked\('(.+?)'\)", html)
    )
    assert b'WebGLRenderer' in three
    assert len(data) == 9 * facts['count']
    levels = np.frombuffer(data, '<u2', 3 * facts['count']).reshape(-1, 3)
    positions_m = facts['low'] + facts['step'] * levels
    np.testing.assert_allclose(positions_m.min(axis=0), POINTS.min(axis=0), atol=0.05)
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert html == page(POINTS)


def test_an_empty_map_is_left_out():
    assert 'const facts' not in page(np.empty((0, 3)))
