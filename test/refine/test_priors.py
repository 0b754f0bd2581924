# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from test.support.instant_engine import InstantEngine
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.mono import PriorKind
from videodepth_ros.refine.priors import NETWORKS, PRIORS, STREAMING, open_prior
from videodepth_ros.stream import streaming_prior


@pytest.fixture
def engines(monkeypatch):
    opened = []

    def open_engine(name, engine, width, height):
        opened.append((name, engine, InstantEngine(width, height)))
        return opened[-1][2]

    monkeypatch.setattr(streaming_prior, 'open_engine', open_engine)
    return opened


def frames(count, camera=None):
    return [
        Frame(k * 100_000_000, 'camera', np.zeros((192, 256, 3), np.uint8), camera)
        for k in range(count)
    ]


def test_names():
    assert len(set(PRIORS)) == len(PRIORS)
    assert {'nano', 'flashdepth-s', 'bag', 'depth-pro', 'depth-anything-v2-small'} <= set(PRIORS)
    assert set(PRIORS) == {*STREAMING, *NETWORKS, 'bag'}
    with pytest.raises(ConfigError, match=r"'lidar'.*nano.*bag.*depth-pro"):
        open_prior('lidar')
    with pytest.raises(ConfigError, match='name the recording'):
        open_prior('bag')


def test_a_streaming_model_remembers_the_frames_before(engines):
    prior = open_prior('nano', engine='torch')
    found = list(prior.estimate(frames(3)))
    ((name, engine, instant),) = engines
    assert (prior.name, name, engine) == ('nano', 'nano', 'torch')
    assert instant.seen == [0, 1, 2]
    assert all(each.kind is PriorKind.METRIC for each in found)
    list(prior.estimate(frames(2)))
    assert instant.seen == [0, 1, 2, 0, 1], 'another call is another stream'
    prior.close()
    assert instant.closed


def test_metres_are_those_of_the_intrinsics(engines):
    camera = Intrinsics(256, 192, 256.0, 256.0, 127.5, 95.5)
    prior = open_prior('nano')
    (known,) = prior.estimate(frames(1, camera))
    assert known.values.shape == (engines[0][2].spec.height, engines[0][2].spec.width)
    assert known.values.max() == pytest.approx(5)
    assert known.scale_source is ScaleSource.INTRINSICS
    assert known.focal_px == pytest.approx(known.values.shape[1])
    (unknown,) = prior.estimate(frames(1))
    assert (unknown.scale_source, unknown.focal_px) == (ScaleSource.MODEL, None)


def test_missing_weights_are_an_error_before_the_first_frame(tmp_path, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path))
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path))
    for name in ('flashdepth-l', 'depth-pro', 'depth-anything-v2-base'):
        with pytest.raises(ModelError, match=name):
            open_prior(name)


def test_depth_of_the_recording(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        for k in range(3):
            writer.write_depth(
                '/depth/image', k * 100_000_000, 'camera', np.full((6, 8), 2 + k, np.float32)
            )
    prior = open_prior('bag', bag=tmp_path / 'bag')
    assert [each.values.max() for each in prior.estimate(frames(3))] == [2, 3, 4]
    prior.close()
