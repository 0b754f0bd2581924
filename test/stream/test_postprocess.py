# SPDX-License-Identifier: Apache-2.0
"""Depth that an engine finishes where it computes is the depth that the host would have made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from test.support.random_network import random_model
from videodepth_ros.core.errors import InputError
from videodepth_ros.engines.graph import Layout
from videodepth_ros.engines.torch_cuda_engine import TorchCudaEngine
from videodepth_ros.engines.torch_engine import TorchEngine
from videodepth_ros.engines.torch_plan import TorchPlan
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.cloud import POINT, reference_cloud
from videodepth_ros.models.catalogue import card
from videodepth_ros.models.nano import NANO
from videodepth_ros.stream.session import DepthSession, SessionSettings

CAMERA = Intrinsics(200, 150, 170.0, 172.0, 101.0, 70.0)
CARD = card('nano')


class Watched(TorchCudaEngine):
    """Runs on the CPU here and notes what was fetched."""

    def run(self, image, state, wanted, view=None):
        self.fetched = wanted
        return super().run(image, state, wanted, view)


@pytest.fixture(scope='module')
def network():
    """Nano with random weights: rough answers, whatever weights are bundled."""
    return random_model(NANO)


def on_device(network, settings, anchor=None) -> tuple[DepthSession, list[Watched]]:
    engines: list[Watched] = []

    def open_engine(width, height):
        plan = TorchPlan(
            network, 'nano', Layout(width, height, width, height), precision='fp32', device='cpu'
        )
        engines.append(Watched(plan))
        return engines[-1]

    return DepthSession(CARD, open_engine, settings, anchor), engines


def on_host(network, settings) -> DepthSession:
    return DepthSession(
        CARD, lambda width, height: TorchEngine(network, 'nano', width, height, 1), settings
    )


def frames(count: int):
    coarse = np.random.default_rng(4).integers(0, 256, (6, 8, 3), np.uint8)
    image = np.kron(coarse, np.ones((25, 25, 1), np.uint8))
    for k in range(count):
        yield Frame(
            k * 10**8, 'camera', np.ascontiguousarray(np.roll(image, 3 * k, axis=1)), CAMERA
        )


def settings(**changes) -> SessionSettings:
    return SessionSettings(max_pixels=160 * 128, output='network', edge_ratio=1.2, **changes)


def test_depth_confidence_and_cloud_are_those_of_the_host(network):
    near = {'scale_factor': 0.01}  # nearer than any sky
    seen_m = on_host(network, settings(**near)).step(next(frames(1))).depth.depth_m
    cloud_range_m, range_m = np.nanpercentile(seen_m, (50, 80)).tolist()
    wanted = settings(max_range_m=range_m, **near)
    (device, engines), host = on_device(network, wanted), on_host(network, wanted)
    for frame in frames(3):
        found = device.step(frame, cloud_range_m=cloud_range_m)
        expected = host.step(frame)
        for name in ('depth_m', 'confidence'):
            ours, theirs = getattr(found.depth, name), getattr(expected.depth, name)
            same = np.isclose(ours, theirs, rtol=1e-3, equal_nan=True)
            assert same.mean() > 0.995  # a jump at the very ratio may fall to either side
        for field in ('stamp_ns', 'frame_id', 'camera', 'scale_source'):
            assert getattr(found.depth, field) == getattr(expected.depth, field)
        assert np.isnan(found.depth.depth_m).any()
        assert np.isposinf(found.depth.depth_m).any()
        points = reference_cloud(
            found.depth.depth_m, frame.image, found.depth.camera, 1, cloud_range_m
        )
        cloud = found.cloud.view(POINT)[..., 0]
        for axis in 'xyz':
            np.testing.assert_allclose(cloud[axis], points[axis], rtol=1e-4, atol=1e-5)
    assert set(engines[0].fetched) == {'depth', 'total', 'inverse_depth', 'cloud'}


def test_only_what_is_wanted_is_fetched(network):
    device, engines = on_device(network, settings())
    result = device.step(next(frames(1)), with_confidence=False)
    assert set(engines[0].fetched) == {'depth', 'inverse_depth', 'total'}
    assert result.depth.confidence is None
    assert result.cloud is None


def test_depth_holds_when_the_stream_goes_on(network):
    device, _ = on_device(network, settings())
    first, second, _ = frames(3)
    depth = device.step(first).depth
    kept = depth.depth_m.copy(), depth.confidence.copy()
    device.step(second)
    np.testing.assert_array_equal(depth.depth_m, kept[0])
    np.testing.assert_array_equal(depth.confidence, kept[1])


@pytest.mark.parametrize('change', [{'steady': True}, {'output': 'camera'}])
def test_the_host_finishes_what_hangs_on_the_answer_or_has_another_size(network, change):
    device, engines = on_device(
        network, SessionSettings(max_pixels=160 * 128, **{'output': 'network', **change})
    )
    result = device.step(next(frames(1)), cloud_range_m=3.0)
    assert set(engines[0].fetched) == {'inverse_depth', 'total'}
    assert result.cloud is None
    assert result.depth.confidence is not None


def test_without_intrinsics_there_is_no_cloud(network):
    device, engines = on_device(network, settings())
    frame = next(frames(1))
    result = device.step(Frame(0, 'camera', frame.image), cloud_range_m=3.0)
    assert 'cloud' not in engines[0].fetched
    assert (result.cloud, result.depth.camera) == (None, None)


def test_a_lost_state_is_refused_and_the_next_frame_starts_afresh(network):
    device, engines = on_device(network, settings())
    first, second, third = frames(3)
    device.step(first)
    engines[0]._plan._batch.states.fill_(math.nan)
    with pytest.raises(InputError, match='returned NaN'):
        device.step(second)
    result = device.step(third)
    assert result.reset.value == 'not_finite'
    assert np.isfinite(result.depth.depth_m).any()


class Told:
    """An anchor that knows the metres, and notes what it is offered."""

    def __init__(self) -> None:
        self.offered: list[np.ndarray] = []

    source = ScaleSource.PRIOR

    def needs(self, camera_frame: str) -> bool:
        return True

    def metres(self, stamp_ns: int) -> float:
        return 7.0

    def offer(self, frame: Frame, inverse_depth: np.ndarray) -> None:
        self.offered.append(inverse_depth.copy())

    def restart(self) -> None:
        pass


def test_an_anchor_is_shown_the_answer_and_tells_the_metres(network):
    anchor = Told()
    device, _ = on_device(network, settings(steady=False), anchor)
    depth = device.step(next(frames(1))).depth
    known = np.isfinite(depth.depth_m)
    assert known.mean() > 0.5
    np.testing.assert_allclose(depth.depth_m[known], 7 / anchor.offered[0][known], rtol=1e-5)
    assert depth.scale_source.value == 'prior'
