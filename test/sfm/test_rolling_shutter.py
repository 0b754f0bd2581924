# SPDX-License-Identifier: Apache-2.0
"""Rolling shutters: rows of an image that are rendered from the poses of their own time."""

from __future__ import annotations

import numpy as np
import pytest

from bench.room import depth as room_depth
from test.support.film import CAMERA, bent, film, picture, winding
from videodepth_ros.sfm.lens_fields import track_velocities
from videodepth_ros.sfm.reconstruction import reconstruct
from videodepth_ros.sfm.rolling_shutter import Readout

pytestmark = pytest.mark.slow

FRAMES, FINE, STRIP = 40, 20, 10
"""Frames, poses in each frame period, and rows that have one time."""


def rolled(readout: float):
    """Return images and depth of a camera whose rows take ``readout`` of a frame period."""
    poses, images, maps = winding(FRAMES * FINE), [], []
    for n in range(1, FRAMES - 1):
        image, middle = np.empty((CAMERA.height, CAMERA.width, 3), np.uint8), n * FINE
        for top in range(0, CAMERA.height, STRIP):
            rows = slice(top, top + STRIP)
            late = readout * ((top + STRIP / 2) / CAMERA.height - 0.5)
            T = poses[middle + round(late * FINE)]
            image[rows] = picture(T, room_depth(T, CAMERA))[rows]
        images.append(image)
        maps.append(room_depth(poses[middle], CAMERA))
    return np.stack(images), bent(np.stack(maps))


@pytest.mark.parametrize('readout', [0.8, -0.8])
def test_a_rolling_shutter_is_found_with_its_direction_and_readout_time(readout):
    found = reconstruct(*rolled(readout), CAMERA).readout
    assert found.is_rolling()
    assert np.sign(found.share) == np.sign(readout)
    # outliers are removed by poses of a global shutter: the estimate is too low
    assert 0.5 * abs(readout) < abs(found.share) < 1.1 * abs(readout)


def test_a_global_shutter_is_not_taken_for_a_rolling_one():
    shot = film(winding(FRAMES))
    found = reconstruct(shot.images, bent(shot.depth), CAMERA).readout
    assert not found.is_rolling()
    assert abs(found.share) < 0.1


def test_a_standing_camera_gives_no_readout_time():
    still = film(np.repeat(winding(2)[:1], 8, axis=0))
    assert not reconstruct(still.images, still.depth, CAMERA).readout.is_rolling()


def test_small_uncertain_and_impossible_times_are_no_rolling_shutter():
    assert Readout(0.3, 0.05).is_rolling()
    assert not Readout(0.05, 0.001).is_rolling()
    assert not Readout(0.3, 0.2).is_rolling()
    assert not Readout(3.0, 0.1).is_rolling()


def test_velocities_are_those_of_the_track_also_over_gaps():
    track, frame = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 3, 1, 4, 5])
    xy = np.array([[0.0, 0], [1, 0], [5, 0], [9, 9], [0, 0], [0, 3]])
    expected = [[1.0, 0], [1.5, 0], [2, 0], [0, 0], [0, 3], [0, 3]]
    np.testing.assert_allclose(track_velocities(track, frame, xy), expected)
