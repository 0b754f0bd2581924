import numpy as np
import pytest

from test.mvs.textured_scene import CAMERA, pose, render
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.views import (
    choose_neighbours,
    fill_holes,
    make_view,
    outline,
    parallax_px,
    transfer,
    working_size,
)


def wall(T):
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    depth_m = np.full((CAMERA.height, CAMERA.width), 2.0, np.float32)
    return make_view(image, CAMERA, T, depth_m, StereoOptions())


def test_parallax_of_a_sideways_step():
    parallax, overlap = parallax_px(outline(wall(pose(0.0))), outline(wall(pose(0.1))))
    assert parallax == pytest.approx(110.0 * 0.1 / 2.0)
    assert overlap > 0.9


def test_turning_gives_no_parallax():
    parallax, _ = parallax_px(outline(wall(pose(0.0))), outline(wall(pose(0.0, yaw=0.1))))
    assert parallax == pytest.approx(0.0, abs=1e-9)


def test_neighbours_have_parallax_and_look_the_same_way():
    poses = [pose(0.0), pose(0.001), pose(0.25), pose(-0.3), pose(0.25, yaw=1.5), pose(9.0)]
    chosen = choose_neighbours([outline(wall(T)) for T in poses], 0, StereoOptions())
    assert sorted(chosen) == [2, 3]


def test_transfer_moves_pixels_as_projection_does():
    image, depth_m = render(pose(0.0))
    one = make_view(image, CAMERA, pose(0.0), depth_m, StereoOptions())
    other = make_view(image, CAMERA, pose(0.2, yaw=0.05), depth_m, StereoOptions())
    A, b = transfer(one, other)
    pixel, z = np.array([30.0, 20.0, 1.0]), 2.5
    point = np.linalg.inv(CAMERA.matrix) @ pixel * z
    T = np.linalg.inv(other.T_map_cam) @ one.T_map_cam
    there = CAMERA.matrix @ (T[:3, :3] @ point + T[:3, 3])
    found = A @ pixel + b / z
    assert found[:2] / found[2] == pytest.approx(there[:2] / there[2], rel=1e-5)
    assert found[2] * z == pytest.approx(there[2], rel=1e-5)


def test_working_size_keeps_small_images():
    options = StereoOptions()
    assert working_size(Intrinsics.centred(640, 480, 500.0), options) == (320, 240)
    assert working_size(Intrinsics.centred(160, 120, 100.0), options) == (160, 120)


def test_holes_are_filled_from_around():
    values = np.full((40, 60), 3.0, np.float32)
    known = np.ones((40, 60), bool)
    known[5:35, 10:50] = False
    values[~known] = np.nan
    assert np.allclose(fill_holes(values, known), 3.0, atol=1e-5)


def test_sky_becomes_far():
    depth_m = np.full((CAMERA.height, CAMERA.width), 2.0, np.float32)
    depth_m[:20] = np.inf
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    view = make_view(image, CAMERA, pose(0.0), depth_m, StereoOptions())
    assert view.prior_per_m[5, 5] == pytest.approx(1 / 3.0)
    assert view.known.all()


def test_prior_without_depth_is_an_error():
    depth_m = np.full((CAMERA.height, CAMERA.width), np.nan, np.float32)
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    with pytest.raises(InputError, match='leave the frame out'):
        make_view(image, CAMERA, pose(0.0), depth_m, StereoOptions())


def test_camera_of_another_size_is_an_error():
    with pytest.raises(InputError, match='scale the intrinsics first'):
        make_view(
            np.zeros((10, 10, 3), np.uint8),
            CAMERA,
            pose(0.0),
            np.ones((10, 10), np.float32),
            StereoOptions(),
        )
