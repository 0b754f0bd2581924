# SPDX-License-Identifier: Apache-2.0
"""Frames of every family: truth that fits together, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from training.scenes import TRAINING_FAMILIES
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.geometry.camera import backproject, project
from videodepth_ros.synthetic.families import FAMILIES, HELD_OUT_FAMILIES
from videodepth_ros.synthetic.scenes import (
    SCENES,
    render_clips,
    render_family,
    render_scene,
    render_views,
)

SIZE = {'width': 96, 'height': 72}


ALL_FAMILIES = {**FAMILIES, **TRAINING_FAMILIES}


def test_no_held_out_family_is_trained_on():
    assert len(HELD_OUT_FAMILIES) >= 2
    assert not set(HELD_OUT_FAMILIES) & set(TRAINING_FAMILIES)
    assert {scene.family for scene in SCENES.values()} <= set(TRAINING_FAMILIES)
    assert not set(SCENES) & set(ALL_FAMILIES)


def test_every_family_has_a_number_of_its_own():
    numbers = [family.number for family in ALL_FAMILIES.values()]
    assert sorted(numbers) == list(range(len(ALL_FAMILIES)))
    assert all(family.name == name for name, family in ALL_FAMILIES.items())


@pytest.mark.parametrize(
    ('name', 'camera_m', 'middle_m'),
    [
        ('rooms', (2.070, 1.248, 1.143), 1.411),
        ('aerials', (-15.136, -30.027, 31.121), 41.524),
        ('studios', (1.608, 3.721, 1.143), 2.332),
        ('car_parks', (4.207, 5.731, 1.326), 4.741),
        ('alleys', (16.642, -0.348, 1.255), 3.713),
    ],
)
def test_a_scene_stays_what_it_was_when_families_join(name, camera_m, middle_m):
    """Figures on held-out scenes are comparable only as long as the scenes are the same."""
    frame = next(render_scene(name, 7, 1, 64, 48))
    np.testing.assert_allclose(frame.T_map_cam[:3, 3], camera_m, atol=2e-3)
    assert np.median(frame.depth_m) == pytest.approx(middle_m, rel=0.01)


def test_an_unknown_name_is_refused_with_the_choices():
    with pytest.raises(ConfigError, match=r"'bathroom'.*living_room"):
        next(render_scene('bathroom', frames=1, **SIZE))


@pytest.mark.parametrize('name', list(ALL_FAMILIES))
def test_a_frame_of_every_family_is_usable(name):
    frame = next(render_family(ALL_FAMILIES[name], 11, 1, **SIZE))
    assert frame.image.shape == (72, 96, 3)
    assert frame.image.dtype == np.uint8
    assert frame.depth_m.shape == frame.moving.shape == (72, 96)
    assert frame.depth_m.dtype == np.float32
    assert (frame.depth_m > 0.05).all()
    assert np.isfinite(frame.depth_m).mean() > 0.2
    assert 20 < frame.image.mean() < 240
    assert frame.image.std() > 8
    assert 0.45 < frame.camera.fx / frame.camera.width < 1.35
    R = frame.T_map_cam[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    assert R[2, 1] < 0.3  # image down is not map up


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_scene():
    first, again, other = (list(render_scene('rooms', seed, 2, **SIZE)) for seed in (5, 5, 6))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.depth_m, b.depth_m)
        np.testing.assert_array_equal(a.T_map_cam, b.T_map_cam)
    assert not np.array_equal(first[0].depth_m, other[0].depth_m)


@pytest.mark.parametrize('name', ['living_room', 'street', 'desks'])
def test_depth_and_poses_of_two_frames_agree(name):
    """Points of one frame, moved into the next camera, lie on or behind its surfaces."""
    before, after = render_scene(name, 3, 2, fps=10.0, **SIZE)
    still = np.isfinite(before.depth_m) & ~before.moving
    points = backproject(before.depth_m, before.camera)[still].astype(float)
    T = np.linalg.inv(after.T_map_cam) @ before.T_map_cam
    moved = (points @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
    pixel = np.round(project(moved, after.camera))
    inside = ((pixel >= 0) & (pixel < (SIZE['width'], SIZE['height']))).all(axis=1)
    column, row = pixel[inside].astype(int).T
    ratio = moved[inside, 2] / after.depth_m[row, column]
    assert inside.mean() > 0.4
    assert np.median(np.abs(ratio - 1)) < 0.01
    assert (np.abs(ratio - 1) < 0.08).mean() > 0.85


def test_only_what_moves_is_marked_and_it_does_move():
    clip = list(render_scene('streets', 3, 6, fps=2.0, **SIZE))
    seeds = iter(range(4, 40))
    while not any(f.moving.any() for f in clip):
        clip = list(render_scene('streets', next(seeds), 6, fps=2.0, **SIZE))
    share = [f.moving.mean() for f in clip]
    assert 0 < max(share) < 0.6
    assert len(set(share)) > 1


def test_stamps_follow_the_rate():
    stamps = [f.stamp_ns for f in render_scene('corridor', 0, 3, fps=25.0, **SIZE)]
    assert np.diff(stamps).tolist() == [40_000_000, 40_000_000]


def test_a_named_scene_keeps_its_layout_and_moves_its_camera():
    first, second = (next(render_scene('office', seed, 1, **SIZE)) for seed in (0, 1))
    assert not np.array_equal(first.T_map_cam, second.T_map_cam)


def test_views_and_clips_share_a_scene_but_not_a_camera():
    views = list(render_views(FAMILIES['kitchens'], 2, 3, 64, 48))
    assert len(views) == 3
    assert len({v.camera.fx for v in views}) == 3
    clips = list(render_clips(FAMILIES['kitchens'], 2, 2, 4, 64, 48))
    assert [len(c) for c in clips] == [4, 4]
    np.testing.assert_array_equal(views[0].T_map_cam, clips[0][0].T_map_cam)
