import cv2
import numpy as np
import pytest

from test.mvs.textured_scene import CAMERA, pose, render, texture
from videodepth_ros.mvs.motion import (
    ResidualFlow,
    find_blobs,
    moving_mask,
    residual_flow,
    stand_on_ground,
    warp,
)
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.views import choose_moments, make_view

SIDE = 24


def frame(step, ball_px=None):
    """Return view and image of a camera that moves, with a square that moves by itself."""
    T = pose(0.03 * step)
    image, depth_m = render(T)
    if ball_px is not None:
        column = 50 + round(ball_px * step)
        patch = np.clip(texture(7)[:SIDE, :SIDE] / 2, 0, 255).astype(np.uint8)
        image[60 : 60 + SIDE, column : column + SIDE] = cv2.merge([patch, patch // 4, patch // 4])
    return make_view(image, CAMERA, T, depth_m, StereoOptions()), image


def test_still_scene_leaves_no_flow():
    view, _ = frame(0)
    moments = [(step, frame(step)[0]) for step in (-2, -1, 1, 2)]
    flow = residual_flow(view, view.prior_per_m, moments, StereoOptions())
    assert np.percentile(flow.px, 99) < 0.5


def test_warped_view_looks_the_same():
    view, other = frame(0)[0], frame(2)[0]
    grey, inside = warp(view, other, view.prior_per_m)
    assert np.median(np.abs(grey - view.grey)[inside]) < 2


def test_what_moves_is_found_with_its_outline():
    view, image = frame(0, 4.0)
    moments = [(step, frame(step, 4.0)[0]) for step in (-2, -1, 1, 2)]
    moving = moving_mask(view, view.prior_per_m, moments, image, StereoOptions())
    truth = np.zeros(moving.shape, bool)
    truth[60 : 60 + SIDE, 50 : 50 + SIDE] = True
    assert (moving & truth).sum() / (moving | truth).sum() > 0.7


@pytest.mark.parametrize('proven_columns, is_kept', [(2, False), (8, True)])
def test_flow_that_makes_nothing_more_alike_is_no_motion(proven_columns, is_kept):
    px, proven_px = np.zeros((2, 60, 80), np.float32)
    px[20:40, 30:42] = 3.0
    proven_px[20:40, 30 : 30 + proven_columns] = 3.0
    blobs = find_blobs(ResidualFlow(px, proven_px), np.ones(px.shape, bool), StereoOptions())
    assert (blobs == (px > 0) * is_kept).all()


def test_without_other_frames_nothing_moves():
    view, image = frame(0)
    assert not moving_mask(view, view.prior_per_m, [], image, StereoOptions()).any()


@pytest.mark.parametrize(
    'period_s, expected',
    [
        (0.1, [(-2, 3), (-1, 4), (1, 6), (2, 7)]),
        (0.05, [(-2, 1), (-1, 3), (1, 7), (2, 9)]),
        (1.0, []),
    ],
)
def test_moments_are_chosen_by_time(period_s, expected):
    stamp_ns = np.arange(11) * int(period_s * 1e9)
    assert choose_moments(stamp_ns, 5, StereoOptions()) == expected


def floor_with_figure():
    """Return inverse depth of a floor below a horizon, and the mask of a figure on it."""
    per_m = np.full((60, 80), 0.1, np.float32)
    per_m[20:] = 0.1 + 0.02 * np.arange(40)[:, None]
    moving = np.zeros((60, 80), bool)
    moving[15:40, 30:40] = True
    return per_m, moving


def test_figure_stands_where_its_foot_is():
    per_m, moving = floor_with_figure()
    placed = stand_on_ground(per_m, np.full_like(per_m, 0.2), moving)
    assert placed[moving] == pytest.approx(per_m[40:42].mean(), rel=0.01)
    assert (placed[~moving] == per_m[~moving]).all()


def test_a_shoe_that_rests_is_not_the_ground():
    per_m, moving = floor_with_figure()
    ground = per_m[40:42].mean()
    per_m[40:44, 30:40] *= 1.5
    placed = stand_on_ground(per_m, np.full_like(per_m, 0.2), moving)
    assert placed[moving] == pytest.approx(ground, rel=0.03)


def test_figure_that_is_cut_off_stays():
    per_m, moving = floor_with_figure()
    moving[15:60, 30:40] = True
    assert (stand_on_ground(per_m, per_m, moving) == per_m).all()
