# SPDX-License-Identifier: Apache-2.0
"""Recordings of a zoom lens or of a region of interest that moves."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from bench.room import depth as room_depth
from test.support.film import CAMERA, picture, sideways
from videodepth_ros.geometry.camera import project
from videodepth_ros.geometry.sim3 import umeyama_alignment
from videodepth_ros.sfm.reconstruction import Reconstruction, reconstruct
from videodepth_ros.sfm.zoom import CommonViews, Zoom

pytestmark = pytest.mark.slow

FRAMES = 16
CENTRE = np.array([CAMERA.width - 1, CAMERA.height - 1]) / 2


def zoomed_camera(ratio, roi=(0.0, 0.0)):
    cx, cy = CENTRE + (np.array([CAMERA.cx, CAMERA.cy]) - CENTRE) * ratio + roi
    return replace(CAMERA, fx=ratio * CAMERA.fx, fy=ratio * CAMERA.fy, cx=cx, cy=cy)


def seen(poses, cameras):
    """Return the images and the depth of the room, as each camera has them."""
    maps = np.stack([room_depth(T, one) for T, one in zip(poses, cameras, strict=True)])
    shots = zip(poses, maps, cameras, strict=True)
    return np.stack([picture(*one) for one in shots]), maps


def zoom_of(cameras, common):
    return Zoom.relative_to(common, np.array([astuple(camera)[2:] for camera in cameras]))


def ate(T, poses):
    source, target = T[:, :3, 3].T, poses[:, :3, 3].T
    error = umeyama_alignment(source, target).apply(source) - target
    return float(np.sqrt(np.square(error).sum(axis=0).mean()))


def test_pixels_are_mapped_to_the_common_camera_at_any_size():
    cameras = [zoomed_camera(1.0), zoomed_camera(1.4, (6.0, -3.0))]
    points = np.random.default_rng(0).uniform([-1, -1, 2], [1, 1, 5], (20, 3)).astype(np.float32)
    zoom = zoom_of(cameras, CAMERA)
    assert zoom.cameras(CAMERA)[1] == pytest.approx(cameras[1])
    half = CAMERA.width // 2, CAMERA.height // 2
    common = CAMERA.scaled_to(*half)
    pixel = project(points, cameras[1].scaled_to(*half))
    expected = project(points, common) - [common.cx, common.cy]
    found = zoom.to_common(pixel, np.ones(20, np.intp), common)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert not zoom.is_constant
    assert Zoom.constant(3).is_constant


@pytest.mark.parametrize(
    'cameras',
    [
        [zoomed_camera(ratio) for ratio in np.linspace(1.0, 1.5, FRAMES)],
        [zoomed_camera(ratio) for ratio in np.linspace(1.5, 1.0, FRAMES)],
        [zoomed_camera(1.3, (0.03 * CAMERA.width * np.sin(n / 3), 0)) for n in range(FRAMES)],
    ],
    ids=['in', 'out', 'roi'],
)
def test_a_zooming_camera_is_reconstructed_as_well_as_its_narrowest_view(cameras, tmp_path):
    poses = sideways(FRAMES)
    narrowest = max(cameras, key=lambda camera: camera.fx)
    constant = [replace(narrowest, cx=CAMERA.cx, cy=CAMERA.cy)] * FRAMES
    found = {}
    for name, own in {'zooming': cameras, 'constant': constant}.items():
        common = min(own, key=lambda camera: camera.fx)
        found[name] = reconstruct(*seen(poses, own), common, zoom=zoom_of(own, common))
    best = ate(found['constant'].T_world_cam, poses)
    assert ate(found['zooming'].T_world_cam, poses) < 1.5 * best
    first = reconstruct(*seen(poses, cameras), cameras[0])
    assert ate(first.T_world_cam, poses) > 4 * ate(found['zooming'].T_world_cam, poses)
    found['zooming'].save(tmp_path / 'found')
    stored = Reconstruction.load(tmp_path / 'found')
    assert stored.camera_of(5) == found['zooming'].camera_of(5)
    assert stored.camera_of(5).fx == pytest.approx(cameras[5].fx, rel=1e-6)


def test_views_are_those_of_the_common_camera():
    cameras = [CAMERA, zoomed_camera(1.4)]
    poses = sideways(2)
    images, (wide, _) = seen(poses, cameras)[0], seen(poses, [CAMERA] * 2)[0][::-1]
    views = CommonViews(images, zoom_of(cameras, CAMERA), CAMERA)
    assert len(views) == 2
    np.testing.assert_array_equal(views[0], images[0])
    inner = np.s_[CAMERA.height // 4 : -CAMERA.height // 4, CAMERA.width // 4 : -CAMERA.width // 4]
    error = np.abs(views[1][inner].astype(int) - wide[inner]).mean()
    assert np.abs(images[1][inner].astype(int) - wide[inner]).mean() > 3 * error
