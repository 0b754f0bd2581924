# SPDX-License-Identifier: Apache-2.0
"""The live node with a network of the user, and with one as source of the metres."""

from __future__ import annotations

import numpy as np
import pytest
from videodepth.msg import Status

from test.support.rig import InstantNode
from test.support.small_network import MULTIPLE, expected_values, export_network, write_card
from videodepth_ros.nodes.live_node import LiveNode

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('network')
    export_network(folder / 'net.onnx', dynamic=True)
    return folder


@pytest.fixture
def own_engines(monkeypatch):
    """Have the rig's node open the engines of its parameters."""
    monkeypatch.setattr(InstantNode, 'model_card', LiveNode.model_card)
    monkeypatch.setattr(InstantNode, 'open_engine', LiveNode.open_engine)


def test_depth_is_that_of_the_network(make_rig, folder, own_engines):
    rig = make_rig(
        model=write_card(folder, multiple=MULTIPLE),
        engine='onnx',
        output='network',
        edge_ratio=1.0,
        scale__steady='never',
    )
    rig.start()
    images = rig.connect()
    sent = rig.send(images)
    rig.until(lambda: rig.received['depth/image'])
    depth = rig.received['depth/image'][0]
    assert depth.header == sent.header
    assert depth.width % MULTIPLE == 0
    values = np.frombuffer(depth.data, np.float32)
    pixels = np.frombuffer(sent.data, np.uint8).reshape(-1, 1, 3)
    truth = expected_values(pixels)
    assert truth.min() <= values.min() <= np.median(values) <= values.max() <= truth.max()
    assert rig.node.status().scale_source == 'model'


def test_a_wrong_card_is_refused_when_configured(make_rig, folder, own_engines):
    rig = make_rig(model=write_card(folder, multiple=MULTIPLE, colours='yuv'))
    rig.node.trigger_configure()
    status = rig.node.status()
    assert status.state == Status.FAILED
    assert "colours is 'yuv'; give rgb or bgr" in status.last_error


def test_a_network_sets_the_metres_of_another(make_rig, folder):
    rig = make_rig(scale__prior=write_card(folder, multiple=MULTIPLE))
    rig.start()
    images = rig.connect()
    rig.send(images)
    anchor = rig.node._anchor
    rig.until(lambda: anchor._fits)
    rig.send(images)
    assert rig.node.status().scale_source == 'prior'


def test_a_relative_network_cannot_set_the_metres(make_rig, folder):
    rig = make_rig(scale__prior=write_card(folder, multiple=MULTIPLE, output='relative depth'))
    rig.node.trigger_configure()
    assert 'its output has no metres' in rig.node.status().last_error
