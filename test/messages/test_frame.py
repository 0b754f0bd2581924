# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.frame import frame_from, is_rectified

WIDTH, HEIGHT = 160, 128


def image_message(pixels: np.ndarray) -> SimpleNamespace:
    stamp = SimpleNamespace(sec=3, nanosec=5)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id='camera'),
        width=pixels.shape[1],
        height=pixels.shape[0],
        encoding='rgb8',
        step=3 * pixels.shape[1],
        is_bigendian=0,
        data=pixels.tobytes(),
    )


def info_message(width: int = WIDTH, height: int = HEIGHT, *, distortion=()) -> SimpleNamespace:
    cx, cy = (width - 1) / 2, (height - 1) / 2
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    return SimpleNamespace(
        width=width,
        height=height,
        distortion_model='plumb_bob',
        d=list(distortion),
        k=[150.0, 0, cx, 0, 150, cy, 0, 0, 1],
        r=[1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        p=[150.0, 0, cx, 0, 0, 150, cy, 0, 0, 0, 1, 0],
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


@pytest.fixture
def stripes() -> np.ndarray:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, ::8] = 255
    return pixels


def test_a_frame_has_the_header_of_its_image(stripes):
    frame = frame_from(image_message(stripes), info_message(), rectify=True)
    assert (frame.stamp_ns, frame.frame_id, frame.size) == (
        3_000_000_005,
        'camera',
        (WIDTH, HEIGHT),
    )
    np.testing.assert_array_equal(frame.image, stripes)
    assert frame.camera.fx == 150
    assert frame_from(image_message(stripes), None, rectify=True).camera is None


def test_distortion_is_taken_out_on_demand(stripes):
    info = info_message(distortion=[-0.3, 0.1, 0.0, 0.0, 0.0])
    as_it_is = frame_from(image_message(stripes), info, rectify=False)
    np.testing.assert_array_equal(as_it_is.image, stripes)
    rectified = frame_from(image_message(stripes), info, rectify=True)
    assert (rectified.image != stripes).any()
    assert as_it_is.camera == rectified.camera


@pytest.mark.parametrize(
    ('topic', 'expected'),
    [
        ('/camera/image_raw', False),
        ('/camera/image_rect', True),
        ('/rect/image', True),
        ('/cam/image_rect_color', True),
        ('/rectangle/image', False),
        ('/image', False),
        ('/cam/image_rect/compressed', True),
    ],
)
def test_the_name_of_a_topic_tells_whether_it_is_rectified(topic, expected):
    assert is_rectified(topic) is expected


def test_a_calibration_of_another_size_is_refused(stripes):
    with pytest.raises(InputError, match='640x480'):
        frame_from(image_message(stripes), info_message(640, 480), rectify=True)
