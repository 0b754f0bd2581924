# SPDX-License-Identifier: Apache-2.0
"""Every encoding, with row padding and both byte orders, against encoders of this file."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.encodings import DECODERS, canonical_encoding
from videodepth_ros.messages.image import decode_image

GREY = {'mono8', 'mono16', '8UC1'}
BGR_ORDER = {'bgr8', 'bgr16', '8UC3', '16UC3', 'bgra8', 'bgra16', '8UC4', '16UC4'}
ALPHA = {'rgba8', 'bgra8', '8UC4', 'rgba16', 'bgra16', '16UC4'}
BAYER = {name for name in DECODERS if name.startswith('bayer_')}
YUV422 = {'uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2'}
PLANAR = {'i420', 'yv12'}
YUV = YUV422 | PLANAR | {'nv12', 'nv21', 'nv24'}
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
    if encoding in PLANAR:
        planes = [y, *(p[::2, ::2] for p in ((cb, cr) if encoding == 'i420' else (cr, cb)))]
        return np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, y.shape[1])
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
    padding = 0 if encoding in PLANAR | {'nv24'} else padding  # their colours are tested below
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
    has_padding = encoding not in PLANAR | {'nv24'}
    msg = message(encoding, 6, 4, rows, 4 if has_padding else 0)
    whole = decode_image(msg)
    if has_padding:
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


@pytest.mark.parametrize('encoding', ['nv12', 'nv21', *sorted(PLANAR)])
def test_an_odd_height_is_refused_where_rows_share_a_colour(encoding):
    msg = SimpleNamespace(
        encoding=encoding, width=4, height=5, step=4, is_bigendian=0, data=np.zeros(1000, np.uint8)
    )
    with pytest.raises(InputError, match='4x5'):
        decode_image(msg)


@pytest.mark.parametrize('encoding', sorted(PLANAR))
def test_planes_of_colour_have_half_the_step(encoding):
    rgb = random_image(5, 4, 3).repeat(2, axis=0).repeat(2, axis=1)  # 8 x 6
    flat, step = yuv_rows(rgb, encoding).reshape(-1), 16
    luma, colours = flat[:48].reshape(6, 8), flat[48:].reshape(6, 4)
    data = [
        np.pad(luma, ((0, 0), (0, 8))).reshape(-1),
        np.pad(colours, ((0, 0), (0, 4))).reshape(-1),
    ]
    got = decode_image(
        SimpleNamespace(
            encoding=encoding,
            width=8,
            height=6,
            step=step,
            is_bigendian=0,
            data=np.concatenate(data),
        )
    )
    assert np.abs(got.astype(int) - rgb).max() <= YUV_TOLERANCE


@pytest.mark.parametrize(
    ('name', 'encoding'),
    [
        ('RGB8', 'rgb8'),
        ('rgb', 'rgb8'),
        ('BGR', 'bgr8'),
        ('RGBA', 'rgba8'),
        ('YUYV', 'yuyv'),
        ('yuy2', 'yuyv'),
        ('UYVY', 'uyvy'),
        ('YUV422_YUY2', 'yuv422_yuy2'),
        ('yuv420', 'i420'),
        ('NV12', 'nv12'),
        ('MONO8', 'mono8'),
        ('Y16', 'mono16'),
        ('mono12', 'mono16'),
        ('8uc3', '8UC3'),
        ('BayerRG8', 'bayer_rggb8'),
        ('BayerGB12', 'bayer_gbrg16'),
        ('bayer_bggr12', 'bayer_bggr16'),
    ],
)
def test_other_names_are_the_same_encoding(name, encoding):
    assert canonical_encoding(name) == encoding
    assert canonical_encoding('p010') == 'p010'


ROWS = random_image(3, 320, 240).reshape(240, 960)


def unusual(step, padding, lines=240, tail=0):
    """Return rgb8 of 320x240 whose step is not that of its rows."""
    rows = np.pad(ROWS, ((0, 0), (0, padding)))[:lines].reshape(-1)
    return SimpleNamespace(
        encoding='rgb8',
        width=320,
        height=240,
        step=step,
        is_bigendian=0,
        data=np.concatenate([rows, np.zeros(tail, np.uint8)]),
    )


@pytest.mark.parametrize(
    ('step', 'padding', 'tail'),
    [
        (960, 64, 0),  # the driver did not count its padding
        (0, 0, 0),
        (0, 64, 0),
        (320, 0, 0),  # of one channel
        (1000, 0, 0),
        (7680, 0, 0),  # in bits
        (240 * 960, 0, 0),  # of the whole image
        (2**32 - 1, 32, 0),
        (960, 0, 1000),  # a buffer of whole pages
        (1024, 64, 3000),
    ],
)
def test_a_wrong_step_is_that_of_the_data(step, padding, tail):
    decoded = decode_image(unusual(step, padding, tail=tail))
    np.testing.assert_array_equal(decoded, ROWS.reshape(240, 320, 3))


@pytest.mark.parametrize(
    ('step', 'padding', 'lines', 'tail'),
    [
        (960, 0, 239, 0),
        (1024, 64, 225, 0),  # as long as 240 rows without padding
        (960, 0, 200, 17),
        (0, 0, 239, 100),
        (960, 0, 240, 100_001),
        (1000, 0, 240, 5),
    ],
)
def test_data_without_an_unambiguous_step_is_refused_with_the_numbers(step, padding, lines, tail):
    msg = unusual(step, padding, lines, tail)
    with pytest.raises(InputError, match=rf'step (is )?{step}|{len(msg.data)} bytes'):
        decode_image(msg)


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1', '64FC1', '16uc1'])
def test_depth_is_no_camera_image(encoding):
    msg = SimpleNamespace(
        encoding=encoding, width=1, height=1, step=8, is_bigendian=0, data=bytes(8)
    )
    with pytest.raises(InputError, match=f'{encoding}.*depth map.*colour image.*mono16'):
        decode_image(msg)


def test_an_unknown_encoding_is_named_with_the_known_ones():
    msg = SimpleNamespace(encoding='p010', width=4, height=4, step=4, is_bigendian=0, data=b'abcd')
    with pytest.raises(InputError, match=r"'p010'.*rgb8.*nv24"):
        decode_image(msg)


def test_sixteen_bits_keep_their_full_range_and_are_not_stretched():
    values = np.array([[0, 128, 129, 0x0FFF, 0x8000, 65535]], np.uint16)
    got = decode_image(message('mono16', 6, 1, values))
    np.testing.assert_array_equal(got[0, :, 0], [0, 0, 1, 16, 128, 255])
