# SPDX-License-Identifier: Apache-2.0
"""Layouts of Foxglove, and refined bags in its own reader."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from test.support.results_bag import CAMERA, DEPTH_M, stamp_of, write_results
from videodepth_ros.results.bag import MAP, ODOMETRY, PATH
from videodepth_ros.results.depth_topics import CAMERA_INFO, CONFIDENCE, DEPTH, POINTS

REFINED = {f'/{name}' for name in (PATH, ODOMETRY, MAP, DEPTH, CAMERA_INFO, CONFIDENCE, POINTS)}
CAMERA_TOPICS = {'/camera/image_raw', '/camera/camera_info'}  # as `videodepth sample` names them


def layout_of(root, name):
    return json.loads((root / f'config/foxglove/{name}.json').read_text())


def panels(node) -> set[str]:
    """Return the panels of a tree of panes."""
    if isinstance(node, str):
        return {node}
    assert node['direction'] in ('row', 'column')
    return panels(node['first']) | panels(node['second'])


def topics(layout) -> set[str]:
    """Return all topics that a layout names."""
    found = set()
    for config in layout['configById'].values():
        found |= set(config.get('topics', {}))
        mode = config.get('imageMode', {})
        found |= {mode[key] for key in ('imageTopic', 'calibrationTopic') if key in mode}
        found |= {path['value'].split('.')[0] for path in config.get('paths', [])}
        found |= {config['topicToRender']} if 'topicToRender' in config else set()
    return found


@pytest.mark.parametrize('name', ['live', 'refined'])
def test_every_panel_has_a_configuration(root, name):
    layout = layout_of(root, name)
    assert panels(layout['layout']) == set(layout['configById'])
    assert all(re.fullmatch(r'\w+!\w+', panel) for panel in layout['configById'])


def test_the_refined_layout_shows_topics_of_a_refined_bag(root):
    shown = topics(layout_of(root, 'refined'))
    assert shown <= REFINED | CAMERA_TOPICS
    assert {f'/{DEPTH}', f'/{PATH}'} <= shown


def test_the_live_layout_shows_topics_of_the_live_node(root):
    pytest.importorskip('rclpy', reason='the topics of the node need ROS 2')
    from videodepth.msg import Status

    from videodepth_ros.nodes.depth_publishers import TOPICS

    layout = layout_of(root, 'live')
    outputs = {f'/{topic}' for _, topic in TOPICS.values()} | {'/obstacles', '/scan'}
    status = '/videodepth/status'
    assert topics(layout) <= outputs | {status, '/diagnostics'}
    fields = {
        path['value'].removeprefix(f'{status}.')
        for config in layout['configById'].values()
        for path in config.get('paths', [])
    }
    assert fields <= set(Status.get_fields_and_field_types())


def test_a_refined_bag_opens_in_the_reader_of_foxglove(tmp_path):
    reader = pytest.importorskip('mcap.reader', reason='mcap-ros2-support is not installed')
    decoder = pytest.importorskip('mcap_ros2.decoder', reason='mcap-ros2-support is not installed')
    file = next(write_results(tmp_path / 'out', 3).glob('*.mcap'))
    found = {}
    with file.open('rb') as stream:
        mcap = reader.make_reader(stream, decoder_factories=[decoder.DecoderFactory()])
        for _, channel, _, message in mcap.iter_decoded_messages():
            found.setdefault(channel.topic.strip('/'), []).append(message)
    depth, info = found[DEPTH][1], found[CAMERA_INFO][1]
    assert (depth.encoding, depth.header.frame_id) == ('32FC1', 'optical')
    assert depth.header.stamp.sec * 10**9 + depth.header.stamp.nanosec == stamp_of(1)
    pixels = np.frombuffer(bytes(depth.data), np.float32)
    np.testing.assert_array_equal(pixels, np.full(24 * 32, DEPTH_M))
    assert info.k[0] == CAMERA.fx
    assert len(found[PATH][0].poses) == 3
    assert {'tf', 'tf_static'} <= set(found)
