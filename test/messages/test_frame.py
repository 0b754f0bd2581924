# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.messages.frame import FrameDecoder, is_rectified, needs_rectification

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


def frame_from(message, info, *, rectify: bool):
    return FrameDecoder(rectify=rectify).decode(message, info)


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
        ('/cam/image_dewarped', True),
        ('/rectilinear/image', True),
        ('/cam/rgbrect', True),
        ('/rectangle/image_raw', False),
        ('/rectangle/image', False),
        ('/image', False),
        ('/cam/image_rect/compressed', True),
        ('/blackfly_s/cam0/image_rectified', True),
        ('/rectified/image', True),
        ('/cam/rectified_image', True),
        ('/left/imageRect', True),
        ('/left/imageRectColor', True),
        ('/cam/IMAGE_RECT', True),
        ('/cam/image_undistorted', True),
        ('/cam0/undist/image', True),
        ('/camUndistorted/image_raw', True),
        ('/left/imagerect', True),
        ('/cam/image_unrectified', False),
        ('/cam/not_rectified/image', False),
        ('/correct/direct/image', False),
        ('/Rectangle/image', False),
    ],
)
def test_the_name_of_a_topic_tells_whether_it_is_rectified(topic, expected):
    assert is_rectified(topic) is expected


def test_a_calibration_of_another_size_is_refused(stripes):
    with pytest.raises(InputError, match='640x480'):
        frame_from(image_message(stripes), info_message(640, 480), rectify=True)


def test_the_option_comes_before_the_name():
    assert needs_rectification('/cam/image_rect', 'always')
    assert not needs_rectification('/cam/image_raw', 'never')
    assert needs_rectification('/cam/image_raw')
    assert not needs_rectification('/cam/image_rect', 'auto')
    with pytest.raises(ConfigError, match="'maybe'; choose one of auto always never"):
        needs_rectification('/cam/image_raw', 'maybe')


BARREL = [-0.3, 0.1, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ('model', 'D', 'cause'),
    [
        ('thin_prism_fisheye', [0.1, 0.2, 0.0, 0.0, 0.1, 0.0, 0.0, 0.1], 'thin_prism_fisheye'),
        ('omni', [0.1] * 4, "'omni' with 4 coefficients"),
        ('inverse_brown_conrady', BARREL, 'inverse_brown_conrady'),
        ('plumb_bob', [np.nan] * 5, 'nan'),
        ('plumb_bob', [1500.0, -800.0, 0.1, 0.1, 300.0], r'only \d+% of the image is left'),
        ('equidistant', [40.0, -9.0, 3.0, 1.0], 'of the image is left'),
    ],
)
def test_a_lens_that_cannot_be_removed_is_a_note_and_the_image_stays(stripes, model, D, cause):
    info = info_message(distortion=D)
    info.distortion_model = model
    info.p[0] = 120.0
    decoder = FrameDecoder(rectify=True)
    frame = decoder.decode(image_message(stripes), info)
    np.testing.assert_array_equal(frame.image, stripes)
    assert frame.camera.fx == 150  # of the raw image
    (note,) = decoder.notes
    assert re.search(f'not rectified: .*{cause}', note)
    assert 'rectify to never' in note
    decoder.decode(image_message(stripes), info_message(distortion=BARREL))
    assert not decoder.notes


@pytest.mark.parametrize('model', ['thin_prism_fisheye', 'omni', 'plumb_bob'])
def test_the_lens_plays_no_part_where_nothing_is_rectified(stripes, model):
    info = info_message(distortion=[1500.0, np.nan, 3.0])
    info.distortion_model = model
    decoder = FrameDecoder(rectify=False)
    frame = decoder.decode(image_message(stripes), info)
    assert frame.camera.fx == 150
    assert not decoder.notes


@pytest.mark.parametrize(('bits', 'first'), [(16, 40_000), (14, 9_000), (12, 3_000), (10, 700)])
def test_grey_of_fewer_bits_has_its_full_range(bits, first):
    decoder = FrameDecoder(rectify=True)

    def decode(value):
        pixels = np.full((2, 2), value, np.uint16)
        message = image_message(pixels)
        message.encoding, message.step, message.data = 'mono16', 4, pixels.tobytes()
        return decoder.decode(message, None).image[0, 0, 0]

    decode(first)
    assert decode((1 << bits) - 1) == 255
    assert decode(0) == 0
    assert decode(1 << (bits - 1)) == 128  # steady, whatever a frame holds
    assert decoder.notes == (
        [] if bits == 16 else [f'16-bit images use {bits} bits and are scaled by these']
    )
