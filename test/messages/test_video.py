# SPDX-License-Identifier: Apache-2.0
"""Video packets as images: equal to a plain decoder's, lost packets counted, faults in words."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from test.support.video_packets import KEY_PERIOD, decoded, encoded, message
from videodepth_ros.core.errors import DeviceError, InputError
from videodepth_ros.messages.frame import FrameDecoder
from videodepth_ros.messages.h26x import FrameNumbers, is_key_packet
from videodepth_ros.messages.video import VideoDecoder, video_packet

KINDS = ['foxglove', 'ffmpeg', 'compressed']


def run(codec: str, numbers, kind: str = 'foxglove'):
    """Decode some packets; return the decoder and what each of them gives."""
    decoder, packets = VideoDecoder(), encoded(codec)
    return decoder, {
        k: decoder.decode(video_packet(message(kind, codec, k, packets[k]))) for k in numbers
    }


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
@pytest.mark.parametrize('kind', KINDS)
def test_images_are_those_of_a_plain_decoder(codec, kind):
    decoder, images = run(codec, range(14), kind)
    for k, image in images.items():
        np.testing.assert_array_equal(image.pixels(), decoded(codec)[k])
        assert (image.header.stamp.nanosec, image.header.frame_id) == (k * 30_000_000, 'camera')
    assert (decoder.lost, decoder.waited, decoder.note) == (0, 0, '')


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
def test_packets_before_the_first_key_frame_have_no_image(codec):
    decoder, images = run(codec, range(2, 14))
    for k in range(2, KEY_PERIOD):
        with pytest.raises(InputError, match='needs a key frame'):
            images[k].pixels()
    np.testing.assert_array_equal(images[KEY_PERIOD].pixels(), decoded(codec)[KEY_PERIOD])
    assert decoder.waited == KEY_PERIOD - 2
    assert f'{KEY_PERIOD - 2} packets wait for a key frame' in decoder.note


def test_lost_packets_are_counted_and_give_no_wrong_image():
    kept = [0, 1, 2, 5, 6, 7, 9, 10, 11, 12, 13]
    decoder, images = run('h264', kept)
    assert decoder.lost == 3
    good = {k for k, image in images.items() if image.image is not None}
    assert good == {0, 1, 2, 6, 7, 12, 13}
    for k in good:
        np.testing.assert_array_equal(images[k].pixels(), decoded('h264')[k])
    with pytest.raises(InputError, match='3 packets were lost'):
        images[9].pixels()
    assert '3 packets are lost' in decoder.note


def test_a_lost_packet_of_h265_gives_no_wrong_image():
    _, images = run('hevc', [k for k in range(14) if k != 8])
    for k, image in images.items():
        if image.image is not None:
            np.testing.assert_array_equal(image.image, decoded('hevc')[k])
    assert {k for k, image in images.items() if image.image is None} >= {9, 10, 11}
    assert images[12].image is not None


def test_a_lost_key_frame_is_noticed():
    decoder, images = run('h264', [k for k in range(14) if k != KEY_PERIOD])
    assert {k for k, image in images.items() if image.image is None} == {7, 8, 9, 10, 11}
    assert decoder.lost > 0


def test_key_frames_are_recognised():
    for codec in ('h264', 'hevc'):
        keys = [k for k, packet in enumerate(encoded(codec)) if is_key_packet(codec, packet)]
        assert keys == [0, KEY_PERIOD, 2 * KEY_PERIOD]


def test_frame_numbers_wrap():
    numbers, packets = FrameNumbers(), encoded('h264', 40)
    assert [numbers.lost_before(packet) for packet in packets] == [0] * 40


def test_a_frame_of_a_camera():
    decoder = VideoDecoder()
    packet = video_packet(message('foxglove', 'h264', 0, encoded('h264')[0]))
    frame = FrameDecoder(rectify=False).decode(decoder.decode(packet), None)
    np.testing.assert_array_equal(frame.image, decoded('h264')[0])
    assert (frame.stamp_ns, frame.frame_id) == (10**9, 'camera')


@pytest.mark.parametrize(
    ('codec', 'data', 'words'),
    [
        ('h264', b'\x00\x00\x10\x65 length before the unit', 'publish in Annex B format'),
        ('h264', b'', 'of 0 bytes has no start code'),
        ('vp9', b'\x00\x00\x01\x65', "format 'vp9' is not decoded here: publish h264 or h265"),
    ],
)
def test_what_is_no_packet_is_refused_in_words(codec, data, words):
    sent = message('foxglove', 'h264', 0, data)
    sent.format = codec
    with pytest.raises(InputError, match=words):
        VideoDecoder().decode(video_packet(sent)).pixels()


def test_a_damaged_packet_waits_for_a_key_frame():
    decoder, packets = VideoDecoder(), encoded('h264')
    broken = [packets[0][: len(packets[0]) // 3], *packets[1:]]
    faults = [
        decoder.decode(video_packet(message('foxglove', 'h264', k, data))).fault
        for k, data in enumerate(broken)
    ]
    assert not any(faults[KEY_PERIOD:])


def test_images_are_no_packets():
    sent = message('compressed', 'h264', 0, b'')
    for name in ('jpeg', 'rgb8; jpeg compressed bgr8', 'png', '16UC1; compressedDepth png'):
        sent.format = name
        assert video_packet(sent) is None


def test_without_pyav_the_next_step_is_named(monkeypatch):
    packet = video_packet(message('foxglove', 'h264', 0, encoded('h264')[0]))
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(DeviceError, match='pip install av'):
        VideoDecoder().decode(packet)
