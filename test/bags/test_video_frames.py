# SPDX-License-Identifier: Apache-2.0
"""Video topics of recordings as frames."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from test.support.video_packets import HEIGHT, KEY_PERIOD, WIDTH, decoded, encoded
from videodepth_ros.bags.camera_topics import find_camera_topics
from videodepth_ros.bags.frames import read_frames
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.core.errors import BagError

FOXGLOVE, FFMPEG = (
    'foxglove_msgs/msg/CompressedVideo',
    'ffmpeg_image_transport_msgs/msg/FFMPEGPacket',
)
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
DEFINITIONS = {
    FOXGLOVE: 'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n',
    FFMPEG: 'std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\n'
    'uint8 flags\nbool is_bigendian\nuint8[] data\n',
}
INFO = 'sensor_msgs/msg/CameraInfo'
START_NS, PERIOD_NS = 10**9, 30_000_000


def typestore() -> Typestore:
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


def packet_of(store: Typestore, kind: str, codec: str, k: int):
    """Return the k-th packet of a video as a message."""
    stamp = store.types['builtin_interfaces/msg/Time'](1, k * PERIOD_NS)
    header = store.types['std_msgs/msg/Header'](stamp, 'camera')
    data, name = (
        np.frombuffer(encoded(codec)[k], np.uint8),
        {'h264': 'h264', 'hevc': 'h265'}[codec],
    )
    fields = {
        FOXGLOVE: (stamp, 'camera', data, name),
        FFMPEG: (header, WIDTH, HEIGHT, f'{name};yuv420p', k, 0, False, data),
        COMPRESSED: (header, name, data),
    }
    return store.types[kind](*fields[kind])


def info_of(store: Typestore, k: int):
    """Return camera_info with the stamp of the k-th packet."""
    header = store.types['std_msgs/msg/Header'](
        store.types['builtin_interfaces/msg/Time'](1, k * PERIOD_NS), 'camera'
    )
    K = np.array([150.0, 0, WIDTH / 2, 0, 150, HEIGHT / 2, 0, 0, 1])
    P = np.array([150.0, 0, WIDTH / 2, 0, 0, 150, HEIGHT / 2, 0, 0, 0, 1, 0])
    roi = store.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    return store.types[INFO](
        header, HEIGHT, WIDTH, 'plumb_bob', np.zeros(5), K, np.eye(3).ravel(), P, 0, 0, roi
    )


def write(path: Path, kind: str, codec: str, numbers, topic: str = '/camera/video') -> Path:
    """Write some packets of a video, and camera_info with each."""
    store = typestore()
    with Writer(path, version=9) as writer:
        video = writer.add_connection(topic, kind, typestore=store)
        infos = writer.add_connection('/camera/camera_info', INFO, typestore=store)
        for k in numbers:
            stamp_ns = START_NS + k * PERIOD_NS
            packet, info = packet_of(store, kind, codec, k), info_of(store, k)
            writer.write(video, stamp_ns, store.serialize_cdr(packet, kind))
            writer.write(infos, stamp_ns, store.serialize_cdr(info, INFO))
    return path


@pytest.mark.parametrize('kind', [FOXGLOVE, FFMPEG, COMPRESSED])
@pytest.mark.parametrize('codec', ['h264', 'hevc'])
def test_frames_are_those_of_a_plain_decoder(tmp_path, kind, codec):
    with open_bag(write(tmp_path / 'bag', kind, codec, range(14))) as bag:
        frames = list(read_frames(bag))
        assert bag.lost is None
    assert [frame.stamp_ns for frame in frames] == [START_NS + k * PERIOD_NS for k in range(14)]
    for frame, image in zip(frames, decoded(codec), strict=True):
        np.testing.assert_array_equal(frame.image, image)
        assert frame.camera.fx == 150


def test_lost_packets_are_in_the_account(tmp_path):
    numbers = [k for k in range(14) if k not in (0, 8)]
    with open_bag(write(tmp_path / 'bag', FOXGLOVE, 'h264', numbers)) as bag:
        frames = list(read_frames(bag))
        lost = bag.lost
    assert [(f.stamp_ns - START_NS) // PERIOD_NS for f in frames] == [6, 7, 12, 13]
    assert f'{KEY_PERIOD - 1 + 3} packets wait for a key frame, 1 packets are lost' in lost
    assert '8 images of /camera/video could not be used' in lost


def test_packets_of_images_that_are_not_wanted_are_decoded(tmp_path):
    with open_bag(write(tmp_path / 'bag', FOXGLOVE, 'h264', range(14))) as bag:
        wanted = START_NS + 4 * PERIOD_NS
        (frame,) = read_frames(bag, predicate=lambda recorded_ns, stamp_ns: stamp_ns == wanted)
    np.testing.assert_array_equal(frame.image, decoded('h264')[4])


def test_the_topic_and_its_calibration_are_found(tmp_path):
    with open_bag(
        write(tmp_path / 'bag', FFMPEG, 'h264', range(3), '/camera/image/ffmpeg')
    ) as bag:
        topics = find_camera_topics(bag.topics)
    assert (topics.image.name, topics.info.name) == ('/camera/image/ffmpeg', '/camera/camera_info')


def test_a_recording_without_a_key_frame_is_an_error(tmp_path):
    bag_path = write(tmp_path / 'bag', FOXGLOVE, 'h264', range(1, 5))
    with open_bag(bag_path) as bag, pytest.raises(BagError, match='needs a key frame'):
        list(read_frames(bag))


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: bytes | str | int | list[float]) -> bytes:
    """Return a field in the wire format of Protobuf: bytes and texts, fixed32, packed doubles."""
    if isinstance(value, int):
        return varint(number << 3 | 5) + struct.pack('<I', value)
    packed = struct.pack(f'<{len(value)}d', *value) if isinstance(value, list) else value
    data = packed.encode() if isinstance(packed, str) else packed
    return varint(number << 3 | 2) + varint(len(data)) + data


def stamp_field(k: int) -> bytes:
    return field(1, b'\x08\x01\x10' + varint(k * PERIOD_NS))  # seconds 1, nanos


def record(opcode: int, content: bytes) -> bytes:
    return bytes([opcode]) + len(content).to_bytes(8, 'little') + content


def text(value: str) -> bytes:
    return len(value).to_bytes(4, 'little') + value.encode()


def write_protobuf(path: Path, packets: list[bytes], kind: str = 'CompressedVideo') -> Path:
    """Write images and their calibration into an mcap without an index, as Foxglove's writers."""
    K, P = [150.0, 0, 80, 0, 150, 64, 0, 0, 1], [150.0, 0, 80, 0, 0, 150, 64, 0, 0, 0, 1, 0]
    calibration = field(2, WIDTH) + field(3, HEIGHT) + field(4, 'plumb_bob') + field(5, [0.0] * 5)
    calibration += field(6, K) + field(7, [1.0, 0, 0, 0, 1, 0, 0, 0, 1]) + field(8, P)
    calibration += field(9, 'camera')
    schemas = (kind, '/camera/video'), ('CameraCalibration', '/camera/calibration')
    body = b''
    for key, (schema, topic) in enumerate(schemas, start=1):
        head = struct.pack('<H', key)
        name = f'foxglove.{schema}'
        body += record(3, head + text(name) + text('protobuf') + text('descriptor \\ set'))
        body += record(4, head + head + text(topic) + text('protobuf') + text(''))
    for k, packet in enumerate(packets):
        at_ns = START_NS + k * PERIOD_NS
        for key, data in (1, packet), (2, stamp_field(k) + calibration):
            body += record(5, struct.pack('<HIQQ', key, k, at_ns, at_ns) + data)
    magic = b'\x89MCAP0\r\n'
    end = record(15, bytes(4)) + record(2, bytes(20))
    path.write_bytes(magic + record(1, text('') + text('foxglove')) + body + end + magic)
    return path


def test_raw_images_in_protobuf_are_read(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    rows = np.pad(image.reshape(HEIGHT, -1), ((0, 0), (0, 4)))  # rows end with padding
    packet = field(2, WIDTH) + field(3, HEIGHT) + field(4, 'rgb8') + field(5, rows.shape[1])
    packet += field(6, rows.tobytes()) + field(7, 'camera')
    bag_path = write_protobuf(tmp_path / 'a.mcap', [stamp_field(0) + packet], 'RawImage')
    with open_bag(bag_path) as bag:
        (frame,) = read_frames(bag)
    np.testing.assert_array_equal(frame.image, image)
    assert (frame.stamp_ns, frame.camera.fx) == (START_NS, 150)


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
def test_video_in_protobuf_is_read_with_its_calibration(tmp_path, codec):
    name = {'h264': 'h264', 'hevc': 'h265'}[codec]
    packets = [
        stamp_field(k) + field(2, 'camera') + field(3, data) + field(4, name) + field(100, 'id')
        for k, data in enumerate(encoded(codec))
    ]
    packets[3] = packets[3][:20]  # damaged: within the data
    with open_bag(write_protobuf(tmp_path / 'a.mcap', packets)) as bag:
        topics = find_camera_topics(bag.topics)
        frames = list(read_frames(bag))
        lost = bag.lost
    assert (topics.image.type, topics.info.type) == (FOXGLOVE, INFO)
    assert '1 messages of /camera/video' in lost
    kept = [0, 1, 2, *range(KEY_PERIOD, 14)]
    found = {(frame.stamp_ns - START_NS) // PERIOD_NS: frame for frame in frames}
    assert set(kept) <= set(found)
    for k in kept:
        np.testing.assert_array_equal(found[k].image, decoded(codec)[k])
        assert (found[k].frame_id, found[k].camera.fx) == ('camera', 150)


def test_images_in_protobuf_are_read(tmp_path):
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    png = cv2.imencode('.png', image)[1].tobytes()
    message = stamp_field(0) + field(2, png) + field(3, 'png') + field(4, 'camera')
    with open_bag(write_protobuf(tmp_path / 'a.mcap', [message], 'CompressedImage')) as bag:
        (frame,) = read_frames(bag)
    np.testing.assert_array_equal(frame.image, image)
    assert frame.camera.cx == 80
