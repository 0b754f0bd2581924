# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from videodepth_ros.alignment.moving_objects import segment_moving_objects
from videodepth_ros.geometry.camera import Intrinsics

CAMERA = Intrinsics(160, 120, 140.0, 140.0, 79.5, 59.5)
COUNT, DEPTH = 6, 4.0
RNG = np.random.default_rng(3)


def texture(height, width):
    coarse = RNG.integers(0, 255, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


WALL, BOX = texture(160, 400), texture(30, 30)


def film(box_step=None, pan_m=0.06):
    """A wall that the camera iterations, and before it a box that moves over the image."""
    images, poses = [], np.tile(np.eye(4), (COUNT, 1, 1))
    for n in range(COUNT):
        poses[n, 0, 3] = pan_m * n
        shift = CAMERA.fx * pan_m * n / DEPTH
        M = np.float32([[1, 0, -20 - shift], [0, 1, -20]])
        image = cv2.warpAffine(WALL, M, (160, 120))
        if box_step is not None:
            row, column = 40 + box_step[1] * n, 50 + box_step[0] * n
            image[row : row + 30, column : column + 30] = BOX
        images.append(image)
    return images, np.full((COUNT, 120, 160), DEPTH, np.float32), poses


@pytest.mark.parametrize('step', [(0, 4), (2, 3)])
def test_moving_objects_are_segmented(step):
    images, depth, poses = film(step)
    masks = segment_moving_objects(images, depth, poses, [CAMERA] * COUNT)
    for n in range(2, COUNT - 2):
        row, column = 40 + step[1] * n, 50 + step[0] * n
        box = np.zeros((120, 160), bool)
        box[row : row + 30, column : column + 30] = True
        assert masks[n][box].mean() > 0.5
        assert (
            masks[n][~cv2.dilate(box.astype(np.uint8), np.ones((25, 25))).astype(bool)].mean()
            < 0.01
        )


@pytest.mark.parametrize('factor', [1.0, 1.4, 0.75])
def test_a_static_scene_of_wrong_depth_does_not_move(factor):
    images, depth, poses = film()
    masks = segment_moving_objects(images, depth * np.float32(factor), poses, [CAMERA] * COUNT)
    assert masks.mean() < 0.002


def test_sky_unknown_depth_and_uniform_images_do_not_move():
    images, depth, poses = film()
    depth[:, :, :80] = np.nan
    assert segment_moving_objects(images, depth, poses, [CAMERA] * COUNT).mean() < 0.002
    still = np.tile(np.eye(4), (COUNT, 1, 1))
    sky = np.full_like(depth, np.inf)
    assert not segment_moving_objects([images[0]] * COUNT, sky, still, [CAMERA] * COUNT).any()
    grey = [np.full_like(image, 90) for image in images]
    assert not segment_moving_objects(grey, depth, poses, [CAMERA] * COUNT).any()


def test_a_single_frame_does_not_move():
    images, depth, poses = film()
    assert not segment_moving_objects(images[:1], depth[:1], poses[:1], [CAMERA]).any()
