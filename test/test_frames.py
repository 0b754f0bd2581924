# SPDX-License-Identifier: Apache-2.0
"""Frames: how much of a raw image is rectified."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from videodepth_ros.frames import Frame


class Halvings:
    """A rectifier that keeps the number of halvings that it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def rectify(self, image, halvings=0):
        self.asked.append(halvings)
        height, width = image.shape[:2]
        return np.full((height >> halvings, width >> halvings, 3), halvings, np.uint8)


@pytest.mark.parametrize(
    ('wanted', 'shape'),
    [
        ((640, 480), (480, 640)),
        ((321, 240), (480, 640)),
        ((320, 240), (240, 320)),
        ((300, 100), (240, 320)),
        ((100, 30), (120, 160)),
        ((9000, 9), (480, 640)),
    ],
)
def test_a_view_is_the_smallest_of_at_least_a_size(wanted, shape):
    frame = Frame(0, 'camera', np.zeros((480, 640, 3), np.uint8), None, Halvings())
    assert frame.at_least(*wanted).shape[:2] == shape


def test_each_view_is_rectified_once():
    rectifier = Halvings()
    frame = Frame(0, 'camera', np.zeros((480, 640, 3), np.uint8), None, rectifier)
    first = frame.at_least(320, 240)
    assert frame.at_least(200, 200) is first
    assert not frame.image.any()
    assert frame.image is frame.image
    assert replace(frame, raw=frame.raw[:100]).image.shape == (100, 640, 3)
    assert rectifier.asked == [1, 0, 0]


def test_a_rectified_image_is_taken_as_it_is():
    image = np.zeros((48, 64, 3), np.uint8)
    frame = Frame(0, 'camera', image)
    assert frame.image is image
    assert frame.at_least(8, 8) is image
    assert frame.size == (64, 48)
