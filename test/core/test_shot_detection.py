# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from videodepth_ros.core.shot_detection import detect_shots


def picture(seed: int, width: int = 480) -> np.ndarray:
    """Return a wide picture (120, W, 3) uint8 of coloured blobs."""
    random = np.random.default_rng(seed)
    palette = random.integers(0, 256, (4, 3))
    grain = cv2.GaussianBlur(random.normal(size=(120, width)).astype(np.float32), (0, 0), 9)
    layers = np.digitize(grain, np.quantile(grain, [0.25, 0.5, 0.75]))
    return palette[layers].astype(np.uint8)


def pan(seed: int, frames: int, step_px: int) -> np.ndarray:
    """Return frames (N, 120, 160, 3) of a panning camera."""
    wide = picture(seed, 160 + frames * step_px)
    return np.stack([wide[:, n * step_px : n * step_px + 160] for n in range(frames)])


def test_a_panning_camera_makes_one_shot():
    assert detect_shots(pan(0, 30, 4)) == (range(30),)
    assert detect_shots(pan(1, 12, 40)) == (range(12),)


@pytest.mark.parametrize('first, second', [(0, 1), (2, 3), (4, 5), (6, 7)])
def test_a_cut_separates_two_shots(first, second):
    images = np.concatenate([pan(first, 9, 4), pan(second, 14, 4)])
    assert detect_shots(images) == (range(9), range(9, 23))


def test_three_shots_have_two_cuts():
    images = np.concatenate([pan(seed, 10, 3) for seed in (0, 1, 2)])
    assert detect_shots(images) == (range(10), range(10, 20), range(20, 30))


def test_a_flash_is_no_cut():
    images = pan(0, 20, 4)
    images[9] = 255
    assert detect_shots(images) == (range(20),)


def test_a_change_of_exposure_is_no_cut():
    images = pan(0, 20, 4)
    images[10:] = (0.6 * images[10:]).astype(np.uint8)
    assert detect_shots(images) == (range(20),)


def test_one_two_and_no_frames():
    assert detect_shots(pan(0, 1, 4)) == (range(1),)
    assert detect_shots(np.concatenate([pan(0, 1, 4), pan(1, 1, 4)])) == (range(1), range(1, 2))
    assert detect_shots(np.empty((0, 8, 8, 3), np.uint8)) == ()
