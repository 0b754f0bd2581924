# SPDX-License-Identifier: Apache-2.0
"""Images and depth maps to and from messages of rclpy and of rosbags."""

from __future__ import annotations

import io
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from videodepth_ros.bags.types import new_message
from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.compressed import (
    DEPTH_FORMS,
    write_compressed_depth,
    write_compressed_depth_mm,
)
from videodepth_ros.messages.encodings import DECODERS
from videodepth_ros.messages.image import (
    decode_compressed,
    decode_depth,
    decode_image,
    raw_image,
    write_depth,
    write_depth_mm,
    write_image,
)
from videodepth_ros.messages.rvl import decode_rvl, encode_rvl


def empty_image(library):
    if library == 'rosbags':
        return new_message('sensor_msgs/msg/Image')
    return pytest.importorskip('sensor_msgs.msg', reason='ROS is not installed').Image()


sizes = st.one_of(st.integers(0, 40), st.sampled_from([641, 65_536, 2**32 - 1]))
LIBRARIES = pytest.mark.parametrize('library', ['rosbags', 'rclpy'])


def picture(height=48, width=64):
    """Return a smooth image, which JPEG keeps nearly as it is."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 3, y * 4, 255 - x * 2]).astype(np.uint8)


@LIBRARIES
def test_an_image_comes_back_as_it_was_written(library):
    msg = empty_image(library)
    write_image(picture(), msg, 'rgb8')
    assert (msg.width, msg.height, msg.step, msg.encoding) == (64, 48, 192, 'rgb8')
    np.testing.assert_array_equal(decode_image(msg), picture())


@LIBRARIES
def test_tight_rgb8_is_decoded_without_a_copy(library):
    msg = empty_image(library)
    write_image(picture(), msg, 'rgb8')
    decoded = decode_image(msg)
    assert np.shares_memory(decoded, np.frombuffer(msg.data, np.uint8))


@LIBRARIES
def test_depth_is_written_in_place_once_the_size_has_settled(library):
    msg = empty_image(library)
    depth_m = np.array([[1.5, np.nan, np.inf], [0.1, 200.0, 3.0]], np.float32)
    write_depth(depth_m, msg)
    buffer = msg.data
    write_depth(depth_m * 2, msg)
    assert msg.data is buffer
    assert (msg.encoding, msg.step, msg.width, msg.height) == ('32FC1', 12, 3, 2)
    np.testing.assert_array_equal(decode_depth(msg), depth_m * 2)
    write_depth(depth_m[:1], msg)
    np.testing.assert_array_equal(decode_depth(msg), depth_m[:1])


def test_depth_of_another_float_is_written_as_what_it_is_called():
    msg = empty_image('rosbags')
    write_depth(np.ones((2, 3), np.float64), msg)
    assert msg.step == 12
    np.testing.assert_array_equal(decode_depth(msg), np.ones((2, 3)))


def test_a_read_only_buffer_is_replaced():
    msg = new_message('sensor_msgs/msg/Image')
    msg.data = np.frombuffer(bytes(24), np.uint8)
    write_depth(np.ones((2, 3), np.float32), msg)
    np.testing.assert_array_equal(decode_depth(msg), np.ones((2, 3)))


@pytest.mark.parametrize(
    ('width', 'height', 'data'), [(0, 4, b'abc'), (4, 0, b'abc'), (4, 4, b'')]
)
def test_an_image_without_pixels_is_refused(width, height, data):
    msg = SimpleNamespace(
        encoding='rgb8', width=width, height=height, step=12, is_bigendian=0, data=data
    )
    with pytest.raises(InputError, match=f'{width}x{height}'):
        decode_image(msg)


@settings(max_examples=300)
@given(
    encoding=st.sampled_from([*DECODERS, 'what']),
    width=sizes,
    height=sizes,
    step=sizes,
    is_bigendian=st.booleans(),
    size=st.integers(0, 4000),
)
def test_whatever_the_fields_say_it_is_an_image_or_refused(
    encoding, width, height, step, is_bigendian, size
):
    msg = SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=int(is_bigendian),
        data=bytes(size),
    )
    try:
        decoded = decode_image(msg)
    except InputError:
        return
    assert decoded.shape == (height, width, 3)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous


@settings(max_examples=200)
@given(
    extension=st.sampled_from(['.jpg', '.png']),
    at=st.floats(0, 1),
    value=st.integers(0, 255),
    cut=st.floats(0, 1),
)
def test_whatever_a_file_holds_it_is_an_image_or_refused(extension, at, value, cut):
    data = bytearray(cv2.imencode(extension, picture())[1].tobytes())
    data[int(at * (len(data) - 1))] = value
    try:
        data = data[: int(cut * len(data))]
        decoded = decode_compressed(SimpleNamespace(format='jpeg', data=data))
    except InputError:
        return
    assert decoded.ndim == 3
    assert decoded.flags.c_contiguous


def depth_message(encoding, dtype, values, padding=0):
    rows = np.asarray(values).astype(dtype)
    rows = np.pad(rows.view(np.uint8).reshape(len(values), -1), ((0, 0), (0, padding)))
    return SimpleNamespace(
        encoding=encoding,
        width=len(values[0]),
        height=len(values),
        step=rows.shape[1],
        is_bigendian=int(dtype.startswith('>')),
        data=rows.tobytes(),
    )


@pytest.mark.parametrize(
    ('encoding', 'dtype', 'unit'),
    [
        ('32FC1', '<f4', 1.0),
        ('32FC1', '>f4', 1.0),
        ('64FC1', '<f8', 1.0),
        ('16UC1', '<u2', 1000.0),
        ('16UC1', '>u2', 1000.0),
        ('mono16', '<u2', 1000.0),
    ],
)
@settings(max_examples=20)
@given(
    millimetres=st.lists(st.integers(1, 65535), min_size=4, max_size=4), padding=st.integers(0, 5)
)
def test_depth_of_every_encoding_is_metres(encoding, dtype, unit, millimetres, padding):
    truth_m = np.array(millimetres, np.float64).reshape(2, 2) / 1000
    values = np.rint(truth_m * unit) if unit != 1.0 else truth_m
    msg = depth_message(encoding, dtype, values, padding)
    got = decode_depth(msg)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, truth_m, rtol=1e-6)


def test_what_is_no_depth_is_nan_and_the_sky_is_infinite():
    values = [[0.0, -1.0, np.nan], [np.inf, -np.inf, 2.0]]
    got = decode_depth(depth_message('32FC1', '<f4', values))
    np.testing.assert_array_equal(got, [[np.nan] * 3, [np.inf, np.nan, 2.0]])
    assert np.isnan(decode_depth(depth_message('16UC1', '<u2', [[0]])))


def test_an_image_that_is_no_depth_is_refused():
    msg = depth_message('rgb8', '<f4', [[1.0]])
    with pytest.raises(InputError, match=r"'rgb8' is not a depth map.*32FC1"):
        decode_depth(msg)


def packed(form, extension, image):
    return SimpleNamespace(format=form, data=cv2.imencode(extension, image)[1].tobytes())


@pytest.mark.parametrize(
    ('form', 'extension', 'tolerance'),
    [
        ('jpeg', '.jpg', 12),
        ('png', '.png', 0),
        ('rgb8; jpeg compressed bgr8', '.jpg', 12),
        ('bgr8; png compressed bgr8', '.png', 0),
        ('bgra8; jpeg compressed bgr8', '.jpg', 12),
    ],
)
def test_compressed_colour(form, extension, tolerance):
    got = decode_compressed(packed(form, extension, picture()[..., ::-1]))
    assert got.flags.c_contiguous
    assert np.abs(got.astype(int) - picture()).max() <= tolerance


def test_compressed_rgb_holds_its_channels_the_other_way_round():
    got = decode_compressed(packed('rgb8; png compressed rgb8', '.png', picture()))
    np.testing.assert_array_equal(got, picture())


def test_compressed_with_alpha_grey_and_sixteen_bits():
    grey = picture()[..., 0]
    alpha = np.dstack([picture()[..., ::-1], grey])
    np.testing.assert_array_equal(decode_compressed(packed('png', '.png', alpha)), picture())
    for image in (grey, grey.astype(np.uint16) * 257):
        got = decode_compressed(packed('mono8; png compressed ', '.png', image))
        np.testing.assert_array_equal(got, np.dstack([grey] * 3))
    deep = picture()[..., ::-1].astype(np.uint16) * 257
    got = decode_compressed(packed('rgb16; png compressed bgr16', '.png', deep))
    np.testing.assert_array_equal(got, picture())


@pytest.mark.parametrize('encoding', ['bayer_rggb8', 'bayer_rggb16'])
def test_a_compressed_mosaic_is_demosaiced(encoding):
    mosaic = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (8, 8))
    image = mosaic if encoding.endswith('8') else mosaic.astype(np.uint16) * 257
    got = decode_compressed(packed(f'{encoding}; png compressed ', '.png', image))
    np.testing.assert_array_equal(got, np.broadcast_to([200, 100, 50], (16, 16, 3)))


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'no data'),
        (b'not an image at all', 'cannot be decoded'),
        (cv2.imencode('.jpg', picture())[1].tobytes()[:-40], 'cut off'),
        (cv2.imencode('.jpg', picture())[1].tobytes()[:-2], 'cut off'),
        (cv2.imencode('.png', picture())[1].tobytes()[:-400], 'cannot be decoded'),
    ],
)
def test_damaged_compressed_data_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        decode_compressed(SimpleNamespace(format='jpeg', data=data))


FLOATS = cv2.imencode('.tiff', np.ones((4, 4), np.float32))[1].tobytes()
WORDS = cv2.imencode('.png', np.ones((4, 4), np.uint16))[1].tobytes()
NOISE = np.random.default_rng(0).integers(0, 60, (240, 320, 3), np.uint8)


def jpeg(image=None, *flags):
    image = cv2.add(picture(240, 320), NOISE) if image is None else image
    return cv2.imencode('.jpg', image, list(flags))[1].tobytes()


def without_a_part(data):
    return data[: len(data) * 3 // 10] + data[len(data) * 6 // 10 :]


def zeroed(data):
    part = slice(len(data) * 3 // 10, len(data) * 4 // 10)
    return data[: part.start] + bytes(part.stop - part.start) + data[part.stop :]


@pytest.mark.parametrize('damage', [without_a_part, zeroed, lambda data: data[: len(data) // 2]])
@pytest.mark.parametrize(
    'flags', [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 5)]
)
@pytest.mark.parametrize('channels', [3, 1])
def test_a_jpeg_that_has_lost_a_part_is_refused(damage, flags, channels):
    image = cv2.add(picture(240, 320), NOISE)[..., :channels]
    data = jpeg(image, *flags)
    assert decode_compressed(SimpleNamespace(format='jpeg', data=data)).shape == (240, 320, 3)
    with pytest.raises(InputError, match='JPEG that was cut off or has lost a part'):
        decode_compressed(SimpleNamespace(format='rgb8; jpeg compressed bgr8', data=damage(data)))


@pytest.mark.parametrize('damage', [without_a_part, lambda data: data[: len(data) // 2]])
def test_a_jpeg_of_four_inks_is_an_image_unless_it_has_lost_a_part(damage):
    file, image = io.BytesIO(), picture(240, 320)
    Image.fromarray(image).convert('CMYK').save(file, 'JPEG', quality=95)
    whole = SimpleNamespace(format='jpeg', data=file.getvalue())
    assert np.abs(decode_compressed(whole).astype(int) - image).mean() < 8
    with pytest.raises(InputError, match='cut off or has lost a part'):
        decode_compressed(SimpleNamespace(format='jpeg', data=damage(file.getvalue())))


@pytest.mark.parametrize('bit', range(0, 2000, 250))
def test_noise_between_the_markers_of_a_jpeg_is_refused(bit):
    data = bytearray(jpeg())
    data[5000 + bit : 7000 + bit] = np.random.default_rng(bit).bytes(2000)
    with pytest.raises(InputError, match=r'lost a part|cannot be decoded'):
        decode_compressed(SimpleNamespace(format='jpeg', data=bytes(data)))


@pytest.mark.parametrize('extra', [b'', bytes(1), bytes(16), b'\x13\x37'])
def test_a_few_bytes_too_many_before_the_end_of_a_jpeg_are_ignored(extra):
    data = jpeg()
    whole = decode_compressed(SimpleNamespace(format='jpeg', data=data + bytes(500)))
    longer = data[:-2] + extra + data[-2:]
    got = decode_compressed(SimpleNamespace(format='jpeg', data=longer))
    np.testing.assert_array_equal(got, whole)


@pytest.mark.parametrize('value', [0, 128, 255])
def test_a_flat_jpeg_is_whole(value):
    for flags in ((), (cv2.IMWRITE_JPEG_OPTIMIZE, 1)):
        data = jpeg(np.full((480, 640, 3), value, np.uint8), *flags)
        got = decode_compressed(SimpleNamespace(format='jpeg', data=data))
        assert np.abs(got.astype(int) - value).max() <= 1


def test_a_small_jpeg_that_claims_to_be_large_is_refused_before_it_is_decoded():
    data = bytearray(jpeg())
    at = data.find(b'\xff\xc0') + 5
    data[at : at + 4] = b'\xff\xdc' * 2
    with pytest.raises(InputError, match=r'header for \d+ pixels'):
        decode_compressed(SimpleNamespace(format='jpeg', data=bytes(data)))


@pytest.mark.parametrize(
    ('form', 'data'),
    [
        ('32FC1; compressedDepth png', b'abc'),
        ('16UC1; compressedDepth rvl', b'abc'),
        ('32FC1; tiff compressed ', FLOATS),
        ('tiff', FLOATS),
        ('16UC1; png compressed ', WORDS),
    ],
)
def test_a_compressed_depth_map_is_no_camera_image(form, data):
    with pytest.raises(InputError, match='is a depth map'):
        decode_compressed(SimpleNamespace(format=form, data=data))


@pytest.mark.parametrize('form', ['h264', 'hevc', 'h.265', 'av1', 'rgb8; h264'])
def test_a_video_is_no_camera_image(form):
    with pytest.raises(InputError, match='packet of a video; republish'):
        decode_compressed(SimpleNamespace(format=form, data=b'\0\0\0\1abc'))


def compressed_depth(encoding, values, a=0.0, b=0.0):
    header = np.array([0], '<i4').tobytes() + np.array([a, b], '<f4').tobytes()
    return SimpleNamespace(
        format=f'{encoding}; compressedDepth png',
        data=header + cv2.imencode('.png', values)[1].tobytes(),
    )


def test_compressed_depth_of_floats_is_inverse_depth():
    depth_m = np.linspace(0.5, 9.5, 12).reshape(3, 4)
    a, b = 10_000.0, 12.0
    values = np.rint(a / depth_m + b).astype(np.uint16)
    values[0, 0] = 0
    got = decode_depth(compressed_depth('32FC1', values, a, b))
    assert np.isnan(got[0, 0])
    np.testing.assert_allclose(got.ravel()[1:], depth_m.ravel()[1:], rtol=1e-3)


def test_compressed_depth_of_millimetres():
    got = decode_depth(compressed_depth('16UC1', np.array([[0, 1500]], np.uint16)))
    np.testing.assert_array_equal(got, np.array([[np.nan, 1.5]], np.float32))


@pytest.mark.parametrize('form', ['16UC1; compressedDepth png', '16UC1; png compressed ', ''])
@pytest.mark.parametrize('has_header', [True, False])
def test_depth_in_png_has_the_header_of_the_plugin_or_none(form, has_header):
    message = compressed_depth('16UC1', np.array([[0, 1500]], np.uint16))
    data = message.data if has_header else message.data[12:]
    got = decode_depth(SimpleNamespace(format=form, data=data))
    np.testing.assert_array_equal(got, np.array([[np.nan, 1.5]], np.float32))


@pytest.mark.parametrize(('a', 'expected'), [(0.0, 1.5), (3000.0, 2.0)])
def test_compressed_depth_without_the_name_of_its_encoding_has_that_of_its_header(a, expected):
    message = compressed_depth('16UC1', np.array([[1500]], np.uint16), a)
    message.format = 'compressedDepth'
    assert decode_depth(message) == np.float32(expected)


@pytest.mark.parametrize(
    ('form', 'extension', 'values', 'expected'),
    [
        ('16UC1; png compressed ', '.png', np.array([[0, 1500]], np.uint16), [[np.nan, 1.5]]),
        ('mono16; png compressed ', '.png', np.array([[0, 1500]], np.uint16), [[np.nan, 1.5]]),
        ('png', '.png', np.array([[9, 65535]], np.uint16), [[0.009, 65.535]]),
        (
            '32FC1; tiff compressed ',
            '.tiff',
            np.array([[2.5, np.nan]], np.float32),
            [[2.5, np.nan]],
        ),
        ('tiff', '.tiff', np.array([[2.5, np.inf]], np.float32), [[2.5, np.inf]]),
    ],
)
def test_depth_of_the_compressed_plugin(form, extension, values, expected):
    got = decode_depth(packed(form, extension, values))
    np.testing.assert_array_equal(got, np.array(expected, np.float32))


def rvl(values):
    """Encode as Wilson's paper describes it, nibble by nibble."""
    nibbles = []

    def number(value):
        while True:
            value, low = value >> 3, value & 7
            nibbles.append(low | (8 if value else 0))
            if not value:
                return

    flat, index, previous = values.reshape(-1).astype(int).tolist(), 0, 0
    while index < len(flat):
        start = index
        while index < len(flat) and flat[index] == 0:
            index += 1
        number(index - start)
        start = index
        while index < len(flat) and flat[index] != 0:
            index += 1
        number(index - start)
        for value in flat[start:index]:
            delta, previous = value - previous, value
            number(2 * delta if delta >= 0 else -2 * delta - 1)
    nibbles += [0] * (-len(nibbles) % 8)
    words = np.array(nibbles, np.uint32).reshape(-1, 8) << np.arange(28, -1, -4, dtype=np.uint32)
    return words.sum(axis=1, dtype=np.uint32).astype('<u4').tobytes()


def rvl_message(values, encoding='16UC1', a=0.0, b=0.0):
    head = np.array([0], '<i4').tobytes() + np.array([a, b], '<f4').tobytes()
    size = np.array(values.shape[::-1], '<i4').tobytes()
    return SimpleNamespace(
        format=f'{encoding}; compressedDepth rvl', data=head + size + rvl(values)
    )


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 30), st.floats(0, 1))
def test_depth_of_rvl_is_millimetres(seed, width, height, share):
    random = np.random.default_rng(seed)
    values = random.integers(0, 65536, (height, width)).astype(np.uint16)
    values[random.random(values.shape) < share] = 0
    expected = np.where(values, values / np.float32(1000), np.nan).astype(np.float32)
    np.testing.assert_array_equal(decode_depth(rvl_message(values)), expected)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 30), st.floats(0, 1))
def test_rvl_is_written_as_the_paper_has_it(seed, width, height, share):
    random = np.random.default_rng(seed)
    values = random.integers(0, 65536, (height, width)).astype(np.uint16)
    values[random.random(values.shape) < share] = 0
    assert encode_rvl(values).tobytes() == rvl(values)


@pytest.mark.parametrize('value', [0, 1, 65535])
def test_rvl_of_one_value_everywhere(value):
    values = np.full((5, 7), value, np.uint16)
    np.testing.assert_array_equal(decode_rvl(encode_rvl(values), 7, 5), values)


def test_rvl_of_extremes_fits_its_memory():
    values = np.tile(np.array([1, 65535, 0], np.uint16), (40, 30))
    np.testing.assert_array_equal(decode_rvl(encode_rvl(values), 90, 40), values)


def test_depth_of_rvl_is_inverse_for_floats():
    values = np.array([[1000, 2000], [0, 4000]], np.uint16)
    got = decode_depth(rvl_message(values, '32FC1', a=10_000.0, b=0.0))
    np.testing.assert_allclose(got, [[10, 5], [np.nan, 2.5]])


@pytest.mark.parametrize('cut', [13, 20, 24, -4])
def test_rvl_that_was_cut_off_is_refused(cut):
    msg = rvl_message(np.arange(1, 400, dtype=np.uint16).reshape(19, 21))
    msg.data = msg.data[:cut]
    with pytest.raises(InputError, match='compressed depth'):
        decode_depth(msg)


@settings(max_examples=100)
@given(data=st.binary(min_size=0, max_size=200), form=st.sampled_from(['rvl', 'png']))
def test_whatever_a_depth_message_holds_it_is_depth_or_refused(data, form):
    try:
        got = decode_depth(SimpleNamespace(format=f'16UC1; compressedDepth {form}', data=data))
    except InputError:
        return
    assert got.ndim == 2


@pytest.mark.parametrize('form', DEPTH_FORMS)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 10), st.floats(1.0, 1e4))
@settings(max_examples=30)
def test_depth_comes_back_from_compression_to_half_a_step(form, seed, nearest_m, ratio):
    random = np.random.default_rng(seed)
    depth_m = (nearest_m * ratio ** random.uniform(0, 1, (9, 11))).astype(np.float32)
    depth_m[0, :2] = np.nan, np.inf
    msg = new_message('sensor_msgs/msg/CompressedImage')
    write_compressed_depth(depth_m, msg, form)
    assert msg.format == f'32FC1; compressedDepth {form}'
    got = decode_depth(msg)
    assert np.isnan(got[0, :2]).all()
    known = np.isfinite(depth_m)
    step = depth_m[known] ** 2 / depth_m[known].min() / 131068
    assert (np.abs(got - depth_m)[known] <= 1.1 * step + 2e-5 * depth_m[known]).all()


@pytest.mark.parametrize('form', DEPTH_FORMS)
def test_millimetres_come_back_from_compression(form):
    msg = new_message('sensor_msgs/msg/CompressedImage')
    write_compressed_depth_mm(np.array([[1.2344, np.nan, 65.535, 70.0]], np.float32), msg, form)
    expected = np.array([[1.234, np.nan, 65.535, np.nan]], np.float32)
    np.testing.assert_array_equal(decode_depth(msg), expected)


@pytest.mark.parametrize('value', [np.nan, np.inf, 2.5])
def test_depth_that_is_the_same_everywhere_is_compressed_too(value):
    msg = new_message('sensor_msgs/msg/CompressedImage')
    write_compressed_depth(np.full((4, 5), value, np.float32), msg)
    expected = np.full((4, 5), value if np.isfinite(value) else np.nan, np.float32)
    np.testing.assert_allclose(decode_depth(msg), expected, rtol=1e-4)


@LIBRARIES
def test_unknown_depth_can_be_zero(library):
    msg = empty_image(library)
    depth_m = np.array([[1.5, np.nan, np.inf]], np.float32)
    write_depth(depth_m, msg, unknown=0)
    assert raw_image(msg).plane(1, 3, 'f4').ravel().tolist() == [1.5, 0, np.inf]
    assert np.isnan(depth_m[0, 1])


@LIBRARIES
def test_millimetres_hold_up_to_65_metres_and_zero_is_unknown(library):
    msg = empty_image(library)
    metres = np.array([[0.001, 1.2346, 65.535, 65.6, np.inf, np.nan, 0.0002]], np.float32)
    write_depth_mm(metres, msg)
    assert msg.encoding == '16UC1'
    assert raw_image(msg).plane(1, 7, 'u2').ravel().tolist() == [1, 1235, 65535, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ('form', 'data'),
    [
        ('32FC1; compressedDepth rvl', b'0' * 40),
        ('jpeg', b'0' * 40),
        ('jpeg', cv2.imencode('.jpg', picture())[1].tobytes()),
        ('8UC3; compressedDepth png', b'0' * 40),
        ('32FC1; compressedDepth png', bytes(12) + WORDS),
        ('32FC1; compressedDepth png', WORDS),
        ('16UC1; compressedDepth png', b'0' * 12),
        ('16UC1; compressedDepth png', b''),
        ('16UC1; compressedDepth png', b'0' * 40),
        ('16UC1; compressedDepth png', bytes(12) + cv2.imencode('.png', picture())[1].tobytes()),
    ],
)
def test_compressed_depth_that_cannot_be_read_is_refused(form, data):
    with pytest.raises(InputError, match='compressed depth'):
        decode_depth(SimpleNamespace(format=form, data=data))
