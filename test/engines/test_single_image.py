# SPDX-License-Identifier: Apache-2.0
"""Engines of single-image networks: the same depth in every runtime, in the unit of the card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from test.support.small_network import (
    HEIGHT,
    MULTIPLE,
    OFFSET,
    WIDTH,
    expected_values,
    export_network,
    write_card,
)
from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.engines.open import open_engine
from videodepth_ros.engines.options import SingleImageOptions
from videodepth_ros.engines.single_image import to_inverse_depth
from videodepth_ros.models.catalogue import card

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def networks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('networks')
    export_network(folder / 'net.onnx')
    export_network(folder / 'open.onnx', dynamic=True)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def opened(engine: str, name: str, size: tuple[int, int] = (WIDTH, HEIGHT)):
    if engine == 'openvino':
        pytest.importorskip('videodepth_ros.engines.openvino_runtime', exc_type=ImportError)
    return open_engine(name, engine, *size, threads=1, precision='fp32')


@pytest.mark.parametrize('engine', ['onnx', 'openvino'])
def test_inverse_depth_is_that_of_the_network(networks, engine):
    name = write_card(networks, mean=[0.1] * 3, std=[0.5] * 3)
    step = opened(engine, name)
    image = picture(0)
    depth, state = step.step(image, step.zero_state())
    expected = 100 / np.maximum(expected_values(image, 0.1, 0.5), 1e-9)
    hit = expected_values(image, 0.1, 0.5) > 0.01
    np.testing.assert_allclose(depth[hit], expected[hit], rtol=1e-4)
    assert (step.spec.engine, step.spec.model, step.spec.precision) == (engine, name, 'fp32')
    assert step.spec.takes_bytes
    np.testing.assert_array_equal(state, step.zero_state())
    step.close()


@pytest.mark.parametrize('engine', ['onnx', 'openvino'])
def test_an_open_size_is_taken_in_whole_multiples(networks, engine):
    name = write_card(networks, file='open.onnx', multiple=MULTIPLE)
    step = opened(engine, name, (96, 80))
    image = picture(1, 96, 80)
    depth, _ = step.step(image, step.zero_state())
    np.testing.assert_allclose(depth, 100 / expected_values(image), rtol=1e-4)
    with pytest.raises(ConfigError, match='multiples of 16'):
        opened(engine, name, (96, 72))


def test_the_order_of_the_colours_is_that_of_the_card(networks):
    step = opened('onnx', write_card(networks, colours='bgr'))
    image = picture(2)
    depth, _ = step.step(image, step.zero_state())
    np.testing.assert_allclose(depth, 100 / expected_values(image[..., ::-1]), rtol=1e-4)


def test_a_relative_output_keeps_its_unit_within_a_stream(networks):
    step = opened('onnx', write_card(networks, output='relative inverse depth'))
    dark, bright = picture(3) // 4, picture(4)
    first, state = step.step(dark, step.zero_state())
    nominal = 100 / SingleImageOptions().nominal_depth_m
    assert np.median(first) == pytest.approx(nominal, rel=1e-5)
    second, after = step.step(bright, state)
    ratio = expected_values(bright) / expected_values(dark)
    np.testing.assert_allclose(second / first, ratio, rtol=1e-4)
    np.testing.assert_array_equal(state, after)
    again, _ = step.step(bright, step.zero_state())
    assert np.median(again) == pytest.approx(nominal, rel=1e-5)


@pytest.mark.parametrize(
    ('output', 'values', 'expected'),
    [
        ('inverse depth', [0.5, 0, -1], [50, 0, 0]),
        ('depth in metres', [2, 0, np.inf], [50, 0, 0]),
        ('relative depth', [4, -1, np.inf], [25, 0, 0]),
        ('canonical inverse depth', [0.5, 0, -1], [50, 0, 0]),
        # Z = y fx / F, v = 100 fx / (width Z) = 100 F / (width y)
        ('canonical depth', [2, 0, np.inf], [100 * 128 / (WIDTH * 2), 0, 0]),
    ],
)
def test_each_output_becomes_inverse_depth(networks, output, values, expected):
    focal = 128 if output == 'canonical depth' else None
    model = card(write_card(networks, output=output, canonical_focal_px=focal))
    found = to_inverse_depth(np.array([values], np.float32), model, WIDTH)
    np.testing.assert_allclose(found, [expected], rtol=1e-6)
    unknown = to_inverse_depth(np.full((1, 1), np.nan, np.float32), model, WIDTH)
    assert np.isnan(unknown).all()


def test_an_output_of_another_shape_is_refused_when_opened(networks, monkeypatch):
    monkeypatch.setattr(
        'videodepth_ros.engines.single_image_onnx.OnnxRunner.run',
        lambda self, image: {'depth': np.zeros((1, WIDTH, HEIGHT), np.float32)},
    )
    with pytest.raises(ModelError, match='is not a map of the image'):
        opened('onnx', write_card(networks))


@pytest.mark.parametrize('engine', ['torch', 'torch-cuda', 'tensorrt'])
def test_engines_that_run_no_card_name_those_that_do(networks, engine):
    with pytest.raises(ConfigError, match='choose onnx, openvino or auto'):
        opened(engine, write_card(networks))


def test_auto_runs_on_the_cpu(networks):
    step = open_engine(write_card(networks), 'auto', WIDTH, HEIGHT, threads=1)
    assert step.spec.engine in ('onnx', 'openvino')
    depth, _ = step.step(np.zeros((HEIGHT, WIDTH, 3), np.uint8), step.zero_state())
    assert np.median(depth) == pytest.approx(100 / OFFSET, rel=0.01)
