# SPDX-License-Identifier: Apache-2.0
"""The readers of bytes from outside, with valid inputs of each."""

from __future__ import annotations

import io
import json
import math
import os
import struct
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from test.support import bag_makers
from test.support.fuzzing import Target
from videodepth_ros.bags import open_bag, open_footage, read_frame_tree, read_frames
from videodepth_ros.bags.frame_tree import read_odometry
from videodepth_ros.bags.stamps import read_stamps
from videodepth_ros.bags.types import new_message
from videodepth_ros.core.errors import VideoDepthError
from videodepth_ros.engines.reference import ReferenceOutputs, load_reference_outputs
from videodepth_ros.engines.store import EngineKey, EngineStore, sha256_of
from videodepth_ros.evaluation.tum import read_tum
from videodepth_ros.messages.camera_info import intrinsics_from, rectifier_from
from videodepth_ros.messages.compressed import write_compressed_depth
from videodepth_ros.messages.frame import FrameDecoder
from videodepth_ros.messages.image import decode_depth, decode_share
from videodepth_ros.refine.lidar import points_from_cloud

FRAMES = 4
ENCODINGS = [
    'rgb8',
    'bgr8',
    'rgba8',
    'bgra8',
    'mono8',
    'mono16',
    'rgb16',
    'bgra16',
    'bayer_rggb8',
    'bayer_gbrg16',
    'yuv422',
    'yuv422_yuy2',
    'nv21',
    'nv24',
    '8UC1',
    '8UC3',
    '16UC1',
    '32FC1',
    '64FC1',
    '32SC2',
    'RGB8',
    'palette8',
]
FORMATS = (
    'jpeg',
    'png',
    'rgb8; jpeg compressed bgr8',
    'bayer_rggb8; png compressed bayer_rggb8',
    '16UC1; compressedDepth png',
    '32FC1; compressedDepth png',
    '16UC1; compressedDepth rvl',
    '32FC1; tiff compressed ',
    'h264',
)
LENSES = ('plumb_bob', 'rational_polynomial', 'equidistant', 'fisheye', '', 'thin_prism')


class Source:
    """Numbers from the start of an input; zeros where it ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, form: str) -> tuple[Any, ...]:
        size = struct.calcsize(form)
        taken, self._data = self._data[:size], self._data[size:]
        return struct.unpack(form, taken.ljust(size, b'\0'))

    @property
    def rest(self) -> bytes:
        return self._data


def attempt(*calls: Callable[[], object]) -> None:
    """Call each, whether or not one before it raised an error of the package."""
    for call in calls:
        with suppress(VideoDepthError):
            call()


# Messages.

_IMAGE = '<BB?HHI'  # encoding, whether to rectify, byte order, width, height, step


def read_image(data: bytes, folder: Path) -> None:
    source, message = Source(data), new_message('sensor_msgs/msg/Image')
    encoding, rectify, message.is_bigendian, message.width, message.height, message.step = (
        source.take(_IMAGE)
    )
    message.encoding = ENCODINGS[encoding % len(ENCODINGS)]
    message.data = np.frombuffer(source.rest, np.uint8)
    info = bag_makers.info_message(0, D=(0.1, 0.0, 0.0, 0.0, 0.0))
    attempt(
        lambda: FrameDecoder(rectify=bool(rectify % 2)).decode(message, info),
        lambda: FrameDecoder(rectify=False).decode(message, None),
        lambda: decode_depth(message),
        lambda: decode_share(message),
    )


def image_seeds() -> list[bytes]:
    width, height = bag_makers.SIZE
    sizes = {'rgb8': 3, 'mono8': 1, 'mono16': 2, 'bayer_rggb8': 1, 'yuv422_yuy2': 2, '32FC1': 4}
    return [
        struct.pack(_IMAGE, ENCODINGS.index(name), k, False, width, height, size * width)
        + np.random.default_rng(k).bytes(size * width * height)
        for k, (name, size) in enumerate(sizes.items())
    ]


def read_compressed(data: bytes, folder: Path) -> None:
    source, message = Source(data), new_message('sensor_msgs/msg/CompressedImage')
    (form,) = source.take('<B')
    message.format, message.data = FORMATS[form % len(FORMATS)], np.frombuffer(source.rest, 'u1')
    attempt(
        lambda: FrameDecoder(rectify=False).decode(message, None), lambda: decode_depth(message)
    )


def compressed_seeds() -> list[bytes]:
    pixels = bag_makers.picture(0)
    depth = new_message('sensor_msgs/msg/CompressedImage')
    write_compressed_depth(np.full((32, 48), 2, np.float32), depth)
    mm = np.full((32, 48), 2000, np.uint16)
    files = {
        0: _encoded('.jpg', pixels),
        1: _encoded('.png', pixels),
        3: _encoded('.png', pixels[..., 0]),
        4: bytes(12) + _encoded('.png', mm),
        5: bytes(depth.data),
        6: bytes(12) + struct.pack('<ii', 48, 32) + bytes(range(256)) * 4,
        7: _encoded('.tiff', mm.astype(np.float32)),
    }
    return [bytes([form]) + content for form, content in files.items()]


def _encoded(suffix: str, pixels: Any) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


_INFO = '<BHHBBHHHHB'  # lens, size, binning, region, length of D


def read_camera_info(data: bytes, folder: Path) -> None:
    source, message = Source(data), new_message('sensor_msgs/msg/CameraInfo')
    lens, width, height, *binning_and_region, length = source.take(_INFO)
    message.binning_x, message.binning_y, *region = binning_and_region
    names = ('x_offset', 'y_offset', 'width', 'height')
    for name, value in zip(names, region, strict=True):
        setattr(message.roi, name, value)
    message.width, message.height = width, height
    message.distortion_model = LENSES[lens % len(LENSES)]
    for name, count in (('k', 9), ('r', 9), ('p', 12), ('d', length % 16)):
        setattr(message, name, np.array(source.take(f'<{count}d')))
    small = (min(width, 640), min(height, 480))  # the image comes from another message
    attempt(
        lambda: intrinsics_from(message, width, height), lambda: rectifier_from(message, *small)
    )


def camera_info_seeds() -> list[bytes]:
    K = [40.0, 0, 23.5, 0, 40.0, 15.5, 0, 0, 1]
    P = [40.0, 0, 23.5, 0, 0, 40.0, 15.5, 0, 0, 0, 1, 0]
    numbers = [*K, *np.eye(3).ravel(), *P]
    return [
        struct.pack(_INFO, lens, 48, 32, 0, 0, 0, 0, 0, 0, len(D))
        + np.array([*numbers, *D]).tobytes()
        for lens, D in ((0, [0.1, -0.05, 0.0, 0.0, 0.0]), (1, [0.1] * 8), (2, [0.01] * 4), (4, []))
    ]


_CLOUD = '<?IIII'  # byte order, width, height, steps


def read_cloud(data: bytes, folder: Path) -> None:
    source = Source(data)
    is_bigendian, width, height, point_step, row_step = source.take(_CLOUD)
    fields = [
        SimpleNamespace(name=name, offset=offset, datatype=kind, count=1)
        for name, (offset, kind) in zip('xyz', (source.take('<IB') for _ in 'xyz'), strict=True)
    ]
    points_from_cloud(
        SimpleNamespace(
            header=SimpleNamespace(frame_id='lidar'),
            is_bigendian=is_bigendian,
            width=width,
            height=height,
            point_step=point_step,
            row_step=row_step,
            fields=fields,
            data=np.frombuffer(source.rest, np.uint8),
        )
    )


def cloud_seeds() -> list[bytes]:
    fields = b''.join(struct.pack('<IB', 4 * k, 7) for k in range(3))
    points = np.arange(48, dtype=np.float32).tobytes()
    return [struct.pack(_CLOUD, False, 4, 4, 12, 48) + fields + points]


class Transforms:
    """What `read_frame_tree` reads of a recording."""

    def __init__(self, messages: Iterable[Any]) -> None:
        self._messages = list(messages)

    def messages(self, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
        yield from (('/tf', 0, message) for message in self._messages)


_TRANSFORM = '<BBIi7d'  # child, parent, stamp, position and quaternion


def read_frames_tree(data: bytes, folder: Path) -> None:
    source, transforms = Source(data), []
    while source.rest and len(transforms) < 64:
        child, parent, nanosec, sec, *numbers = source.take(_TRANSFORM)
        stamped = new_message('geometry_msgs/msg/TransformStamped')
        stamped.header.frame_id, stamped.child_frame_id = f'/f{parent % 8}', f'f{child % 8}'
        stamped.header.stamp.sec, stamped.header.stamp.nanosec = sec, nanosec
        position, rotation = stamped.transform.translation, stamped.transform.rotation
        position.x, position.y, position.z = numbers[:3]
        rotation.x, rotation.y, rotation.z, rotation.w = numbers[3:]
        transforms.append(stamped)
    tree = read_frame_tree(Transforms([SimpleNamespace(transforms=transforms)]))
    at_ns = np.array([0, 10**9])
    attempt(lambda: tree.T_root_frame('f1', at_ns), lambda: tree.lookup('f1', 'f2', at_ns))


def frames_tree_seeds() -> list[bytes]:
    chain = [(1, 0), (2, 1), (3, 1)]
    return [
        b''.join(
            struct.pack(_TRANSFORM, child, parent, k, k, 1, 2, 3, 0, 0, 0, 1)
            for k in range(3)
            for child, parent in chain
        )
    ]


# Recordings.


def read_bag(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with open_bag(path if path.suffix != '.yaml' else path.parent) as bag:
        topics = [topic.name for topic in bag.topics if 'Image' in topic.type]
        attempt(
            lambda: list(bag.messages()),
            lambda: [frame.image for frame in read_frames(bag)],
            lambda: read_frame_tree(bag),
            lambda: read_odometry(bag),
            *(lambda topic=topic: read_stamps(bag, topic) for topic in topics),
        )


def bag_reader(suffix: str) -> Callable[[bytes, Path], None]:
    return lambda data, folder: read_bag(folder / f'recording{suffix}', data)


def rosbag2_seeds(plugin: StoragePlugin, *modes: CompressionMode) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [
            bag_makers.only_file(
                bag_makers.write_rosbag2(
                    Path(folder) / mode.name, bag_makers.camera_messages(FRAMES), plugin, mode
                )
            ).read_bytes()
            for mode in modes
        ]


def rosbag1_seeds() -> list[bytes]:
    formats = (None, Writer1.CompressionFormat.BZ2, Writer1.CompressionFormat.LZ4)
    with tempfile.TemporaryDirectory() as folder:
        return [
            bag_makers.write_rosbag1(
                Path(folder) / f'{k}.bag', bag_makers.camera_messages(FRAMES), compression
            ).read_bytes()
            for k, compression in enumerate(formats)
        ]


def read_metadata(data: bytes, folder: Path) -> None:
    (folder / 'recording.mcap').write_bytes(_mcap())
    read_bag(folder / 'metadata.yaml', data)


@cache
def _mcap() -> bytes:
    return rosbag2_seeds(StoragePlugin.MCAP, CompressionMode.NONE)[0]


def metadata_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / 'recording'
        bag_makers.write_rosbag2(bag, bag_makers.camera_messages(1))
        return [(bag / 'metadata.yaml').read_bytes()]


def read_footage(data: bytes, folder: Path) -> None:
    source = Source(data)
    (kind,) = source.take('<B')
    (folder / f'1{(".jpg", ".png", ".tiff", ".webp", ".bmp")[kind % 5]}').write_bytes(source.rest)
    for frame in open_footage(folder).frames():
        assert frame.width > 0


def footage_seeds() -> list[bytes]:
    pixels = bag_makers.picture(0)
    suffixes = ('.jpg', '.png', '.tiff', '.webp', '.bmp')
    return [bytes([k]) + _encoded(suffix, pixels) for k, suffix in enumerate(suffixes)]


# Weights and engines.


@contextmanager
def weights_in(folder: Path) -> Iterator[None]:
    """Use a folder as the user's store of weights."""
    before = os.environ.get('VIDEODEPTH_WEIGHTS')
    os.environ['VIDEODEPTH_WEIGHTS'] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ['VIDEODEPTH_WEIGHTS']
        else:
            os.environ['VIDEODEPTH_WEIGHTS'] = before


def read_weights(data: bytes, folder: Path) -> None:
    from videodepth_ros.models.checkpoint import read_state_dict
    from videodepth_ros.models.importing import import_weights

    source = Source(data)
    (kind,) = source.take('<B')
    path = folder / f'given{(".safetensors", ".pth", ".tar")[kind % 3]}'
    path.write_bytes(source.rest)
    with weights_in(folder / 'store'):
        attempt(lambda: read_state_dict(path), lambda: import_weights(path))


def weights_seeds() -> list[bytes]:
    import torch
    from safetensors.torch import save

    tensors = {'a.weight': torch.arange(12.0).reshape(3, 4), 'a.bias': torch.zeros(3)}
    safe = save(tensors)
    checkpoints = []
    for is_zip in (True, False):
        file = io.BytesIO()
        torch.save({'model': tensors}, file, _use_new_zipfile_serialization=is_zip)
        checkpoints.append(file.getvalue())
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode='w') as tar:
        for name, content in (('n/config.json', _config()), ('n/model.safetensors', safe)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return [b'\0' + safe, *(b'\1' + each for each in checkpoints), b'\2' + archive.getvalue()]


def _config() -> bytes:
    backbone = {'out_indices': [3, 6, 9, 12], 'hidden_size': 384}
    return json.dumps({'model_type': 'depth_anything', 'backbone_config': backbone}).encode()


def read_configuration(data: bytes, folder: Path) -> None:
    from videodepth_ros.models.fetching import PINS, pins
    from videodepth_ros.models.folders import has_configuration, identify_folder

    for name in ('config.json', 'model_index.json', PINS):
        (folder / name).write_bytes(data)
        with weights_in(folder):
            attempt(pins, lambda: has_configuration(folder), lambda: identify_folder(folder))


def configuration_seeds() -> list[bytes]:
    pin = {'nano': {'repository': 'a/b', 'commit': 'c' * 40, 'files': {}}}
    return [_config(), b'{"_class_name": "RollingDepthPipeline"}', json.dumps(pin).encode()]


KEY = EngineKey('nano', 'onnx', 96, 80, 'fp32', 1, 'a' * 64, 'b' * 64, ('torch 2.13',))


def read_store(data: bytes, folder: Path) -> None:
    folder.chmod(0o700)
    path = folder / KEY.file_name
    path.write_bytes(b'graph')
    path.with_name(f'{path.name}.json').write_bytes(data)
    store = EngineStore(folder)
    attempt(store.prune)
    assert sha256_of(store.fetch(KEY, None).path) == sha256_of(path)


def store_seeds() -> list[bytes]:
    import hashlib

    digest = hashlib.sha256(b'graph').hexdigest()
    return [json.dumps({'sha256': digest, 'self_check': 'ok', 'key': asdict(KEY)}).encode()]


def read_reference(data: bytes, folder: Path) -> None:
    (folder / 'reference.npz').write_bytes(data)
    load_reference_outputs(folder / 'reference.npz')


def reference_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'reference.npz'
        ReferenceOutputs(np.ones((2, 3, 4), np.float32), np.ones(5, np.float32)).save(path)
        return [path.read_bytes()]


# Text.


def read_trajectory(data: bytes, folder: Path) -> None:
    (folder / 'poses.txt').write_bytes(data)
    read_tum(folder / 'poses.txt')


def trajectory_seeds() -> list[bytes]:
    lines = ['# comment'] + [f'{k}.5 {math.sin(k)} 0 0 0 0 0 1' for k in range(8)]
    return ['\n'.join(lines).encode(), '\n'.join(lines).replace(' ', ',').encode()]


def read_parameters(data: bytes, folder: Path) -> None:
    """Read a parameter file as the nodes check what ROS makes of it."""
    from rclpy.parameter import Parameter

    from videodepth_ros.nodes.live_parameters import LiveParameters
    from videodepth_ros.nodes.ros_parameters import find_error

    try:
        content = YAML(typ='safe').load(data.decode(errors='replace'))
    except (YAMLError, ValueError):
        return
    for name, value in content.items() if isinstance(content, dict) else ():
        try:
            parameter = Parameter(str(name), value=value)
        except (TypeError, ValueError, AttributeError, AssertionError):
            continue  # no value of ROS
        assert isinstance(find_error([parameter], LiveParameters), str)


def parameters_seeds() -> list[bytes]:
    return [
        b'model: nano\nengine: auto\nmax_gap_s: 2.0\nscale.factor: 1.0\nthreads: 0\n'
        b'output: camera\nkeep_state_warm: false\ncloud.stride: 2\nmax_pixels: 0\n'
    ]


TARGETS = {
    target.name: target
    for target in (
        Target('image', image_seeds, read_image),
        Target('compressed', compressed_seeds, read_compressed),
        Target('camera_info', camera_info_seeds, read_camera_info),
        Target('cloud', cloud_seeds, read_cloud),
        Target('frames_tree', frames_tree_seeds, read_frames_tree),
        Target(
            'mcap',
            lambda: rosbag2_seeds(
                StoragePlugin.MCAP, CompressionMode.NONE, CompressionMode.STORAGE
            ),
            bag_reader('.mcap'),
        ),
        Target(
            'sqlite3',
            lambda: rosbag2_seeds(
                StoragePlugin.SQLITE3, CompressionMode.NONE, CompressionMode.MESSAGE
            ),
            bag_reader('.db3'),
        ),
        Target('rosbag1', rosbag1_seeds, bag_reader('.bag')),
        Target('metadata', metadata_seeds, read_metadata),
        Target('footage', footage_seeds, read_footage),
        Target('weights', weights_seeds, read_weights),
        Target('configuration', configuration_seeds, read_configuration),
        Target('store', store_seeds, read_store),
        Target('reference', reference_seeds, read_reference),
        Target('trajectory', trajectory_seeds, read_trajectory),
        Target('parameters', parameters_seeds, read_parameters),
    )
}
