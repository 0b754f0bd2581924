# SPDX-License-Identifier: Apache-2.0
"""A bed is told from the ground by the parallax of what is on it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import GroundPlane, camera_rays
from videodepth_ros.scale.fusion import FusedScale, FusionSettings
from videodepth_ros.scale.mount import mount_from_pitch
from videodepth_ros.scale.parallax import fit_log_scale
from videodepth_ros.scale.plane_parallax import PlaneParallax
from videodepth_ros.stream.corner_tracking import Corners

CAMERA = Intrinsics.centred(320, 240, 250.0)
SCALE, PLANE_M, STEP_M, FRAME_NS = 40.0, 0.6, 0.04, 66_000_000
DOWN = mount_from_pitch(20.0).down
AHEAD = np.array([0.0, -DOWN[2], DOWN[1]])  # on the plane, in the optical frame
PLANE = GroundPlane(DOWN, PLANE_M / SCALE, 1.0, 0.0)  # in the unit of the network


def moved(by_m: float) -> np.ndarray:
    """Return T_cam_key (4, 4) of a camera that moved ahead along the plane."""
    T = np.eye(4)
    T[:3, 3] = -by_m * AHEAD
    return T


def corners_after(by_m: float, contrast: float) -> Corners:
    """Return corners on the plane, and on a wall whose depth the network has wrong by a factor."""
    rays = camera_rays(CAMERA, 20).reshape(-1, 3).astype(np.float64)
    on_plane = rays @ DOWN > 0.25
    depth_m = np.where(on_plane, PLANE_M / np.maximum(rays @ DOWN, 1e-9), 3.0)
    places = rays * depth_m[:, None] - by_m * AHEAD
    pixels = places[:, :2] / places[:, 2:] * CAMERA.fx + (CAMERA.cx, CAMERA.cy)
    network = depth_m * np.where(on_plane, 1, contrast) / SCALE
    nothing = np.zeros(len(rays))
    return Corners(
        pixels.astype(np.float32), np.zeros_like(rays), rays * network[:, None], nothing
    )


@pytest.mark.parametrize('contrast', [0.7, 1.0, 1.4])
def test_the_height_above_a_plane_does_not_depend_on_the_contrast_of_depth(contrast):
    parallax = PlaneParallax()
    parallax.add(7, corners_after(0.15, contrast), PLANE, CAMERA, moved(0.15))
    assert math.exp(parallax.log_scale(7)) == pytest.approx(SCALE, rel=0.01)
    assert not parallax.is_raised(PLANE, PLANE_M, 7)
    assert not parallax.is_raised(PLANE, 0.6 * PLANE_M, 7)  # slip makes it too high: no matter
    assert parallax.is_raised(PLANE, 1.4 * PLANE_M, 7)
    assert parallax.log_scale(7 + 31 * 10**9) is None  # too old


def test_a_camera_that_stands_tells_nothing():
    parallax = PlaneParallax()
    parallax.add(7, corners_after(0.0, 1.0), PLANE, CAMERA, moved(0.0))
    assert parallax.log_scale(7) is None
    assert not parallax.is_raised(PLANE, 2 * PLANE_M, 7)


def corners_of(rays: np.ndarray, factor: np.ndarray, by_m: float = 0.3) -> Corners:
    """Return corners on a wall at 2 m, whose depth the network has wrong by a factor (N,)."""
    places = 2.0 * rays - by_m * AHEAD
    pixels = places[:, :2] / places[:, 2:] * CAMERA.fx + (CAMERA.cx, CAMERA.cy)
    network = 2.0 * factor[:, None] / SCALE * rays
    return Corners(pixels.astype(np.float32), np.zeros_like(rays), network, np.zeros(len(rays)))


def test_a_crowd_of_corners_counts_no_more_than_its_part_of_the_image():
    rays = camera_rays(CAMERA, 40).reshape(-1, 3).astype(np.float64)
    crowd = camera_rays(CAMERA, 5)[2:12, 2:12].reshape(-1, 3).astype(np.float64)
    factor = np.repeat([1.0, 1.25], [len(rays), len(crowd)])
    fit = fit_log_scale(corners_of(np.concatenate([rays, crowd]), factor), CAMERA, moved(0.3))
    assert math.exp(fit.log_scale) == pytest.approx(SCALE, rel=0.04)


def image_at(by_m: float) -> np.ndarray:
    """Return the view (240, 320, 3) of a textured plane after a motion along it."""
    rng = np.random.default_rng(3)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (600, 600)).astype(np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    side = np.cross(DOWN, AHEAD)
    pixel_m = 0.005
    axes = np.column_stack([pixel_m * side, pixel_m * AHEAD, PLANE_M * DOWN - by_m * AHEAD])
    middle = np.array([[1, 0, -300], [0, 1, -100], [0, 0, 1]], float)
    grey = cv2.warpPerspective(
        texture, CAMERA.matrix @ axes @ middle, (320, 240), borderMode=cv2.BORDER_REFLECT
    )
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize('height_m', [PLANE_M, 1.5 * PLANE_M])
def test_a_bed_does_not_set_the_scale_as_if_it_were_the_floor(height_m):
    scale = FusedScale(FusionSettings((ScaleSource.CAMERA_HEIGHT,)))
    T_base_cam = np.eye(4)
    T_base_cam[:3, :3] = [AHEAD, np.cross(-DOWN, AHEAD), -DOWN]
    T_base_cam[2, 3] = height_m
    scale.transforms.add('base_footprint', 'camera', 0, T_base_cam, is_static=True)
    slope = camera_rays(CAMERA, 2) @ DOWN.astype(np.float32)
    values = np.maximum(slope, 0.02) / np.float32(PLANE.height)
    for k in range(20):
        T_odom_base = np.eye(4)
        T_odom_base[0, 3] = STEP_M * k
        scale.transforms.add('odom', 'base_footprint', k * FRAME_NS, T_odom_base)
        frame = Frame(k * FRAME_NS, 'camera', image_at(STEP_M * k), CAMERA)
        scale.offer(frame, values)
        metres = scale.metres(k * FRAME_NS)
    assert metres == pytest.approx(SCALE, rel=0.05)
    assert scale.source is ScaleSource.CAMERA_HEIGHT
    assert scale.mount('camera', 19 * FRAME_NS).sees_ground == (height_m == PLANE_M)
