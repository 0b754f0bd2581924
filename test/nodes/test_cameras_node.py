# SPDX-License-Identifier: Apache-2.0
"""Several cameras in one process, each with a stream of its own."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from sensor_msgs.msg import Image

from test.support.rig import InstantNode, image_message
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.nodes import cameras_node, process
from videodepth_ros.nodes.live_parameters import LiveParameters


@pytest.fixture
def cameras(make_rig, monkeypatch):
    """Return nodes for front and rear, active, beside a rig whose own node stays idle."""
    rig = make_rig()
    arguments = [['--ros-args', '-r', f'__ns:=/{name}'] for name in ('front', 'rear')]
    monkeypatch.setattr(cameras_node, 'read_cameras', lambda: arguments)
    nodes = cameras_node.create_live_nodes(InstantNode)
    for node in nodes:
        rig.executor.add_node(node)
        node.trigger_configure()
        node.trigger_activate()
    yield rig, nodes
    for node in nodes:
        assert node.close()
        rig.executor.remove_node(node)
        node.destroy_node()


def test_each_camera_has_its_own_stream(cameras):
    rig, (front, rear) = cameras
    sources = {name: rig.camera(f'/{name}/image') for name in ('front', 'rear')}
    depths = {name: rig.consume(f'/{name}/depth/image', Image) for name in sources}
    for images in sources.values():
        rig.until(images.get_subscription_count)
    for k in range(3):
        sources['front'].publish(image_message(k))
        rig.until(lambda k=k: len(depths['front']) == k + 1)
    sources['rear'].publish(image_message(7))
    rig.until(lambda: depths['rear'])
    assert (len(depths['front']), len(depths['rear'])) == (3, 1)
    assert front.engines[0].seen == [0, 1, 2]  # a state of its own
    assert rear.engines[0].seen == [0]
    assert depths['rear'][0].header == image_message(7).header


@pytest.mark.parametrize('given', ['[]', "['front', 'front']", "['front/left']", "['9']"])
def test_names_that_cannot_be_are_refused(given):
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            'import sys; from videodepth_ros.nodes.cameras_node import main; sys.exit(main())',
            '--ros-args',
            '-p',
            f'streams:={given}',
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert 'streams' in done.stdout + done.stderr
    assert 'Traceback' not in done.stderr


def test_without_streams_an_error_names_the_parameter():
    with pytest.raises(ConfigError, match='streams is'):
        cameras_node.read_cameras()


NAMES = """
import sys, rclpy
from videodepth_ros.nodes.cameras_node import create_live_nodes
rclpy.init(args=sys.argv)
for node in create_live_nodes():
    print(node.get_fully_qualified_name(), *map(node.resolve_topic_name, ['image']))
    node.destroy_node()
"""


@pytest.mark.parametrize(
    ('rules', 'front', 'rear'),
    [
        ([], '/front/videodepth /front/image', '/rear/videodepth /rear/image'),
        (
            ['__ns:=/robot1', '/front/image:=/front/image_raw'],
            '/robot1/front/videodepth /front/image_raw',
            '/robot1/rear/videodepth /robot1/rear/image',
        ),
        (
            ['__ns:=/robot1', '/robot1/rear/image:=/rear/raw', 'front/image:=cam/raw'],
            '/robot1/front/videodepth /robot1/cam/raw',
            '/robot1/rear/videodepth /rear/raw',
        ),
        (
            ['__ns:=/fleet/robot2', '/rear/image:=/rear/image_raw'],
            '/fleet/robot2/front/videodepth /fleet/robot2/front/image',
            '/fleet/robot2/rear/videodepth /rear/image_raw',
        ),
    ],
)
def test_cameras_stay_apart_in_any_namespace(rules, front, rear):
    arguments = [word for rule in rules for word in ('-r', rule)]
    done = subprocess.run(
        [sys.executable, '-c', NAMES, *('--ros-args', '-p', 'streams:=[front, rear]', *arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == [front, rear], done.stderr


@pytest.mark.parametrize(
    ('built', 'done'),
    [([True, True], True), ([True, None], False), ([False, True], True), ([None], False)],
)
def test_to_build_only_ends_when_the_engines_of_all_cameras_are_decided(built, done):
    nodes = [SimpleNamespace(parameters=LiveParameters(build_only=True), built=it) for it in built]
    assert process._is_build_done(nodes) is done
    assert not process._is_build_done(
        [*nodes, SimpleNamespace(parameters=LiveParameters(), built=True)]
    )
