# SPDX-License-Identifier: Apache-2.0
"""Every encoding, with row padding and both byte orders, against encoders of this file."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.encodings import DECODERS
from videodepth_ros.messages.image import decode_image

GREY = {'mono8', 'mono16', '8UC1', '16UC1'}
BGR_ORDER = {'bgr8', 'bgr16', '8UC3', '16UC3', 'bgra8', 'bgra16', '8UC4', '16UC4'}
ALPHA = {'rgba8', 'bgra8', '8UC4', 'rgba16', 'bgra16', '16UC4'}
BAYER = {name for name in DECODERS if name.startswith('bayer_')}
YUV422 = {'uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2'}
YUV = YUV422 | {'nv12', 'nv21', 'nv24'}
PACKED = set(DECODERS) - BAYER - YUV
YUV_TOLERANCE = 3  # two roundings, to 8-bit YCbCr and back


def message(encoding, width, height, rows, padding=0, is_bigendian=False):
    """Lay out rows (R, samples) with padding bytes of 0xAA behind each, as a driver would."""
    if rows.dtype == np.uint16:
        rows = rows.astype('>u2' if is_bigendian else '<u2')
    packed = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    padded = np.full((len(rows), packed.shape[1] + padding), 0xAA, np.uint8)
    padded[:, : packed.shape[1]] = packed
    return SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=padded.shape[1],
        is_bigendian=int(is_bigendian),
        data=padded.reshape(-1),
    )


def random_image(seed, width, height):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def samples(rgb, encoding):
    """Return the rows of a packed encoding for an RGB image."""
    pixels = rgb[..., ::-1] if encoding in BGR_ORDER else rgb
    if encoding in ALPHA:
        pixels = np.dstack([pixels, np.full(rgb.shape[:2], 17, np.uint8)])
    if encoding in GREY:
        pixels = rgb[..., :1]
    if '16' in encoding:
        pixels = pixels.astype(np.uint16) * 257
    return pixels.reshape(len(rgb), -1)


def ycbcr(rgb):
    """BT.601, video range (ITU-R BT.601-7, section 3.5)."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0) / 255
    y = 0.299 * r + 0.587 * g + 0.114 * b
    planes = 16 + 219 * y, 128 + 224 * (b - y) / 1.772, 128 + 224 * (r - y) / 1.402
    return [np.rint(plane).astype(np.uint8) for plane in planes]


def yuv_rows(rgb, encoding):
    """Return the rows of a YUV encoding, for an image whose 2x2 blocks have one colour each."""
    y, cb, cr = ycbcr(rgb)
    if encoding in YUV422:
        rows = np.empty((*y.shape, 2), np.uint8)
        luma, chroma = (1, 0) if encoding in ('uyvy', 'yuv422') else (0, 1)
        rows[..., luma] = y
        rows[:, 0::2, chroma], rows[:, 1::2, chroma] = cb[:, 0::2], cr[:, 0::2]
        return rows.reshape(len(y), -1)
    if encoding == 'nv24':  # rows of the luma's length, two for each row of Cb Cr pairs
        return np.vstack([y, np.dstack([cb, cr]).reshape(2 * len(y), -1)])
    pair = (cb, cr) if encoding == 'nv12' else (cr, cb)
    chroma = np.dstack([plane[::2, ::2] for plane in pair]).reshape(len(y) // 2, -1)
    return np.vstack([y, chroma])


layout = st.tuples(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.integers(1, 9),
    st.integers(0, 7),
    st.booleans(),
)


@pytest.mark.parametrize('encoding', sorted(PACKED))
@settings(max_examples=25)
@given(drawn=layout)
def test_packed_round_trip(encoding, drawn):
    seed, width, height, padding, is_bigendian = drawn
    rgb = random_image(seed, width, height)
    if encoding in GREY:
        rgb = np.repeat(rgb[..., :1], 3, axis=2)
    rows = samples(rgb, encoding)
    got = decode_image(message(encoding, width, height, rows, padding, is_bigendian))
    assert got.dtype == np.uint8
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, rgb)


@pytest.mark.parametrize('encoding', sorted(YUV))
@settings(max_examples=25)
@given(drawn=layout)
def test_yuv_round_trip(encoding, drawn):
    seed, width, height, padding, _ = drawn
    rgb = random_image(seed, width, height).repeat(2, axis=0).repeat(2, axis=1)
    padding = 0 if encoding == 'nv24' else padding  # the step of its colours is tested below
    rows = yuv_rows(rgb, encoding)
    got = decode_image(message(encoding, 2 * width, 2 * height, rows, padding))
    assert got.flags.c_contiguous
    assert np.abs(got.astype(int) - rgb).max() <= YUV_TOLERANCE


def test_nv24_with_padding_has_a_colour_step_of_twice_the_luma_step():
    rgb = random_image(5, 6, 4)
    y, cb, cr = ycbcr(rgb)
    step = 8
    luma = np.zeros((4, step), np.uint8)
    luma[:, :6] = y
    chroma = np.zeros((4, 2 * step), np.uint8)
    chroma[:, :12] = np.dstack([cb, cr]).reshape(4, 12)
    data = np.concatenate([luma.reshape(-1), chroma.reshape(-1)])
    got = decode_image(
        SimpleNamespace(encoding='nv24', width=6, height=4, step=step, is_bigendian=0, data=data)
    )
    assert np.abs(got.astype(int) - rgb).max() <= YUV_TOLERANCE


@pytest.mark.parametrize('encoding', sorted(BAYER))
@settings(max_examples=15)
@given(drawn=layout)
def test_bayer_of_one_colour(encoding, drawn):
    seed, width, height, padding, is_bigendian = drawn
    width, height = width + 2, height + 2
    colour = random_image(seed, 1, 1)[0, 0]
    order = encoding.removeprefix('bayer_').removesuffix('16').removesuffix('8')
    tile = np.array(['rgb'.index(letter) for letter in order]).reshape(2, 2)
    mosaic = colour[np.tile(tile, (height, width))[:height, :width]]
    if encoding.endswith('16'):
        mosaic = mosaic.astype(np.uint16) * 257
    got = decode_image(message(encoding, width, height, mosaic, padding, is_bigendian))
    np.testing.assert_array_equal(got, np.broadcast_to(colour, (height, width, 3)))


@pytest.mark.parametrize('encoding', sorted(DECODERS))
def test_the_last_row_may_lack_its_padding(encoding):
    rgb = np.full((4, 6, 3), 128, np.uint8)
    rows = {
        **{name: samples(rgb, name) for name in PACKED},
        **{name: yuv_rows(rgb, name) for name in YUV},
    }.get(encoding)
    if rows is None:
        rows = np.full((4, 6), 128, np.uint16 if encoding.endswith('16') else np.uint8)
    msg = message(encoding, 6, 4, rows, 0 if encoding == 'nv24' else 4)
    whole = decode_image(msg)
    if encoding != 'nv24':
        msg.data = msg.data[:-4]
    np.testing.assert_array_equal(decode_image(msg), whole)


@pytest.mark.parametrize('encoding', sorted(DECODERS))
def test_short_data_is_refused(encoding):
    width, height, samples_a_pixel = 6, 4, 8
    step = width * samples_a_pixel
    msg = SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=0,
        data=np.zeros(step * (height - 2), np.uint8),
    )
    with pytest.raises(InputError, match=f'image data has {step * 2} bytes'):
        decode_image(msg)


@pytest.mark.parametrize('encoding', sorted(DECODERS))
def test_a_step_below_a_row_is_refused(encoding):
    msg = SimpleNamespace(
        encoding=encoding, width=6, height=4, step=5, is_bigendian=0, data=np.zeros(1000, np.uint8)
    )
    with pytest.raises(InputError, match=r'step is 5 bytes, but a row of 6 .* takes'):
        decode_image(msg)


@pytest.mark.parametrize('encoding', sorted(YUV - {'nv24'}))
def test_an_odd_width_is_refused_where_pixels_share_a_colour(encoding):
    msg = SimpleNamespace(
        encoding=encoding,
        width=5,
        height=4,
        step=10,
        is_bigendian=0,
        data=np.zeros(1000, np.uint8),
    )
    with pytest.raises(InputError, match='5x4'):
        decode_image(msg)


@pytest.mark.parametrize('encoding', ['nv12', 'nv21'])
def test_an_odd_height_is_refused_where_rows_share_a_colour(encoding):
    msg = SimpleNamespace(
        encoding=encoding, width=4, height=5, step=4, is_bigendian=0, data=np.zeros(1000, np.uint8)
    )
    with pytest.raises(InputError, match='4x5'):
        decode_image(msg)


def test_an_unknown_encoding_is_named_with_the_known_ones():
    msg = SimpleNamespace(encoding='p010', width=4, height=4, step=4, is_bigendian=0, data=b'abcd')
    with pytest.raises(InputError, match=r"'p010'.*rgb8.*nv24"):
        decode_image(msg)


def test_sixteen_bits_keep_their_full_range_and_are_not_stretched():
    values = np.array([[0, 128, 129, 0x0FFF, 0x8000, 65535]], np.uint16)
    got = decode_image(message('mono16', 6, 1, values))
    np.testing.assert_array_equal(got[0, :, 0], [0, 0, 1, 16, 128, 255])
