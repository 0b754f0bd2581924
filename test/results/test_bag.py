# SPDX-License-Identifier: Apache-2.0
"""What a refined recording holds: depth in each encoding, and what came along."""

from __future__ import annotations

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from test.support import bag_makers
from test.support import refined_results as m
from videodepth_ros.bags.output_options import (
    OUTPUT,
    Compression,
    ConfidenceEncoding,
    DepthEncoding,
    OutputOptions,
)
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.scan_mcap import scan_mcap
from videodepth_ros.bags.types import new_message
from videodepth_ros.geometry.depth_edges import beside_edges
from videodepth_ros.geometry.trajectory import StepSigmas
from videodepth_ros.messages.camera_info import intrinsics_from
from videodepth_ros.messages.image import decode_depth, decode_image, decode_share
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.results.bag import BagContents, RefinedBagWriter, SourceRecording
from videodepth_ros.results.depth_topics import PointOptions
from videodepth_ros.results.map_attachment import attach_map
from videodepth_ros.results.source_topics import is_topic_copied


def write(path, out, topics=OUTPUT, copied=(), frame_id=m.OPTICAL, sigmas=None):
    with open_bag(path) as bag:
        join = attach_map(bag, frame_id)
        with RefinedBagWriter(
            out,
            SourceRecording(bag, m.IMAGE),
            join,
            m.trajectory(),
            BagContents(topics, PointOptions(stride=2), copied),
            sigmas,
        ) as refined:
            for frame, T in zip(m.refined(frame_id), m.trajectory().T_map_cam, strict=True):
                refined.add(type(frame)(**{**vars(frame), 'T_map_cam': T}))
            refined.finish()
        return refined.notes


def messages(path, topic):
    with open_bag(path) as bag:
        return [(ns, message) for _, ns, message in bag.messages([topic])]


def test_every_topic_has_the_stamps_of_the_images(tmp_path):
    write(m.write_bag(tmp_path / 'in'), tmp_path / 'out')
    with open_bag(tmp_path / 'out') as bag:
        assert {topic.name: topic.count for topic in bag.topics} == {
            '/tf': 8,
            '/videodepth/depth/camera_info': 8,
            '/videodepth/depth/confidence': 8,
            '/videodepth/depth/image': 8,
            '/videodepth/odometry': 8,
            '/videodepth/path': 1,
        }
    for topic in ('depth/image', 'depth/confidence', 'depth/camera_info'):
        for k, (ns, message) in enumerate(messages(tmp_path / 'out', f'/videodepth/{topic}')):
            assert ns == stamp_ns(message.header.stamp) == m.STAMPS[k]
            assert message.header.frame_id == m.OPTICAL
    for k, (_, message) in enumerate(messages(tmp_path / 'out', '/videodepth/depth/image')):
        np.testing.assert_array_equal(decode_depth(message), m.depth(k))
    _, info = messages(tmp_path / 'out', '/videodepth/depth/camera_info')[0]
    assert intrinsics_from(info, 32, 24) == m.CAMERA


def test_path_and_odometry_are_the_trajectory(tmp_path):
    write(m.write_bag(tmp_path / 'in'), tmp_path / 'out')
    ((recorded_ns, path),) = messages(tmp_path / 'out', '/videodepth/path')
    assert recorded_ns == stamp_ns(path.header.stamp) == m.STAMPS[0]
    truth = m.trajectory().T_map_cam
    for k, pose in enumerate(path.poses):
        assert stamp_ns(pose.header.stamp) == m.STAMPS[k]
        np.testing.assert_allclose(
            m.matrix(pose.pose.position, pose.pose.orientation), truth[k], atol=1e-9
        )
    for k, (_, odometry) in enumerate(messages(tmp_path / 'out', '/videodepth/odometry')):
        assert odometry.child_frame_id == m.OPTICAL
        if 0 < k < m.FRAMES - 1:
            check_twist(odometry.twist.twist, k)


def check_twist(twist, k):
    """Compare with the true velocity, in the camera's own frame."""
    before, behind = (
        (m.base_at(int(m.STAMPS[k]) + ns) @ m.T_BASE_CAM) for ns in (-(10**6), 10**6)
    )
    R = m.trajectory().T_map_cam[k, :3, :3]
    velocity = R.T @ (behind - before)[:3, 3] / 0.002
    found = [getattr(twist.linear, axis) for axis in 'xyz']
    np.testing.assert_allclose(found, velocity, atol=0.01)
    found = [getattr(twist.angular, axis) for axis in 'xyz']
    np.testing.assert_allclose(found, R.T @ [0, 0, 0.6], atol=1e-6)


def test_millimetres(tmp_path):
    write(
        m.write_bag(tmp_path / 'in'),
        tmp_path / 'out',
        OutputOptions(depth_encoding=DepthEncoding.MILLIMETRES),
    )
    for k, (_, message) in enumerate(messages(tmp_path / 'out', '/videodepth/depth/image')):
        assert message.encoding == '16UC1'
        found, truth = decode_depth(message), m.depth(k)
        known = np.isfinite(truth)
        np.testing.assert_allclose(found[known], truth[known], atol=0.0005)
        assert np.isnan(found[~known]).all()


def test_compressed(tmp_path):
    write(
        m.write_bag(tmp_path / 'in'),
        tmp_path / 'out',
        OutputOptions(depth_encoding=DepthEncoding.COMPRESSED),
    )
    found = messages(tmp_path / 'out', '/videodepth/depth/image/compressedDepth')
    for k, (_, message) in enumerate(found):
        depth_m, truth = decode_depth(message), m.depth(k)
        known = np.isfinite(truth)
        np.testing.assert_allclose(depth_m[known], truth[known], rtol=1e-4)
        assert np.isnan(depth_m[~known]).all()
    assert len(found) == m.FRAMES


@pytest.mark.parametrize(
    ('encoding', 'step'),
    [
        (ConfidenceEncoding.FLOAT, 0),
        (ConfidenceEncoding.BYTE, 1 / 255),
        (ConfidenceEncoding.SHORT, 1 / 65535),
    ],
)
def test_confidence_in_each_encoding(tmp_path, encoding, step):
    write(
        m.write_bag(tmp_path / 'in'), tmp_path / 'out', OutputOptions(confidence_encoding=encoding)
    )
    found = messages(tmp_path / 'out', '/videodepth/depth/confidence')
    for (_, message), frame in zip(found, m.refined(), strict=True):
        assert message.encoding == encoding.value
        np.testing.assert_allclose(
            decode_share(message), frame.confidence, atol=(step + 1 / 1024) / 2 + 1e-7
        )


def test_topics_are_written_by_choice(tmp_path):
    write(
        m.write_bag(tmp_path / 'in'),
        tmp_path / 'out',
        OutputOptions(points=True, confidence=False),
    )
    with open_bag(tmp_path / 'out') as bag:
        names = {topic.name for topic in bag.topics}
    assert '/videodepth/depth/confidence' not in names
    clouds = messages(tmp_path / 'out', '/videodepth/depth/points')
    assert len(clouds) == m.FRAMES
    for k, (_, cloud) in enumerate(clouds):
        z = np.frombuffer(cloud.data, np.float32).reshape(12, 16, 4)[..., 2]
        depth_m = m.depth(k)[::2, ::2]
        flat = ~beside_edges(m.depth(k))[::2, ::2] & np.isfinite(depth_m)
        assert flat.sum() > 50
        np.testing.assert_array_equal(z[flat], depth_m[flat])
        assert np.isnan(z[~flat]).all()


@pytest.mark.parametrize('compression', list(Compression))
def test_chunks_are_compressed_and_every_reader_reads_them(tmp_path, compression):
    write(m.write_bag(tmp_path / 'in'), tmp_path / 'out', OutputOptions(compression=compression))
    mcap = tmp_path / 'out/out.mcap'
    assert (b'zstd' in mcap.read_bytes()) == (compression is Compression.ZSTD)
    for k, (_, message) in enumerate(messages(tmp_path / 'out', '/videodepth/depth/image')):
        np.testing.assert_array_equal(decode_depth(message), m.depth(k))
    scanned = [channel.topic for channel, _, _ in scan_mcap(mcap, [])]
    assert scanned.count('/videodepth/depth/image') == m.FRAMES
    with AnyReader([tmp_path / 'out']) as reader:
        assert reader.message_count == len(scanned)


def test_path_is_latched_and_comes_before_the_first_frame(tmp_path):
    write(m.write_bag(tmp_path / 'in', m.write_static), tmp_path / 'out')
    lying = [channel.topic for channel, _, _ in scan_mcap(tmp_path / 'out/out.mcap', [])]
    assert lying.index('/videodepth/path') < lying.index('/videodepth/depth/image')
    with AnyReader([tmp_path / 'out']) as reader:
        (path,) = (c for c in reader.connections if c.topic == '/videodepth/path')
    assert path.ext.offered_qos_profiles[0].durability == QosDurability.TRANSIENT_LOCAL


def test_covariances_grow_along_the_path(tmp_path):
    sigmas = StepSigmas(np.full(m.FRAMES, 0.01), np.full(m.FRAMES, 0.002))
    write(m.write_bag(tmp_path / 'in'), tmp_path / 'out', sigmas=sigmas)
    found = [one for _, one in messages(tmp_path / 'out', '/videodepth/odometry')]
    pose = np.stack([one.pose.covariance.reshape(6, 6) for one in found])
    twist = np.stack([one.twist.covariance.reshape(6, 6) for one in found])
    assert (np.linalg.eigvalsh(pose) > 0).all()
    assert (np.linalg.eigvalsh(twist) > 0).all()
    assert (np.diff(pose[:, 0, 0]) > 0).all()
    np.testing.assert_allclose(pose[:, 5, 5], 0.002**2 * np.arange(1, m.FRAMES + 1))
    np.testing.assert_allclose(twist[3, 0, 0], 2 * (0.01 / 0.2) ** 2)


def test_covariances_that_are_not_known_are_marked(tmp_path):
    write(m.write_bag(tmp_path / 'in'), tmp_path / 'out')
    for _, one in messages(tmp_path / 'out', '/videodepth/odometry'):
        for covariance in (one.pose.covariance, one.twist.covariance):
            assert covariance[0] == -1
            assert not covariance[1:].any()


def test_selected_topics_are_copied_byte_by_byte_with_times_and_qos(tmp_path):
    def more(bag):
        for ns in (m.START_NS - 5, m.START_NS + 250_000_001, int(m.STAMPS[-1]) + 10**9):
            message = new_message('std_msgs/msg/String')
            message.data = f'at {ns}'
            bag.write('/robot/log', ns, message)
        bag.write_depth('videodepth/depth/image', m.START_NS, 'old', m.depth(0))

    write(
        m.write_bag(tmp_path / 'in', m.write_static, more),
        tmp_path / 'out',
        copied=('/camera/*', 'robot/log'),
    )
    with AnyReader([tmp_path / 'in']) as source, AnyReader([tmp_path / 'out']) as result:

        def raw(reader, topics):
            return [
                (c.topic, c.msgtype, ns, bytes(data))
                for c, ns, data in reader.messages()
                if c.topic in topics
            ]

        topics = {'/camera/image_raw', '/camera/camera_info', '/robot/log'}
        assert raw(result, topics) == raw(source, topics)
        assert {c.topic for c in result.connections} >= topics
        for connection in result.connections:
            if connection.topic in topics:
                assert connection.ext.offered_qos_profiles[0].reliability.name == 'RELIABLE'
        times = [ns for _, ns, _ in result.messages()]
    assert times == sorted(times)
    assert len(messages(tmp_path / 'out', '/videodepth/depth/image')) == m.FRAMES


def test_messages_lie_in_the_file_in_the_order_of_time_what_is_static_first(tmp_path):
    def odometry(bag):
        for ns in m.odometry_stamps():
            bag.write_transform(ns, 'odom', 'base_link', m.odom_at(ns))

    write(m.write_bag(tmp_path / 'in', m.write_static, odometry), tmp_path / 'out', copied=('*',))
    lying = [(channel.topic, ns) for channel, ns, _ in scan_mcap(tmp_path / 'out/out.mcap', [])]
    assert [ns for _, ns in lying] == sorted(ns for _, ns in lying)
    assert [topic for topic, _ in lying[:3]] == ['/tf_static', '/tf_static', '/tf']


def test_what_is_latched_stays_latched(tmp_path):
    from rosbags.rosbag2 import Writer

    from videodepth_ros.bags.types import STORE
    from videodepth_ros.bags.writer import offered_qos

    latched: Qos = offered_qos('/tf_static')
    path = m.write_bag(tmp_path / 'plain')
    message = new_message('std_msgs/msg/String')
    with (
        Writer(tmp_path / 'in', version=9, storage_plugin=StoragePlugin.MCAP) as writer,
        AnyReader([path]) as reader,
    ):
        description = writer.add_connection(
            '/robot_description',
            message.__msgtype__,
            typestore=STORE,
            offered_qos_profiles=[latched],
        )
        writer.write(description, m.START_NS, STORE.serialize_cdr(message, message.__msgtype__))
        for one in reader.connections:
            new = writer.add_connection(one.topic, one.msgtype, typestore=STORE)
            for _, ns, data in reader.messages([one]):
                writer.write(new, ns, data)
    write(tmp_path / 'in', tmp_path / 'out', copied=('*',))
    with AnyReader([tmp_path / 'out']) as result:
        found = {c.topic: c.ext.offered_qos_profiles[0].durability for c in result.connections}
    assert found['/robot_description'] == QosDurability.TRANSIENT_LOCAL
    assert found['/camera/image_raw'] != QosDurability.TRANSIENT_LOCAL


def tf_messages():
    """Yield the frames of a robot as a ROS 1 recording has them, with slashes before the names."""
    for ns, parent, child, T in [
        *((ns, '/odom', '/base_link', m.odom_at(ns)) for ns in m.odometry_stamps()),
        *((ns, '/base_link', f'/{m.OPTICAL}', m.T_BASE_CAM) for ns in m.odometry_stamps()),
    ]:
        one = new_message('geometry_msgs/msg/TransformStamped')
        one.header = bag_makers.stamped('sensor_msgs/msg/Image', ns).header
        one.header.frame_id, one.child_frame_id = parent, child
        from videodepth_ros.messages.transforms import fill_transform

        fill_transform(one.transform, T)
        yield ns, one


@pytest.mark.parametrize('kind', ['rosbag1', 'sqlite3', 'compressed'])
def test_recordings_of_other_kinds_give_their_frames_and_topics_too(tmp_path, kind):
    def all_messages():
        for k, ns in enumerate(m.STAMPS.tolist()):
            picture = bag_makers.image_message(k)
            picture.header.frame_id = f'/{m.OPTICAL}' if kind == 'rosbag1' else m.OPTICAL
            yield m.IMAGE, ns, picture
        for ns, one in tf_messages():
            if kind != 'rosbag1':
                one.header.frame_id = one.header.frame_id.strip('/')
                one.child_frame_id = one.child_frame_id.strip('/')
            message = new_message('tf2_msgs/msg/TFMessage')
            message.transforms = [one]
            yield '/tf', ns, message

    ordered = sorted(all_messages(), key=lambda each: each[1])
    if kind == 'rosbag1':
        path = write_ros1(tmp_path / 'in.bag', ordered)
    elif kind == 'sqlite3':
        path = bag_makers.write_rosbag2(tmp_path / 'in', ordered, StoragePlugin.SQLITE3)
    else:
        path = bag_makers.write_rosbag2(
            tmp_path / 'in', ordered, mode=CompressionMode.MESSAGE, plugin=StoragePlugin.SQLITE3
        )
    frame_id = f'/{m.OPTICAL}' if kind == 'rosbag1' else m.OPTICAL
    assert write(path, tmp_path / 'out', copied=('*',), frame_id=frame_id) == ()
    listener = m.Listener(tmp_path / 'out')
    for ns, T in listener.poses():
        np.testing.assert_allclose(listener.lookup('map', m.OPTICAL, ns), T, atol=1e-6)
    assert listener.edges['odom'][0] == 'map'
    copies = messages(tmp_path / 'out', m.IMAGE)
    assert len(copies) == m.FRAMES
    for k, (_, message) in enumerate(copies):
        np.testing.assert_array_equal(decode_image(message), bag_makers.picture(k))


def write_ros1(path, ordered):
    """Write a ROS 1 recording, each header in ROS 1's shape."""
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(
        get_types_from_msg('geometry_msgs/TransformStamped[] transforms', 'tf2_msgs/msg/TFMessage')
    )

    def old_header(header):
        return store.types['std_msgs/msg/Header'](
            seq=0, stamp=header.stamp, frame_id=header.frame_id
        )

    converted = []
    for topic, ns, message in ordered:
        if topic == '/tf':
            types = store.types
            transforms = [
                types['geometry_msgs/msg/TransformStamped'](
                    old_header(one.header), one.child_frame_id, one.transform
                )
                for one in message.transforms
            ]
            message = types['tf2_msgs/msg/TFMessage'](transforms)
            raw = store.serialize_ros1(message, message.__msgtype__)
        else:
            raw = store.serialize_ros1(bag_makers.as_ros1(message), message.__msgtype__)
        converted.append((topic, ns, message.__msgtype__, raw))
    from rosbags.rosbag1 import Writer

    with Writer(path) as writer:
        connections = {}
        for topic, ns, kind, raw in converted:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], ns, raw)
    return path


def test_a_topic_that_cannot_be_copied_is_noted(tmp_path):
    messages_of_images = [
        (m.IMAGE, int(ns), bag_makers.image_message(k)) for k, ns in enumerate(m.STAMPS)
    ]
    unknown = ('/odd', m.START_NS, ('odd_msgs/msg/Odd', b'\x00\x01\x00\x00ab'))
    path = bag_makers.write_rosbag2(
        tmp_path / 'in', [*messages_of_images, unknown], StoragePlugin.SQLITE3
    )
    (note,) = write(path, tmp_path / 'out', copied=('*',))
    assert '/odd' in note
    assert len(messages(tmp_path / 'out', m.IMAGE)) == m.FRAMES


@pytest.mark.parametrize(
    ('topic', 'patterns', 'is_copied'),
    [
        ('/camera/image_raw', ('*',), True),
        ('camera/image_raw', ('/camera/image_raw',), True),
        ('/camera/image_raw', ('camera/*',), True),
        ('/camera/image_raw', ('/image_raw',), False),
        ('/camera/image_raw', (), False),
        ('/tf', ('*',), False),
        ('/tf_static', ('*',), False),
        ('/videodepth/path', ('*',), False),
    ],
)
def test_topics_match_patterns(topic, patterns, is_copied):
    assert is_topic_copied(topic, patterns) is is_copied
