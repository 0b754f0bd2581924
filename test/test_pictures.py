# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from videodepth_ros.core.errors import BagError
from videodepth_ros.pictures import (
    BACKGROUND,
    UNKNOWN_GREY,
    ColourRange,
    Viewpoint,
    colour_range,
    colourise,
    follow_range,
    render_cloud,
    side_by_side,
    viewpoint_of,
    write_picture,
    write_video,
)

COLOURS = ColourRange(1.0, 10.0)


def test_near_is_red_far_is_blue_and_unknown_is_grey():
    depth_m = np.array([[1.0, 10.0, np.inf, np.nan, 0.0]], np.float32)
    near, far, sky, unknown, zero = colourise(depth_m, COLOURS)[0].astype(int)
    assert near[0] > near[2]
    assert far[2] >= far[0]
    assert (sky == far).all()
    assert (unknown == UNKNOWN_GREY).all()
    assert (zero == UNKNOWN_GREY).all()


def test_colours_depend_on_the_depth_alone_and_not_on_the_frame():
    one, other = np.full((2, 2), 3.0, np.float32), np.array([[3.0, 1.0], [9.0, 2.0]], np.float32)
    assert (colourise(one, COLOURS)[0, 0] == colourise(other, COLOURS)[0, 0]).all()


def test_range_holds_nearly_all_depths_and_always_exists():
    depth_m = np.random.default_rng(0).uniform(2, 8, (200, 200)).astype(np.float32)
    depth_m[0] = np.nan
    depth_m[1] = np.inf
    colours = colour_range([depth_m, depth_m])
    assert 2 <= colours.near_m < 2.5
    assert 7.5 < colours.far_m <= 8
    nothing = colour_range([np.full((4, 4), np.nan, np.float32)])
    assert nothing.near_m < nothing.far_m
    flat = colour_range([np.full((200, 200), 3.0, np.float32)])
    assert flat.near_m < flat.far_m


def test_panels_stand_beside_each_other_under_their_names():
    panel = np.full((40, 60, 3), 9, np.uint8)
    joined = side_by_side([('one', panel), ('two', panel)])
    assert joined.shape[1] == 120
    assert (joined[-40:] == 9).all()
    assert joined[:-40].any()


def test_a_video_can_be_read_back(tmp_path):
    pictures = [np.full((48, 64, 3), (250, 10, 10), np.uint8)] * 5
    assert write_video(tmp_path / 'v.webm', iter(pictures), 10.0) == 5
    video = cv2.VideoCapture(str(tmp_path / 'v.webm'))
    is_read, frame = video.read()
    video.release()
    assert is_read
    blue, _, red = frame[24, 32]
    assert red > 200 > blue


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(BagError, match='cannot be written'):
        write_picture(tmp_path / 'no' / 'folder.png', np.zeros((4, 4, 3), np.uint8))


def test_in_a_cloud_near_points_hide_far_ones():
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)), -1).reshape(-1, 2)
    wall = np.column_stack([grid, np.full(len(grid), 4.0)]).astype(np.float32)
    card = np.column_stack([grid * 0.3, np.full(len(grid), 3.0)]).astype(np.float32)
    colours = np.repeat(np.array([[200, 0, 0], [0, 200, 0]], np.uint8), len(grid), axis=0)
    straight_on = Viewpoint(np.array([0.0, 0.0, 3.5]), 1.0, 0.0, 0.0)
    picture = render_cloud(np.vstack([wall, card]), colours, 200, 150, straight_on)
    assert picture.shape == (150, 200, 3)
    assert (picture[75, 100] == [0, 200, 0]).all()
    assert (picture == [200, 0, 0]).all(axis=2).any()


def test_a_cloud_without_points_is_empty():
    nothing = np.full((5, 3), np.nan, np.float32)
    picture = render_cloud(nothing, np.zeros((5, 3), np.uint8), 20, 10, viewpoint_of(nothing))
    assert (picture == BACKGROUND).all()


@pytest.mark.parametrize('size_m', [(2, 2, 2), (6, 1, 1), (1, 4, 1), (1, 1, 20)])
def test_a_viewpoint_has_a_cloud_in_its_image_and_fills_it(size_m):
    rng = np.random.default_rng(0)
    points = (rng.uniform(-0.5, 0.5, (2000, 3)) * size_m + [2, 1, 15]).astype(np.float32)
    view = viewpoint_of(np.vstack([points, np.full((3, 3), np.nan, np.float32)]))
    picture = render_cloud(points, np.full((2000, 3), 255, np.uint8), 300, 200, view)
    ink = (picture == 255).all(axis=2)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    assert ink[[0, -1]].sum() + ink[:, [0, -1]].sum() < 0.02 * ink.sum()
    assert max(np.ptp(rows) / 200, np.ptp(columns) / 300) > 0.5


def test_mp4_is_h264_with_the_same_bytes_where_pyav_is_installed(tmp_path):
    av = pytest.importorskip('av', reason='PyAV is not installed')
    pictures = [np.full((32, 48, 3), 20 * k, np.uint8) for k in range(5)]
    for name in ('a.mp4', 'b.mp4'):
        assert write_video(tmp_path / name, iter(pictures), 10.0) == 5
    assert (tmp_path / 'a.mp4').read_bytes() == (tmp_path / 'b.mp4').read_bytes()
    with av.open(str(tmp_path / 'a.mp4')) as video:
        (stream,) = video.streams.video
        assert (stream.codec_context.name, stream.frames) == ('h264', 5)


def test_mp4_has_the_same_bytes_where_x264_for_avx512_has_not(tmp_path):
    pytest.importorskip('av', reason='PyAV is not installed')
    noise = np.random.default_rng(0)
    ramp = np.linspace(0, 240, 450 * 130).reshape(130, 450, 1).astype(np.uint8)
    pictures = [
        np.roll(ramp, 3 * k, 1) + noise.integers(0, 9, (130, 450, 3), np.uint8) for k in range(12)
    ]
    found = set()
    for name in ('a.mp4', 'b.mp4', 'c.mp4'):
        write_video(tmp_path / name, iter(pictures), 10.0)
        found.add((tmp_path / name).read_bytes())
    assert len(found) == 1


def test_a_followed_range_moves_by_a_share_of_the_ratio():
    now = ColourRange(4.0, 40.0)
    assert follow_range(None, now, 0.5) == now
    assert follow_range(ColourRange(1.0, 10.0), now, 0.5) == ColourRange(2.0, 20.0)
