# SPDX-License-Identifier: Apache-2.0
"""The tree of frames of a recording, and what is looked up in it."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.bags.frame_tree import FrameTree, read_frame_tree, read_odometry
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.recording_clock import recording_clock
from videodepth_ros.bags.types import new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import BagError
from videodepth_ros.geometry.rotation import so3_exp

NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000


def transform(seed):
    rng = np.random.default_rng(seed)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = so3_exp(rng.normal(size=3)), rng.normal(size=3)
    return T


def read(path, *transforms):
    """Write (stamp, parent, child, T, static) and read the tree."""
    with BagWriter(path) as bag:
        for ns, parent, child, T, static in transforms:
            bag.write_transform(ns, parent, child, T, static=static)
    with open_bag(path) as bag:
        return read_frame_tree(bag)


def robot(path):
    return read(
        path,
        *((NS + k * STEP_NS, 'odom', 'base', transform(k), False) for k in range(4)),
        (NS, 'base', 'mast', transform(10), True),
        (NS, 'mast', 'camera', transform(11), True),
        (NS, 'base', 'imu', transform(12), True),
        (NS, 'elsewhere', 'thing', transform(13), True),
    )


def test_lookups_along_and_across_the_tree(tmp_path):
    tree, at = robot(tmp_path / 'bag'), np.array([NS, NS + 2 * STEP_NS])
    assert tree.chain('camera') == ['camera', 'mast', 'base', 'odom']
    assert tree.root('camera') == tree.root('odom') == 'odom'
    assert 'odom' in tree
    assert 'unknown' not in tree
    T_base_cam = transform(10) @ transform(11)
    np.testing.assert_allclose(
        tree.T_root_frame('camera', at),
        [transform(0) @ T_base_cam, transform(2) @ T_base_cam],
        atol=1e-9,
    )
    np.testing.assert_allclose(
        tree.lookup('camera', 'imu', at)[1], np.linalg.inv(T_base_cam) @ transform(12), atol=1e-9
    )
    np.testing.assert_array_equal(tree.lookup('unknown', 'unknown', at), [np.eye(4)] * 2)
    with pytest.raises(BagError, match="'camera' and 'thing' are not connected"):
        tree.lookup('camera', 'thing', at)


def test_between_and_outside_of_what_was_recorded(tmp_path):
    tree = robot(tmp_path / 'bag')
    at = np.array([NS - 5, NS + STEP_NS // 2, NS + 10 * STEP_NS])
    edge = tree.transforms['base']
    assert edge.covers(at).tolist() == [False, True, False]
    assert tree.transforms['mast'].covers(at).all()
    found = edge.at(at)
    np.testing.assert_allclose(found[[0, 2]], [transform(0), transform(3)], atol=1e-12)
    np.testing.assert_allclose(found[1, :3, 3], (transform(0) + transform(1))[:3, 3] / 2)


def test_disorder_and_repetition(tmp_path):
    order = [2, 0, 3, 1, 1, 0]
    tree = read(
        tmp_path / 'bag',
        *(
            (NS + k * STEP_NS, 'odom', 'base', transform(k + 10 * n), False)
            for n, k in enumerate(order)
        ),
    )
    assert tree.transforms['base'].stamp_ns.tolist() == [NS + k * STEP_NS for k in range(4)]
    np.testing.assert_allclose(
        tree.transforms['base'].T_parent_child[1], transform(1 + 40), atol=1e-12
    )


def test_the_parent_with_most_transforms_counts_and_the_other_is_noted(tmp_path):
    tree = read(
        tmp_path / 'bag',
        (NS, 'wrong', 'base', transform(0), False),
        *((NS + k, 'odom', 'base', transform(k), False) for k in range(3)),
    )
    assert tree.root('base') == 'odom'
    (note,) = tree.notes
    assert 'base has several parents in the recording: odom is used, wrong is not' in note


def test_empty_transforms_are_left_out(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        one = new_message('geometry_msgs/msg/TransformStamped')
        one.header.frame_id, one.child_frame_id = 'a', 'b'
        one.transform.rotation.w = 0.0
        message = new_message('tf2_msgs/msg/TFMessage')
        message.transforms = [one]
        bag.write('/tf', NS, message)
    with open_bag(tmp_path / 'bag') as bag:
        tree = read_frame_tree(bag)
    assert tree.transforms == {}
    assert tree.notes == ('the transforms of frame b have no valid rotation',)


def test_a_recording_without_frames_is_an_empty_tree(tmp_path):
    with BagWriter(tmp_path / 'empty') as bag:
        bag.write_pose('pose', NS, 'map', np.eye(4))
    with open_bag(tmp_path / 'empty') as bag:
        assert read_frame_tree(bag) == FrameTree({})


@pytest.mark.parametrize(
    ('parent', 'child'), [('base', 'base'), ('/base', 'base'), ('', 'thing'), ('thing', '')]
)
def test_a_transform_without_two_frames_is_ignored_as_in_tf2(parent, child, tmp_path):
    tree = read(
        tmp_path / 'bag',
        (NS, parent, child, transform(1), False),
        (NS + 1, parent, child, transform(2), False),
        (NS, 'odom', 'base', transform(0), False),
    )
    assert tree.chain('base') == ['base', 'odom']
    assert 'thing' not in tree
    (note,) = tree.notes
    assert note.startswith(f'2 transforms from {parent.strip("/")!r} to {child!r} are ignored')


@pytest.mark.parametrize('cycle', [('a', 'b'), ('a', 'b', 'c'), ('base', 'camera')])
@pytest.mark.parametrize('static', [True, False])
def test_the_transforms_of_a_cycle_are_left_out(cycle, static, tmp_path):
    tree = read(
        tmp_path / 'bag',
        *(
            (NS, parent, child, transform(n), static)
            for n, (parent, child) in enumerate(zip(cycle, (*cycle[1:], cycle[0]), strict=True))
        ),
        (NS, 'camera', 'optical', transform(5), True),
        (NS, 'b', 'hand', transform(6), True),
    )
    assert tree.chain('optical') == ['optical', 'camera']
    assert tree.chain(cycle[0]) == [cycle[0]]
    (note,) = tree.notes
    assert 'form a cycle' in note
    assert all(name in note for name in cycle)


def test_a_cycle_elsewhere_does_not_matter(tmp_path):
    tree = read(
        tmp_path / 'bag',
        (NS, 'odom', 'base', transform(0), False),
        (NS, 'base', 'camera', transform(1), True),
        (NS, 'a', 'b', transform(2), True),
        (NS, 'b', 'a', transform(3), True),
    )
    assert tree.chain('camera') == ['camera', 'base', 'odom']


def test_odometry_that_names_both_frames(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for k in range(3):
            ns = NS + k * STEP_NS
            bag.write_odometry('good', ns, 'odom', 'base', transform(k), np.zeros(6))
            bag.write_odometry('nameless', ns, 'odom', '', transform(k), np.zeros(6))
            bag.write_odometry('fickle', ns, 'odom', f'base{k}', transform(k), np.zeros(6))
            bag.write_odometry('ours', ns, 'map', 'camera', transform(k), np.zeros(6))
    with open_bag(tmp_path / 'bag') as bag:
        (track,) = read_odometry(bag, without=['/ours'])
    assert (track.topic, track.series.parent, track.child) == ('/good', 'odom', 'base')
    np.testing.assert_allclose(track.series.T_parent_child[2], transform(2), atol=1e-12)


def test_a_recorder_with_the_clock_of_the_stamps_changes_nothing(tmp_path):
    with BagWriter(tmp_path / 'bag', lambda ns: ns + 50_000_000) as bag:
        bag.write_pose('pose', NS, 'map', np.eye(4))
        bag.write_pose('unset', 0, 'map', np.eye(4))
    with open_bag(tmp_path / 'bag') as bag:
        for topic in ('/pose', '/unset', '/none'):
            assert recording_clock(bag, topic)(NS + 7) == NS + 7


def test_a_recorder_with_another_clock_is_followed(tmp_path):
    with BagWriter(tmp_path / 'bag', lambda ns: NS + 2 * ns) as bag:
        for k in range(5):
            bag.write_pose('pose', k * STEP_NS + 1, 'map', np.eye(4))
    with open_bag(tmp_path / 'bag') as bag:
        recorded_at = recording_clock(bag, '/pose')
    assert [recorded_at(k * STEP_NS + 1) for k in range(5)] == [
        NS + 2 * (k * STEP_NS + 1) for k in range(5)
    ]
    assert recorded_at(10**10) == 10**10 + NS + 4 * STEP_NS + 1
