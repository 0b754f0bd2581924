# SPDX-License-Identifier: Apache-2.0
"""Depth of single solids against closed forms, and the fast cast against the plain one."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.synthetic.atlas import load_atlas
from videodepth_ros.synthetic.camera_path import look_along
from videodepth_ros.synthetic.raycast import cast_image, cast_rays, view_scene
from videodepth_ros.synthetic.scene import Lights, Material, Motion, Scene, SceneBuilder

CAMERA = Intrinsics(40, 30, 35.0, 36.0, 19.2, 14.9)
PLAIN = Material('plain')
FORWARD_X = look_along(np.zeros(3), 0.0, 0.0, 0.0)


def builder(seed: int = 0) -> SceneBuilder:
    return SceneBuilder(load_atlas(0), np.random.default_rng(seed))


def built(b: SceneBuilder) -> Scene:
    return b.build(Lights((1, 1, 1)), (-5, -5, -5), (5, 5, 5))


def points_in_map(scene: Scene, T_map_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hits = cast_image(view_scene(scene, T_map_cam, 0.0), CAMERA)
    met = hits.solid >= 0
    local = backproject(hits.depth_m, CAMERA)[met].astype(float)
    return local @ T_map_cam[:3, :3].T + T_map_cam[:3, 3], met


def test_a_wall_has_one_depth_and_the_rest_is_infinitely_far():
    b = builder()
    b.box((4.0, 0.0, 0.0), (2.0, 2.0, 2.0), PLAIN)
    hits = cast_image(view_scene(built(b), FORWARD_X, 0.0), CAMERA)
    met = hits.solid >= 0
    np.testing.assert_allclose(hits.depth_m[met], 3.0, rtol=1e-6)
    assert np.isposinf(hits.depth_m[~met]).all()
    # the front face spans slopes of +-1/3: 24 columns by 24 rows of 40 x 30
    assert met.sum() == pytest.approx(2 / 3 * 35 * 2 / 3 * 36, rel=0.06)


@pytest.mark.parametrize('distance_m', [2.0, 30.0, 400.0])
def test_a_sphere_is_met_on_its_surface_also_from_afar(distance_m):
    b = builder()
    radius = distance_m / 8
    b.ellipsoid((distance_m, 0.1, -0.1), [2 * radius] * 3, PLAIN)
    points, met = points_in_map(built(b), FORWARD_X)
    assert met.sum() > 20
    away = np.linalg.norm(points - (distance_m, 0.1, -0.1), axis=1)
    np.testing.assert_allclose(away, radius, rtol=2e-5)


@pytest.mark.parametrize('taper', [1.0, 0.3, 1.8])
@pytest.mark.parametrize('pitch', [-1.3, -0.4, 0.0, 0.6])
def test_a_frustum_is_met_on_its_side_or_its_caps(taper, pitch):
    b = builder()
    b.rod((0, 0, -1), (0, 0, 1), 0.8, PLAIN, taper=taper)
    ahead = np.array([np.cos(pitch), 0, np.sin(pitch)])
    points, met = points_in_map(built(b), look_along(-5 * ahead, 0.0, pitch, 0.0))
    assert met.sum() > 30
    radius = 0.8 * ((1 + taper) / 2 + (taper - 1) / 2 * points[:, 2])
    side = np.abs(np.hypot(points[:, 0], points[:, 1]) - radius)
    cap = np.abs(np.abs(points[:, 2]) - 1)
    assert np.minimum(side, cap).max() < 2e-5
    assert (np.hypot(points[:, 0], points[:, 1]) <= radius + 2e-5).all()


def test_a_camera_inside_a_box_sees_its_far_walls():
    b = builder()
    b.box((0, 0, 0), (6, 8, 4), PLAIN)
    points, met = points_in_map(built(b), look_along(np.zeros(3), 0.3, 0.1, 0.05))
    assert met.all()
    np.testing.assert_allclose((np.abs(points) / (3, 4, 2)).max(axis=1), 1, rtol=1e-5)


def test_a_lattice_has_holes_and_the_wall_behind_shows():
    b = builder()
    b.box((2, 0, 0), (0.01, 9, 9), Material('metal', cutout='lattice', cutout_scale_m=2.0))
    b.box((5, 0, 0), (0.2, 40, 40), PLAIN)
    depth = cast_image(view_scene(built(b), FORWARD_X, 0.0), CAMERA).depth_m
    fence, wall = np.isclose(depth, 1.995, atol=1e-4), np.isclose(depth, 4.9, atol=1e-4)
    assert (fence | wall).all()
    assert 0.05 < fence.mean() < 0.6


@pytest.mark.parametrize('seed', range(5))
def test_the_fast_cast_equals_the_plain_one(seed):
    b = builder(seed)
    r = b.rng
    b.box((0, 0, -1.2), (40, 40, 0.4), PLAIN)
    for _ in range(40):
        centre, size = r.uniform(-6, 6, 3), r.uniform(0.1, 2, 3)
        material = Material('leaves', cutout='leaf') if r.random() < 0.3 else PLAIN
        (b.box if r.random() < 0.5 else b.ellipsoid)(centre, size, material, yaw=r.uniform(0, 3))
        b.rod(r.uniform(-6, 6, 3), r.uniform(-6, 6, 3), 0.2, PLAIN, taper=r.uniform(0.2, 2))
    view = view_scene(built(b), look_along(r.uniform(-1, 1, 3), r.uniform(-3, 3), -0.1, 0.1), 0.0)
    fast = cast_image(view, CAMERA)
    row, column = np.mgrid[0:30, 0:40]
    x = ((column.ravel() - CAMERA.cx) / CAMERA.fx).astype(np.float32)
    y = ((row.ravel() - CAMERA.cy) / CAMERA.fy).astype(np.float32)
    plain = cast_rays(view, x, y)
    same = fast.solid.ravel() == plain.solid
    assert same.mean() > 0.995
    met = same & (plain.solid >= 0)
    close = np.isclose(fast.depth_m.ravel()[met], plain.depth_m[met], rtol=1e-4)
    assert close.mean() > 0.995


def test_a_motion_follows_its_arc():
    motion = Motion((1.0, 2.0, 0.0), 0.0, 2.0, turn_rad_s=np.pi / 2)
    quarter = motion.pose(1.0)
    radius = 2.0 / (np.pi / 2)
    np.testing.assert_allclose(quarter[:3, 3], (1 + radius, 2 + radius, 0), atol=1e-9)
    np.testing.assert_allclose(quarter[:3, 0], (0, 1, 0), atol=1e-9)
