# SPDX-License-Identifier: Apache-2.0
"""A listener finds map -> camera at every stamp, and no frame has a second parent."""

from __future__ import annotations

import numpy as np
import pytest

from test.support import refined_results as m
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.types import new_message
from videodepth_ros.messages.transforms import fill_pose, set_stamp
from videodepth_ros.results.bag import SourceRecording
from videodepth_ros.results.write import ResultOptions, write_results

pytestmark = pytest.mark.slow


def refine(path, tmp_path, frame_id=m.OPTICAL, **settings):
    """Write results for a recording; return the facts, and what a listener hears."""
    with open_bag(path) as bag:
        facts = write_results(
            m.refined(frame_id),
            m.trajectory(m.odd_world()),
            SourceRecording(bag, m.IMAGE),
            tmp_path / 'out',
            ResultOptions(**settings),
        )
    return facts, m.Listener(tmp_path / 'out')


def check_chain(listener, map_frame, children):
    """Every stamp: map -> camera is the pose that was written, through the frames named."""
    chain, frame = [m.OPTICAL], m.OPTICAL
    while frame != map_frame:
        frame = listener.edges[frame][0]
        chain.append(frame)
    assert chain[::-1] == [map_frame, *children, m.OPTICAL]
    poses = listener.poses()
    assert [ns for ns, _ in poses] == m.STAMPS.tolist()
    for ns, T_map_cam in poses:
        np.testing.assert_allclose(listener.lookup(map_frame, m.OPTICAL, ns), T_map_cam, atol=1e-6)
    truth = m.trajectory().T_map_cam  # the same motion, in whatever map
    written = np.stack([T for _, T in poses])
    np.testing.assert_allclose(
        np.linalg.inv(written[0]) @ written, np.linalg.inv(truth[0]) @ truth, atol=1e-6
    )


def dynamic(parent='odom', child='base_link', at=m.odom_at, stamps=None):
    return lambda bag: [
        bag.write_transform(ns, parent, child, at(ns)) for ns in stamps or m.odometry_stamps()
    ]


def odometry(parent='odom', child='base_link', topic='/wheel/odometry'):
    return lambda bag: [
        bag.write_odometry(topic, ns, parent, child, m.odom_at(ns), np.zeros(6))
        for ns in m.odometry_stamps()
    ]


def test_a_camera_alone_hangs_under_the_map(tmp_path):
    facts, listener = refine(m.write_bag(tmp_path / 'in'), tmp_path)
    check_chain(listener, 'map', [])
    assert facts.frame_chain == f'map -> {m.OPTICAL}'
    assert set(listener.edges) == {m.OPTICAL}


def test_a_robot_without_odometry_hangs_by_its_base(tmp_path):
    facts, listener = refine(m.write_bag(tmp_path / 'in', m.write_static), tmp_path)
    check_chain(listener, 'map', ['base_link', 'camera_link'])
    assert facts.gravity_source == 'frame base_link'
    for ns, T in listener.poses():  # the base drives on the plane
        base = listener.lookup('map', 'base_link', ns)
        assert abs(base[2, 3]) < 1e-6
        assert base[2, 2] == pytest.approx(1)
        assert T[2, 3] == pytest.approx(0.3)


def test_odometry_of_tf_stays_and_the_map_becomes_its_parent(tmp_path):
    facts, listener = refine(m.write_bag(tmp_path / 'in', m.write_static, dynamic()), tmp_path)
    check_chain(listener, 'map', ['odom', 'base_link', 'camera_link'])
    assert facts.gravity_source == 'frame odom'
    source = m.Listener(tmp_path / 'in')
    for ns in m.odometry_stamps():  # what the robot said is said again, unchanged
        np.testing.assert_array_equal(
            listener.lookup('odom', 'base_link', ns), source.lookup('odom', 'base_link', ns)
        )
    first = listener.lookup('map', 'odom', int(m.STAMPS[0]))  # the two begin together
    np.testing.assert_allclose(first, np.eye(4), atol=1e-3)


def test_odometry_that_is_no_transform_becomes_one(tmp_path):
    facts, listener = refine(m.write_bag(tmp_path / 'in', m.write_static, odometry()), tmp_path)
    check_chain(listener, 'map', ['odom', 'base_link', 'camera_link'])
    assert any('/wheel/odometry is written to /tf' in note for note in facts.notes)
    assert listener.times == sorted(listener.times)


def test_odometry_beside_its_transform_is_not_published_twice(tmp_path):
    path = m.write_bag(tmp_path / 'in', m.write_static, dynamic(), odometry())
    _, listener = refine(path, tmp_path)
    check_chain(listener, 'map', ['odom', 'base_link', 'camera_link'])
    assert len(listener.messages['/tf']) == len(m.odometry_stamps()) + m.FRAMES


def test_odometry_of_a_frame_that_does_not_carry_the_camera_is_left_alone(tmp_path):
    _, listener = refine(m.write_bag(tmp_path / 'in', odometry()), tmp_path)
    check_chain(listener, 'map', [])


@pytest.mark.parametrize('beyond', ['base_link', 'odom'])
def test_a_map_of_the_recordings_own_keeps_its_name_below_ours(tmp_path, beyond):
    parts = [dynamic('map', beyond, stamps=m.odometry_stamps(150_000_000, after_ns=200_000_000))]
    parts += [dynamic()] if beyond == 'odom' else []
    facts, listener = refine(m.write_bag(tmp_path / 'in', m.write_static, *parts), tmp_path)
    check_chain(
        listener,
        'videodepth_map',
        ['map', *(['odom'] if beyond == 'odom' else []), 'base_link', 'camera_link'],
    )
    assert any('has a frame map' in note for note in facts.notes)
    (path,) = listener.messages['/videodepth/path']
    assert path.header.frame_id == facts.map_frame == 'videodepth_map'


def test_transforms_that_end_before_the_images_are_held(tmp_path):
    stamps = [ns for ns in m.odometry_stamps() if m.STAMPS[2] < ns < m.STAMPS[5]]
    path = m.write_bag(tmp_path / 'in', m.write_static, dynamic(stamps=stamps))
    check_chain(refine(path, tmp_path)[1], 'map', ['odom', 'base_link', 'camera_link'])


def transform(parent, child):
    T = new_message('geometry_msgs/msg/TransformStamped')
    set_stamp(T.header.stamp, m.START_NS)
    T.header.frame_id, T.child_frame_id = parent, child
    T.transform.rotation.w = 1.0
    return T


@pytest.mark.parametrize('topic', ['/tf', '/tf_static'])
@pytest.mark.parametrize(
    'edges',
    [
        [('base_link', 'base_link')],  # to itself
        [('gps', 'camera_link')],  # a second parent
        [('/gps', '/camera_link')],
        [('', 'camera_link')],
        [('tool', 'arm'), ('arm', 'tool')],  # a cycle
    ],
)
def test_transforms_that_no_listener_could_use_are_not_copied(tmp_path, edges, topic):
    def stray(bag):
        message = new_message('tf2_msgs/msg/TFMessage')
        message.transforms = [transform(*edge) for edge in [*edges, ('base_link', 'wheel')]]
        bag.write(topic, m.START_NS, message)

    source = m.write_bag(tmp_path / 'in', m.write_static, m.write_static, dynamic(), stray)
    _, listener = refine(source, tmp_path)
    check_chain(listener, 'map', ['odom', 'base_link', 'camera_link'])
    assert set(listener.edges) == {'odom', 'base_link', 'camera_link', m.OPTICAL, 'wheel'}


def test_static_transforms_that_come_late_are_there_from_the_start(tmp_path):
    def late(bag):
        T = new_message('geometry_msgs/msg/TransformStamped')
        T.header.frame_id, T.child_frame_id = 'base_link', m.OPTICAL
        fill_pose_of(T.transform, m.T_BASE_CAM)
        message = new_message('tf2_msgs/msg/TFMessage')
        message.transforms = [T]
        bag.write('/tf_static', 0, message, recorded_ns=int(m.STAMPS[6]))

    def fill_pose_of(transform, matrix):
        pose = new_message('geometry_msgs/msg/Pose')
        fill_pose(pose, matrix)
        transform.translation.x, transform.translation.y, transform.translation.z = matrix[:3, 3]
        transform.rotation = pose.orientation

    _, listener = refine(m.write_bag(tmp_path / 'in', late), tmp_path)
    check_chain(listener, 'map', ['base_link'])
    assert min(listener.times) == m.STAMPS[0]  # and not at stamp 0, in 1970


def test_a_frame_with_two_parents_in_the_recording_is_noted(tmp_path):
    path = m.write_bag(
        tmp_path / 'in',
        m.write_static,
        dynamic(),
        dynamic('other', 'base_link', stamps=m.STAMPS[:2].tolist()),
    )
    with open_bag(path) as bag:
        facts = write_results(
            m.refined(),
            m.trajectory(),
            SourceRecording(bag, m.IMAGE),
            tmp_path / 'out',
            ResultOptions(),
        )
    assert any('base_link has several parents' in note for note in facts.notes)
    assert facts.frame_chain.startswith('map -> odom -> base_link')


def test_the_map_is_attached_below_a_cycle_of_frames(tmp_path):
    path = m.write_bag(tmp_path / 'in', m.write_static, dynamic('camera_link', 'base_link'))
    with open_bag(path) as bag:
        facts = write_results(
            m.refined(),
            m.trajectory(),
            SourceRecording(bag, m.IMAGE),
            tmp_path / 'out',
            ResultOptions(),
        )
    assert any('form a cycle' in note for note in facts.notes)
    assert facts.frame_chain.startswith('map -> camera_link')


def test_images_that_name_no_frame_get_depth_but_no_transform(tmp_path):
    facts, listener = refine(m.write_bag(tmp_path / 'in', frame_id=''), tmp_path, frame_id='')
    assert '/tf' not in listener.messages
    assert len(listener.messages['/videodepth/depth/image']) == m.FRAMES
    assert any('have no frame_id' in note for note in facts.notes)


def test_stamps_of_another_clock_than_the_recorders(tmp_path):
    """A simulation's stamps count from zero; the recorder ran by the wall."""
    wall_ns = 1_800_000_000_000_000_000

    def at_wall(bag):
        for ns in m.odometry_stamps():
            T = m.odom_at(ns)
            bag.write_transform(
                ns, 'odom', 'base_link', T, recorded_ns=wall_ns + 2 * (ns - m.START_NS)
            )

    from videodepth_ros.bags.writer import BagWriter

    with BagWriter(tmp_path / 'in', lambda ns: wall_ns + 2 * (ns - m.START_NS)) as bag:
        m.write_images(bag)
        m.write_static(bag)
        at_wall(bag)
    _, listener = refine(tmp_path / 'in', tmp_path)
    check_chain(listener, 'map', ['odom', 'base_link', 'camera_link'])
    assert min(listener.times) > wall_ns - 10**9
    assert max(listener.times) < wall_ns + 10**10
    assert listener.times == sorted(listener.times)
    stamp = listener.messages['/videodepth/depth/image'][0].header.stamp
    again = new_message('builtin_interfaces/msg/Time')
    set_stamp(again, m.START_NS)
    assert (stamp.sec, stamp.nanosec) == (again.sec, again.nanosec)
