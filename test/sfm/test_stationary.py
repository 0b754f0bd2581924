# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from test.support.film import CAMERA, film, sideways
from videodepth_ros.sfm.reconstruction import reconstruct
from videodepth_ros.sfm.stationary import detect_stationary_steps
from videodepth_ros.sfm.tracks import Tracks, track_features

WIDTH_PX = 640


def tracks_of(offset_px, jitter_px=0.1, count=60, length=24):
    """Return tracks of at most ``length`` frames whose image moves by ``offset_px`` (N,)."""
    frames, rng = len(offset_px), np.random.default_rng(0)
    numbers = count * -(-frames // length)
    track = np.concatenate(
        [np.full(min(length, frames - n // count * length), n) for n in range(numbers)]
    )
    start = np.searchsorted(track, np.arange(numbers))
    frame = np.arange(len(track)) - start[track] + track // count * length
    pixel = rng.uniform(50, 400, (numbers, 2))[track] + rng.normal(0, jitter_px, (len(track), 2))
    pixel[:, 0] += np.asarray(offset_px)[frame]
    return Tracks(track.astype(np.intp), frame.astype(np.intp), pixel.astype(np.float32))


def test_a_standing_camera_is_stationary_throughout():
    still = detect_stationary_steps(tracks_of(np.zeros(20)), 20, WIDTH_PX)
    assert still.all()


def test_slow_motion_adds_up():
    moving = detect_stationary_steps(tracks_of(0.1 * np.arange(20)), 20, WIDTH_PX)
    assert not moving.any()


def test_a_stop_between_two_motions_is_found():
    offset = np.concatenate([2.0 * np.arange(8), np.full(8, 14.0), 14 + 2.0 * np.arange(1, 5)])
    still = detect_stationary_steps(tracks_of(offset), len(offset), WIDTH_PX)
    assert np.flatnonzero(still).tolist() == list(range(7, 15))


def test_one_frame_and_frames_without_tracks_have_no_stationary_steps():
    nothing = Tracks(np.empty(0, np.intp), np.empty(0, np.intp), np.empty((0, 2), np.float32))
    assert len(detect_stationary_steps(nothing, 1, WIDTH_PX)) == 0
    assert not detect_stationary_steps(nothing, 9, WIDTH_PX).any()


@pytest.mark.slow
def test_noise_of_the_depth_prior_does_not_move_a_standing_camera():
    shot, rng = film(sideways(2)), np.random.default_rng(1)
    images = shot.images[:1] + rng.normal(0, 3, (40, *shot.images.shape[1:]))
    depth = shot.depth[:1] * (1 + rng.normal(0, 0.03, (40, *shot.depth.shape[1:])))
    depth[rng.random(depth.shape) < 0.2] = np.nan
    found = reconstruct(images.clip(0, 255).astype(np.uint8), depth.astype(np.float32), CAMERA)
    steps = np.linalg.norm(np.diff(found.T_world_cam[:, :3, 3], axis=0), axis=1)
    assert steps.sum() < 1e-3 * np.nanmedian(depth)


def test_tracks_of_the_first_frame_do_not_end_together():
    shot = film(sideways(2))
    tracks = track_features(np.repeat(shot.images[:1], 40, axis=0))
    through = [
        np.isin(tracks.track[tracks.frame == n], tracks.track[tracks.frame == n + 1]).mean()
        for n in range(39)
    ]
    assert min(through) > 0.7
