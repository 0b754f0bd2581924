# SPDX-License-Identifier: Apache-2.0
"""The map from above, the video and the charts."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from test.support import refined_results as m
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.pictures import BACKGROUND, ColourRange
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.map_views import MapSurface, map_views
from videodepth_ros.results.options import PREVIEW, TopDownOptions
from videodepth_ros.results.preview import PreviewWriter
from videodepth_ros.results.report import ReportFigures, TrajectoryFigures, render_report
from videodepth_ros.results.top_view import PATH, TopDownMap

COLOURS = ColourRange(0.5, 5.0)


def ahead(x_m=0.0, y_m=0.0, depth_m=2.0, colour=(10, 200, 30)):
    """Return a frame that looks along the map's x axis at a wall of one colour."""
    T = np.eye(4)
    T[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    T[:3, 3] = x_m, y_m, 1.0
    depth = np.full((24, 32), depth_m, np.float32)
    return RefinedFrame(
        int(m.STAMPS[0]),
        m.OPTICAL,
        depth,
        np.ones_like(depth),
        None,
        m.CAMERA,
        T,
        np.full((24, 32, 3), colour, np.uint8),
    )


def straight(count, step_m=0.1, period_ns=100_000_000):
    poses = np.stack([ahead(step_m * k).T_map_cam for k in range(count)])
    return Trajectory(m.START_NS + period_ns * np.arange(count), poses)


def place(view, x_m, y_m):
    """Return row and column of a place in the map."""
    column, row = view._pixels(np.array([[x_m, y_m]]))[0]
    return int(row), int(column)


def test_what_was_seen_and_where_the_camera_went():
    view = TopDownMap(straight(11), ahead(), TopDownOptions(size_px=200))
    view.add(ahead())
    picture = view.picture(11)
    rows, columns = np.nonzero((picture == (10, 200, 30)).all(axis=2))
    assert set(columns.tolist()) == {place(view, 2.0, 0)[1]}  # a wall, 2 m before the start
    assert rows.min() < place(view, 0, 0)[0] <= rows.max()
    row, column = place(view, 0.5, 0)
    assert picture[row - 1 : row + 2, column, 0].max() > 0.7 * PATH[0]
    assert view.picture(1)[row - 1 : row + 2, column, 0].max() < 0.3 * PATH[0]


def test_left_in_the_map_is_up_in_the_picture():
    view = TopDownMap(straight(11), ahead(), TopDownOptions(size_px=200))
    assert place(view, 0, 1)[0] < place(view, 0, -1)[0]
    assert place(view, 1, 0)[1] > place(view, 0, 0)[1]


def test_higher_points_hide_lower_ones_and_what_is_unsure_is_not_shown():
    low = ahead(colour=(1, 1, 250))
    low.T_map_cam[2, 3] = 0.5
    for order in ([ahead(), low], [low, ahead()]):
        view = TopDownMap(straight(11), ahead(), TopDownOptions(size_px=200))
        for frame in order:
            view.add(frame)
        assert (view.picture(0) == (10, 200, 30)).all(axis=2).any()
    view = TopDownMap(straight(11), ahead(), TopDownOptions(size_px=200))
    view.add(replace(ahead(), confidence=np.zeros((24, 32), np.float32)))
    assert not (view.picture(0) == (10, 200, 30)).all(axis=2).any()


@pytest.mark.parametrize('extent_m', [1e-4, 0.03, 1.0, 44.0, 9e5])
def test_the_grid_is_round_and_has_a_few_lines(extent_m):
    view = TopDownMap(
        straight(2, 0.9 * extent_m), ahead(depth_m=0.05 * extent_m), TopDownOptions(size_px=200)
    )
    lines = view.extent_m / view.grid_m
    assert 3 <= lines < 10
    assert float(f'{view.grid_m:e}'[0]) in (1, 2, 5)


def test_a_view_of_nothing(tmp_path):
    nothing = ahead(depth_m=np.nan)
    view = TopDownMap(straight(1), nothing, TopDownOptions(size_px=50))
    view.add(nothing)
    assert view.picture(1, nothing.T_map_cam).max() > BACKGROUND


@pytest.mark.parametrize(
    ('count', 'period_ns', 'shown', 'rate_hz'),
    [
        (12, 100_000_000, 12, 10),
        (12, 33_333_333, 4, 10),
        (3, 5_000_000_000, 3, 2),
        (2 * PREVIEW.max_frames + 1, 100_000_000, PREVIEW.max_frames * 2 // 3 + 1, 10 / 3),
    ],
)
def test_the_video_keeps_time_and_stays_short(tmp_path, count, period_ns, shown, rate_hz):
    track = straight(count, period_ns=period_ns)
    view = TopDownMap(track, ahead(), TopDownOptions(size_px=64))
    with PreviewWriter(tmp_path / 'a.mp4', track.stamp_ns, view, COLOURS) as preview:
        for ns in track.stamp_ns.tolist():
            preview.add(replace(ahead(), stamp_ns=ns))
    video = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(rate_hz, rel=0.01)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == shown
    video.release()


@pytest.mark.parametrize(
    ('width', 'height', 'panel'), [(32, 24, (320, 240)), (24, 40, (240, 400)), (8, 80, (48, 480))]
)
def test_a_panel_of_a_high_image_is_wide_enough_for_its_caption(tmp_path, width, height, panel):
    frame = replace(
        ahead(),
        depth_m=np.full((height, width), 2, np.float32),
        image=np.zeros((height, width, 3), np.uint8),
    )
    with PreviewWriter(tmp_path / 'a.mp4', np.array([1]), None, COLOURS) as preview:
        preview.add(frame)
    video = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 2 * panel[0]
    assert panel[1] <= video.get(cv2.CAP_PROP_FRAME_HEIGHT) < panel[1] + 40
    video.release()


def box(size_m=1.0):
    """Return the surface of a red floor and a blue wall behind it, seen along the map's x axis."""
    corners = np.array([[0, -1, 0], [0, 1, 0], [2, 1, 0], [2, -1, 0], [2, -1, 1.5], [2, 1, 1.5]])
    colours = np.array([[200, 0, 0]] * 2 + [[100, 0, 100]] * 2 + [[0, 0, 200]] * 2, np.uint8)
    faces = np.array([[0, 1, 2], [0, 2, 3], [3, 2, 5], [3, 5, 4]], np.int32)
    return MapSurface(size_m * corners, colours, faces)


def test_the_map_from_two_sides_has_floor_below_and_wall_above():
    left, right = map_views(box(), straight(3).T_map_cam)
    assert left.shape == right.shape
    assert not (left == right).all()
    for picture in (left, right):
        red, blue = (picture[..., c].astype(int) > 60 for c in (0, 2))
        rows_red = np.nonzero(red & ~blue)[0]
        rows_blue = np.nonzero(blue & ~red)[0]
        assert len(rows_red) > 500
        assert len(rows_blue) > 500
        assert rows_red.mean() > rows_blue.mean()
    np.testing.assert_array_equal(left, map_views(box(10.0), straight(3).T_map_cam)[0])


def test_the_map_of_a_cloud_and_of_nothing():
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    colours = np.full((500, 3), (0, 250, 0), np.uint8)
    none = np.empty((0, 3), np.int32)
    for picture in map_views(MapSurface(points, colours, none), straight(2).T_map_cam):
        assert (picture == (0, 250, 0)).all(axis=2).sum() > 500
    assert map_views(MapSurface(points[:0], colours[:0], none), straight(2).T_map_cam) == []


def test_depth_before_stereo_is_shown_where_there_is_some():
    plain, both = ReportFigures(1, COLOURS), ReportFigures(1, COLOURS)
    plain.add(ahead())
    both.add(replace(ahead(), prior_m=np.full((12, 16), 3, np.float32)))
    assert (plain.has_prior, both.has_prior) == (False, True)
    assert both.strips[0].picture.shape[0] == plain.strips[0].picture.shape[0] * 3 // 2


@pytest.mark.parametrize('depth_m', [2.0, np.nan, np.inf])
def test_a_report_of_one_frame_without_depth(depth_m):
    figures = ReportFigures(1, COLOURS)
    figures.add(ahead(depth_m=depth_m))
    place = TrajectoryFigures(np.zeros((9, 9, 3), np.uint8), np.zeros(1), 1.0)
    text = render_report(
        '<name>', [('a & b', '1 < 2')], [], straight(1).stamp_ns, place, figures, 'm'
    )
    assert '&lt;name&gt;' in text
    assert 'a &amp; b' in text
    assert 'nan' not in text.partition('base64')[2].lower().split('</svg>')[-2]
    assert figures.known == [0.0 if np.isnan(depth_m) else 1.0]
