# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.models.preprocess import (
    MEAN,
    STD,
    budget_size,
    network_input,
    official_input,
    official_size,
)

SIDES = st.integers(1, 5000)


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Return a smooth image, as cameras see it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def levels(planes: np.ndarray) -> np.ndarray:
    """Return grey levels (h, w, 3) of a network input."""
    return (planes.transpose(1, 2, 0) * STD + MEAN) * 255


@pytest.mark.parametrize(
    'camera,wanted',
    [
        ((640, 480), (644, 490)),
        ((1280, 720), (1288, 728)),
        ((1920, 1080), (1932, 1092)),
        ((3840, 2160), (2044, 1162)),
        ((2560, 1440), (2044, 1162)),
        ((4096, 2160), (2044, 1078)),
        ((2044, 1148), (2044, 1148)),
        ((1, 1), (14, 14)),
    ],
)
def test_official_size(camera, wanted):
    assert official_size(*camera) == wanted


@pytest.mark.parametrize(
    'camera,wanted',
    [
        ((640, 480), (320, 240)),
        ((320, 240), (320, 240)),
        ((160, 120), (160, 128)),
        ((1280, 720), (368, 208)),
        ((1920, 1080), (368, 208)),
        ((1080, 1920), (208, 368)),
    ],
)
def test_size_within_the_budget_of_nano(camera, wanted):
    assert budget_size(*camera, 320 * 240, 16) == wanted


@pytest.mark.parametrize(
    'camera,wanted',
    [
        ((640, 480), (644, 490)),
        ((1280, 720), (924, 518)),
        ((1920, 1080), (924, 518)),
        ((1920, 1200), (868, 546)),
    ],
)
def test_size_within_the_budget_of_flashdepth(camera, wanted):
    assert budget_size(*camera, 924 * 518, 14) == wanted


@given(SIDES, SIDES, st.integers(256, 3_000_000), st.sampled_from([14, 16]))
def test_size_keeps_its_promises(width, height, max_pixels, patch):
    w, h = budget_size(width, height, max_pixels, patch)
    assert w * h <= max_pixels
    assert w % patch == h % patch == 0
    assert min(w, h) >= patch
    allowed = official_size(width, height, patch)
    assert w <= allowed[0] or h == patch
    assert h <= allowed[1] or w == patch


@given(st.integers(320, 4000), st.floats(0.5, 2), st.integers(320 * 240, 2_000_000))
def test_size_keeps_the_aspect_and_uses_the_budget(width, aspect, max_pixels):
    height = round(width / aspect)
    w, h = budget_size(width, height, max_pixels, 16)
    bent = abs(math.log(w / h) - math.log(width / height))
    assert bent <= math.log(1 + 16 / (min(w, h) - 16)), 'at most by a patch of the shorter side'
    assert w * h >= 0.8 * min(max_pixels, width * height)


def test_a_budget_of_no_patch_is_refused():
    assert budget_size(640, 480, 256, 16) == (16, 16)
    with pytest.raises(ConfigError, match='255'):
        budget_size(640, 480, 255, 16)


@pytest.mark.parametrize('size', [(368, 208), (924, 518), (1932, 1092), (1920, 1080)])
def test_fast_input_is_near_the_plain_one(size):
    """A shrinking resize averages, an enlarging one is cubic; both in float, then normalised."""
    image = picture(1920, 1080)
    how = cv2.INTER_CUBIC if size[0] > 1920 else cv2.INTER_AREA
    plain = cv2.resize(image.astype(np.float32), size, interpolation=how).clip(0, 255)
    found = network_input(image, *size)
    assert found.shape == (3, size[1], size[0])
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    # Rounded to whole grey levels once or twice, and averaged over windows of whole halves.
    assert np.abs(levels(found) - plain).max() <= 1.6


def test_fast_input_does_not_alias():
    """Stripes finer than the network's pixels become grey, as in the scene's mean."""
    image = np.zeros((1080, 1920, 3), np.uint8)
    image[::2] = 255
    assert np.abs(levels(network_input(image, 368, 208)) - 127.5).max() <= 1


def test_channels_are_red_green_blue():
    image = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    found = network_input(image, 16, 16)[:, 3, 5]
    np.testing.assert_allclose(found, (np.array([1, 0, 0]) - MEAN) / STD, rtol=1e-6)


def test_official_input_of_whole_patches_is_only_normalised():
    image = picture(140, 98)
    found = official_input(image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(levels(found), image, atol=1e-3)
    np.testing.assert_allclose(network_input(image, 140, 98), found, atol=1e-5)


def test_official_input_shrinks_first_and_never_leaves_the_range():
    image = np.zeros((40, 3000, 3), np.uint8)
    image[:, ::7] = 255
    found = levels(official_input(image))
    assert found.shape == (28, 2044, 3)
    assert found.min() >= -1e-3, 'cubic overshoot is cut'
    assert found.max() <= 255 + 1e-3


def test_the_image_is_left_as_it_is():
    image = picture(100, 80)
    before = image.copy()
    image.setflags(write=False)
    network_input(image, 112, 80)
    network_input(image, 50, 40)
    official_input(image)
    assert (image == before).all()


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
@pytest.mark.parametrize('prepare', [official_input, lambda image: network_input(image, 16, 16)])
def test_what_is_no_image_is_refused(image, prepare):
    with pytest.raises(InputError, match='must be'):
        prepare(image)
