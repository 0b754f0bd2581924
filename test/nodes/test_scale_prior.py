# SPDX-License-Identifier: Apache-2.0
"""Metres from a prior beside the stream, as seen from the graph."""

from __future__ import annotations

import numpy as np
from videodepth.msg import Status

from videodepth_ros.core.errors import ModelError
from videodepth_ros.models.mono import MonoEstimate, PriorKind
from videodepth_ros.nodes import live_node


class Prior:
    """Knows all depth to be 7 m."""

    name, notice = 'depth-pro', 'not for sale'
    closed = False

    def estimate(self, frames):
        for _ in frames:
            yield MonoEstimate(np.full((8, 10), 7, np.float32), PriorKind.METRIC)

    def close(self):
        self.closed = True


def test_depth_has_the_metres_of_the_prior(make_rig, monkeypatch):
    prior = Prior()
    monkeypatch.setattr(live_node, 'open_scale_prior', lambda name: prior)
    rig = make_rig(scale__prior='depth-pro')
    rig.start()
    images = rig.connect()
    rig.send(images)
    anchor = rig.node._anchor
    rig.until(lambda: anchor._fits)
    rig.send(images)
    assert rig.node.status().scale_source == 'prior'
    rig.until(lambda: len(rig.received['depth/image']) == 2)
    depth = np.frombuffer(rig.received['depth/image'][-1].data, np.float32)
    np.testing.assert_allclose(np.nanmedian(depth), 7, rtol=1e-5)
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    rig.until(lambda: prior.closed)


def test_a_prior_that_is_not_here_refuses_to_be_configured(make_rig, monkeypatch):
    def absent(name):
        raise ModelError(f'the weights of {name} are not here')

    monkeypatch.setattr(live_node, 'open_scale_prior', absent)
    rig = make_rig(scale__prior='depth-pro')
    rig.node.trigger_configure()
    status = rig.node.status()
    assert (status.state, status.last_error) == (
        Status.FAILED,
        'the weights of depth-pro are not here',
    )
