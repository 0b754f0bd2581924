# SPDX-License-Identifier: Apache-2.0
"""Recordings that are written: what is in them, and that they are whole whatever happens."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import MessageDefinitionFormat, QosDurability, QosReliability

from videodepth_ros.bags.frames import read_frames
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.types import STORE
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import BagError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.rotation import rotation_from_quaternion
from videodepth_ros.messages.camera_info import intrinsics_from
from videodepth_ros.messages.cloud import POINT, reference_cloud
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import matrix_from_pose, matrix_from_transform, stamp_ns

CAMERA = Intrinsics(24, 16, 20.0, 21.0, 11.5, 7.5)
NS = 1_700_000_000_123_456_789


def scene():
    random = np.random.default_rng(4)
    image = random.integers(0, 256, (16, 24, 3), np.uint8)
    depth_m = random.uniform(0.5, 20, (16, 24)).astype(np.float32)
    depth_m[0, :2] = np.nan, np.inf
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation_from_quaternion(0.1, 0.2, 0.3, 0.9), (1.0, -2.0, 3.0)
    return image, depth_m, T


def write_all(path):
    image, depth_m, T = scene()
    with BagWriter(path) as writer:
        writer.write_transform(NS, 'base', 'camera', T, static=True)
        for k in range(3):
            ns = NS + k * 10**8
            writer.write_image('camera/image_raw', ns, 'camera', image)
            writer.write_camera_info('camera/camera_info', ns, 'camera', CAMERA)
            writer.write_depth('videodepth/depth/image', ns, 'camera', depth_m)
            writer.write_cloud(
                'videodepth/depth/points', ns, 'camera', depth_m, image, CAMERA, 2, 9.0
            )
            writer.write_pose('ground_truth/pose', ns, 'map', T)
            writer.write_transform(ns, 'map', 'base', T)
        writer.write_path('videodepth/path', NS, 'map', [(NS, T), (NS + 5, T)])
    return path


def test_everything_comes_back(tmp_path):
    image, depth_m, T = scene()
    with open_bag(write_all(tmp_path / 'bag')) as reader:
        assert [(one.name, one.count) for one in reader.topics] == [
            ('/camera/camera_info', 3),
            ('/camera/image_raw', 3),
            ('/ground_truth/pose', 3),
            ('/tf', 3),
            ('/tf_static', 1),
            ('/videodepth/depth/image', 3),
            ('/videodepth/depth/points', 3),
            ('/videodepth/path', 1),
        ]
        last = {topic: (ns, msg) for topic, ns, msg in reader.messages()}
        found = list(read_frames(reader))
        assert reader.lost is None
    for frame in found:
        np.testing.assert_array_equal(frame.image, image)
        assert frame.camera == CAMERA
    for ns, msg in (last['/videodepth/depth/image'], last['/videodepth/depth/points']):
        assert ns == stamp_ns(msg.header.stamp) == NS + 2 * 10**8
        assert msg.header.frame_id == 'camera'
    np.testing.assert_array_equal(decode_depth(last['/videodepth/depth/image'][1]), depth_m)
    points = np.frombuffer(last['/videodepth/depth/points'][1].data, POINT)
    plain = reference_cloud(depth_m, image, CAMERA, 2, 9.0).reshape(-1)
    np.testing.assert_array_equal(points['rgb'], plain['rgb'])
    np.testing.assert_array_equal(points['x'], plain['x'])
    assert intrinsics_from(last['/camera/camera_info'][1], 24, 16) == CAMERA
    np.testing.assert_allclose(matrix_from_pose(last['/ground_truth/pose'][1].pose), T)
    (transform,) = last['/tf'][1].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ('map', 'base')
    np.testing.assert_allclose(matrix_from_transform(transform.transform), T)
    poses = last['/videodepth/path'][1].poses
    assert [stamp_ns(pose.header.stamp) for pose in poses] == [NS, NS + 5]


def test_players_find_definitions_hashes_and_quality_of_service(tmp_path):
    path = write_all(tmp_path / 'bag')
    with AnyReader([path]) as reader:  # rosbags itself checks each definition against its hash
        offered = {one.topic: one.ext.offered_qos_profiles for one in reader.connections}
        for one in reader.connections:
            assert one.msgdef.format == MessageDefinitionFormat.MSG
            assert one.digest.startswith('RIHS01_')
    latched = set()
    for topic, (profile,) in offered.items():
        assert profile.reliability == QosReliability.RELIABLE
        if profile.durability == QosDurability.TRANSIENT_LOCAL:
            latched.add(topic)
    assert latched == {'/tf_static', '/videodepth/path'}
    assert 'version: 8' in (path / 'metadata.yaml').read_text()


def test_rclpy_reads_each_message(tmp_path):
    serialization = pytest.importorskip('rclpy.serialization', reason='ROS is not installed')
    with AnyReader([write_all(tmp_path / 'bag')]) as reader:
        for one, _, raw in reader.messages():
            if one.msgtype.startswith('tf2_msgs'):
                continue  # not part of every installation
            package, _, name = one.msgtype.partition('/msg/')
            cls = getattr(importlib.import_module(f'{package}.msg'), name)
            msg = serialization.deserialize_message(bytes(raw), cls)
            theirs = bytes(serialization.serialize_message(msg))  # padding is not zero in these
            again = STORE.serialize_cdr(STORE.deserialize_cdr(theirs, one.msgtype), one.msgtype)
            assert bytes(again) == bytes(raw)


def test_an_existing_recording_is_not_overwritten(tmp_path):
    path = write_all(tmp_path / 'bag')
    before = sorted(file.stat().st_mtime_ns for file in path.iterdir())
    with pytest.raises(BagError, match=r'bag exists and is not overwritten; remove it'):
        BagWriter(path)
    assert before == sorted(file.stat().st_mtime_ns for file in path.iterdir())


def test_an_exception_leaves_a_whole_recording_of_what_was_written(tmp_path):
    image, _, _ = scene()

    def write_and_be_interrupted():
        with BagWriter(tmp_path / 'bag') as writer:
            writer.write_image('camera/image_raw', NS, 'camera', image)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_be_interrupted()
    with open_bag(tmp_path / 'bag') as reader:
        assert len(list(read_frames(reader))) == 1
        assert reader.lost is None


def test_an_exception_before_the_first_message_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match='nothing'):
        with BagWriter(tmp_path / 'deep' / 'bag'):
            raise ValueError('nothing')
    assert not (tmp_path / 'deep' / 'bag').exists()


def test_a_recording_of_nothing_can_be_read(tmp_path):
    with BagWriter(tmp_path / 'bag'):
        pass
    with open_bag(tmp_path / 'bag') as reader:
        assert reader.topics == ()


def test_a_place_where_nothing_can_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(BagError, match=r'cannot be created: .* is no folder'):
        BagWriter(tmp_path / 'file' / 'bag')
