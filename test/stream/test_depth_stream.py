# SPDX-License-Identifier: Apache-2.0
"""The public interface of Python."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import videodepth_ros
from videodepth_ros import DepthStream, Intrinsics, SessionSettings
from videodepth_ros.core.errors import ConfigError, InputError

SIZE = (128, 96)
CAMERA = Intrinsics.centred(*SIZE, 110.0)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE[::-1], 3)).astype(np.uint8)


@pytest.fixture(scope='module')
def stream():
    with DepthStream('nano', engine='torch', max_pixels=SIZE[0] * SIZE[1]) as opened:
        yield opened


def test_a_stream_returns_depth_and_keeps_its_state(stream):
    first = stream(image(0), 0, CAMERA)
    assert first.depth_m.shape == SIZE[::-1]
    assert (first.stamp_ns, first.scale_source.value) == (0, 'intrinsics')
    second = stream(image(0), 10**8, CAMERA)
    assert not np.array_equal(first.depth_m, second.depth_m, equal_nan=True), 'the state matters'
    stream.reset()
    third = stream(image(0), 2 * 10**8, CAMERA)
    assert stream.last.reset.value == 'requested'
    np.testing.assert_array_equal(third.depth_m, first.depth_m)


def test_a_stream_stamps_images_itself(stream):
    before = stream(image(1)).stamp_ns
    assert stream(image(2)).stamp_ns > before
    with pytest.raises(InputError, match='second image'):
        stream(image(3), stream.last.depth.stamp_ns)


def test_settings_replace_the_model_defaults():
    opened = DepthStream('nano', max_pixels=9000, settings=SessionSettings(output='network'))
    assert opened._session.settings == SessionSettings(output='network', max_pixels=9000)
    assert DepthStream('nano')._session.settings == SessionSettings(
        guided=True, steady=True, motion_stereo=True
    )
    with pytest.raises(ConfigError, match='nano, nano-1'):
        DepthStream('micro')


def test_every_public_name_is_importable():
    for name in videodepth_ros.__all__:
        assert getattr(videodepth_ros, name) is not None
    assert dir(videodepth_ros) == sorted(videodepth_ros.__all__)
    with pytest.raises(AttributeError, match='no attribute'):
        videodepth_ros.nothing  # noqa: B018


def test_the_package_imports_nothing_heavy():
    code = (
        'import sys, videodepth_ros; from videodepth_ros import DepthStream; '
        'print([n for n in ("torch", "rclpy", "onnxruntime", "transformers") if n in sys.modules])'
    )
    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == '[]'
