# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.room import walk
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.bundle_adjustment import Bundle
from videodepth_ros.sfm.initialization import first_scene
from videodepth_ros.sfm.reprojection import (
    ERROR,
    FOCAL,
    POINT,
    Noise,
    Rays,
    Scene,
    Sightings,
    errors_of,
    jacobian,
    residuals,
)
from videodepth_ros.sfm.robust_adjustment import adjusted

FOCAL_PX, GROUP = 300.0, 12
NOISE = Noise(0.5, 0.2, 0.2, False, 0.0, np.log(FOCAL_PX), 2.0, 0.5)


def seen_exactly(frames=12, points=120, seed=0):
    """Return sightings of points before a walk, with exact pixels and depths, and the truth."""
    rng = np.random.default_rng(seed)
    poses = walk(frames)
    T_cam_world = Sim3.from_se3(np.linalg.inv(poses))
    world = np.stack(
        [rng.uniform(-2, 3, points), rng.uniform(-1.5, 1.5, points), rng.uniform(6, 10, points)],
        axis=1,
    )
    begin = rng.integers(0, frames - 4, points)
    track, frame, offset, log_depth = [], [], [], []
    for p in range(points):
        for n in range(begin[p], min(begin[p] + 8, frames)):
            x, y, z = T_cam_world.rotation[n] @ world[p] + T_cam_world.translation[n]
            track.append(p)
            frame.append(n)
            offset.append([FOCAL_PX * x / z, FOCAL_PX * y / z])
            log_depth.append(np.log(z))
    track, first = np.array(track), np.searchsorted(track, np.arange(points))
    seen = Sightings(
        track,
        np.array(frame),
        np.array(offset),
        np.array(log_depth),
        first,
        frames,
        np.zeros(len(track), np.bool_),
    )
    truth = Scene(T_cam_world, np.zeros(frames), -seen.log_depth[first], np.log(FOCAL_PX), 1.0)
    return seen, truth


def disturbed(truth, size=0.02, seed=1):
    rng = np.random.default_rng(seed)
    twist = np.zeros((len(truth.log_scale), 7))
    twist[1:, :6] = size * rng.standard_normal((len(twist) - 1, 6))
    return replace(
        truth,
        cameras=truth.cameras.retract(twist),
        log_inverse=truth.log_inverse + 0.2 * rng.standard_normal(truth.log_inverse.shape),
    )


def positions(scene):
    return scene.cameras.inverse().translation


def test_the_truth_has_no_errors():
    seen, truth = seen_exactly()
    errors = residuals(seen, truth, NOISE)
    assert np.abs(errors.pixel).max() < 1e-9
    assert np.abs(errors.depth).max() < 1e-9


@pytest.mark.parametrize('column', range(9))
def test_derivatives_are_those_of_finite_differences(column):
    seen, truth = seen_exactly(frames=6, points=30)
    scene, noise = disturbed(truth), replace(NOISE, pixel=1e6, depth=1e6)  # weights of 1
    noise = replace(noise, measured=True)
    frame, step = 3, 1e-6
    at = (seen.frame == frame) & (seen.host != frame)

    def errors(sign):
        moved = scene
        if column < 7:
            twist = np.zeros((seen.frames, 7))
            twist[frame, column] = sign * step if column < 6 else 0
            scale = scene.log_scale.copy()
            scale[frame] += sign * step if column == 6 else 0
            moved = replace(scene, cameras=scene.cameras.retract(twist), log_scale=scale)
        if column == FOCAL:
            moved = replace(scene, log_focal=scene.log_focal + sign * step)
        if column == POINT:
            moved = replace(scene, log_inverse=scene.log_inverse + sign * step)
        found = residuals(seen, moved, noise)
        return np.column_stack([found.pixel, found.depth])[at]

    rays = Rays.of(seen, scene)
    J = jacobian(seen, scene, noise, rays, errors_of(seen, scene, noise, rays))[at]
    numeric = (errors(1) - errors(-1)) / (2 * step)
    assert np.allclose(J[:, :, column], numeric, rtol=1e-4, atol=1e-10)
    assert J.shape[2] == ERROR + 1


def test_it_finds_the_cameras_from_pixels_and_the_unit_from_the_prior():
    seen, truth = seen_exactly()
    found = Bundle(seen, GROUP).adjusted(disturbed(truth), NOISE, 30)
    assert np.abs(positions(found) - positions(truth)).max() < 0.01
    assert np.abs(found.log_inverse - truth.log_inverse).max() < 0.02


def test_a_long_recording_in_many_groups_gives_what_one_group_gives():
    seen, truth = seen_exactly(frames=24)
    start = disturbed(truth)
    one, many = (Bundle(seen, group).adjusted(start, NOISE, 30) for group in (24, 8))
    assert np.allclose(positions(one), positions(many), atol=1e-6)


def test_a_wrong_prior_gives_way_to_parallax():
    seen, truth = seen_exactly()
    bent = seen.log_depth + 0.3 * seen.offset[:, 0] / 200
    flicker = 0.1 * np.random.default_rng(4).standard_normal(seen.frames)
    wrong = replace(seen, log_depth=bent + flicker[seen.frame])
    start = first_scene(wrong, np.zeros(len(wrong.track), np.bool_), FOCAL_PX, 1.0)
    found = adjusted(wrong, start, NOISE, GROUP)
    ratio = np.linalg.norm(positions(found.scene)[-1]) / np.linalg.norm(positions(truth)[-1])
    assert np.abs(positions(found.scene) / ratio - positions(truth)).max() < 0.02
    assert 0.05 < found.noise.depth < 0.4
    assert not found.noise.measured
    assert found.spread.shape == found.scene.log_inverse.shape


def test_a_measurement_is_recognised():
    seen, truth = seen_exactly()
    noisy = replace(
        seen,
        log_depth=seen.log_depth
        + 0.01 * np.random.default_rng(5).standard_normal(seen.log_depth.shape),
    )
    found = adjusted(noisy, disturbed(truth), NOISE, GROUP)
    assert found.noise.depth < 0.03
    assert found.noise.measured
    assert np.abs(positions(found.scene) - positions(truth)).max() < 0.01


def test_sightings_of_what_moves_are_left_out():
    seen, truth = seen_exactly()
    moving = seen.track % 10 == 0
    offset = seen.offset.copy()
    offset[moving, 0] += 12 * (seen.frame - seen.host)[moving]
    found = adjusted(replace(seen, offset=offset), disturbed(truth), NOISE, GROUP)
    assert np.abs(positions(found.scene) - positions(truth)).max() < 0.02
    assert len(found.seen.track) < len(seen.track)


def test_a_focal_length_is_found_where_it_is_asked_for():
    seen, truth = seen_exactly()
    start = replace(disturbed(truth), log_focal=np.log(1.2 * FOCAL_PX))
    found = adjusted(seen, start, replace(NOISE, focal=0.25, log_focal=start.log_focal), GROUP)
    assert np.exp(found.scene.log_focal) == pytest.approx(FOCAL_PX, rel=0.02)
