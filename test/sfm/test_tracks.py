# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from test.support.film import CAMERA, film, sideways
from videodepth_ros.geometry.camera import backproject, project
from videodepth_ros.sfm.options import TrackingOptions
from videodepth_ros.sfm.tracks import track_features

LONGEST = TrackingOptions().max_track_length


def test_tracks_follow_the_scene_motion():
    shot = film(sideways(6))
    tracks = track_features(shot.images)
    assert tracks.count > 40
    errors = []
    for track in range(tracks.count):
        at = np.flatnonzero(tracks.track == track)
        first, last = at[0], at[-1]
        i, j = tracks.frame[first], tracks.frame[last]
        column, row = np.rint(tracks.pixel[first]).astype(int)
        point = backproject(shot.depth[i], CAMERA)[row, column]
        point = point @ shot.poses[i][:3, :3].T + shot.poses[i][:3, 3]
        there = np.linalg.inv(shot.poses[j])
        seen = project((there[:3, :3] @ point + there[:3, 3]).astype(np.float32), CAMERA)
        moved = tracks.pixel[first] - [column, row]
        errors.append(np.linalg.norm(seen + moved - tracks.pixel[last]))
    assert np.median(errors) < 0.5


def test_tracks_are_sorted_and_bounded_in_length():
    images = np.repeat(film(sideways(1)).images, LONGEST + 5, 0)
    tracks = track_features(images)
    steps = np.diff(tracks.track)
    assert ((steps == 0) | (steps == 1)).all()
    assert (np.diff(tracks.frame)[steps == 0] == 1).all()
    length = np.bincount(tracks.track)
    assert length.min() >= 2
    assert length.max() == LONGEST
    assert np.array_equal(tracks.start, np.r_[0, 1 + np.flatnonzero(steps)])


def test_blank_images_have_no_tracks():
    tracks = track_features(np.full((3, 48, 64, 3), 128, np.uint8))
    assert tracks.count == 0
    assert len(tracks.start) == 0


def test_progress_is_the_share_of_frames():
    shares = []
    track_features(np.zeros((4, 48, 64, 3), np.uint8), shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]
