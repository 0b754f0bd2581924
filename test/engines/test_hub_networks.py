# SPDX-License-Identifier: Apache-2.0
"""Packaged cards on networks with the tensors of the published ONNX files, on each CPU engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from test.support.hub_networks import HEIGHT, WIDTH, expected_depth, write_hub_network
from test.support.small_network import write_card
from videodepth_ros.cli import main
from videodepth_ros.engines.open import open_engine
from videodepth_ros.engines.point_map import depth_of_points
from videodepth_ros.models.catalogue import card
from videodepth_ros.models.network_import import CARDS, card_names, packaged_entries

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))


def picture() -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    image[HEIGHT // 2 :, :, 2] = 220  # blue: the mask of MoGe
    return image


def written(folder: Path, name: str, **options) -> str:
    """Write network and card, and return the path of the card."""
    entries = packaged_entries(name)
    write_hub_network(folder / entries['file'], name, **options)
    return write_card(folder, **entries)


def inverse_depth(engine: str, path: str, image: np.ndarray) -> np.ndarray:
    if engine == 'openvino':
        pytest.importorskip('videodepth_ros.engines.openvino_runtime', exc_type=ImportError)
    step = open_engine(path, engine, WIDTH, HEIGHT, threads=1, precision='fp32')
    found, _ = step.step(image, step.zero_state())
    step.close()
    return found


@pytest.mark.parametrize('engine', ['onnx', 'openvino'])
@pytest.mark.parametrize('name', card_names())
def test_the_depth_is_that_of_the_network(tmp_path, name, engine):
    path, image = written(tmp_path, name), picture()
    model = card(path)
    entries = packaged_entries(name)
    depth = expected_depth(
        image,
        name,
        entries.get('mean', [0] * 3),
        entries.get('std', [1] * 3),
        entries.get('white', 1),
    )
    found = inverse_depth(engine, path, image)
    if model.output.is_inverse:
        expected = np.maximum(depth, 0)
    else:
        focal = entries.get('canonical_focal_px')
        expected = 100 / depth * (focal / WIDTH if focal else 1)
    hit = np.ones(depth.shape, bool)
    if name.startswith('moge'):
        hit = image[..., 2] > 127
    elif name == 'depth-anything-3-metric-large':  # its sky is the mean of the input here
        hit = depth - 5 < 0.5
        assert 0 < hit.mean() < 1
    if model.is_relative:
        expected = expected / np.median(expected) * np.median(found[hit])
    np.testing.assert_allclose(found[hit], expected[hit], rtol=3e-3 if 'moge' in name else 1e-4)
    assert (found[~hit] == 0).all()


@pytest.mark.parametrize('name', card_names())
def test_a_card_states_origin_and_licences(tmp_path, name):
    model = card(written(tmp_path, name))
    assert model.source.startswith('https://')
    assert model.notice is None
    assert packaged_entries(name)['taught_by']
    assert (CARDS / f'{name}.yaml').read_text().startswith('# ')


@pytest.mark.parametrize('engine', ['onnx', 'openvino'])
def test_a_network_in_float16_has_the_same_depth(tmp_path, engine):
    (tmp_path / 'half').mkdir()
    half = written(tmp_path / 'half', 'depth-anything-3-small', half=True)
    whole = written(tmp_path, 'depth-anything-3-small')
    assert card(half).graph.dtype == 'float16'
    found, expected = (inverse_depth(engine, path, picture()) for path in (half, whole))
    np.testing.assert_allclose(found, expected, rtol=5e-3)


def test_the_files_of_the_hub_are_imported_with_their_weights(tmp_path, capsys):
    network = write_hub_network(
        tmp_path / 'model.onnx', 'depth-anything-3-small', data='model.onnx_data'
    )
    command = ['weights', 'import', str(network), '--card', 'depth-anything-3-small']
    assert main(command) == 0
    stored = tmp_path / 'weights/networks/depth-anything-3-small'
    assert (stored / 'model.onnx_data').read_bytes() == (tmp_path / 'model.onnx_data').read_bytes()
    assert 'relative depth at' in capsys.readouterr().out
    (tmp_path / 'model.onnx_data').unlink()
    assert main(command) == 1
    assert 'model.onnx_data, which is missing: copy both files' in capsys.readouterr().err


def test_another_export_than_that_of_the_card_is_named_and_can_be_taken(tmp_path, capsys):
    network = write_hub_network(tmp_path / 'model.onnx', 'moge-2-small')
    command = ['weights', 'import', str(network), '--card', 'moge-2-small']
    assert main(command) == 1
    assert 'or give sha256=null for another export' in capsys.readouterr().err
    size = f'size={WIDTH}x{HEIGHT}'
    assert main([*command, '--set', 'sha256=null', '--set', size]) == 0
    assert 'affine point map at' in capsys.readouterr().out


@pytest.mark.parametrize('shift', [-2.0, 0.0, 0.7])
@pytest.mark.parametrize('focal', [40.0, 300.0])
def test_the_shift_of_a_point_map_is_found_with_the_focal_length(shift, focal):
    rng = np.random.default_rng(1)
    height, width = 90, 120
    x, y = np.meshgrid(np.arange(width) - 59.5, np.arange(height) - 44.5)
    depth = 3 + 2 * np.sin(x / 20) + np.where(y > 0, 1.0, 6.0) + 0.001 * rng.normal(size=x.shape)
    hit = rng.random(depth.shape) > 0.2
    points = np.stack([x / focal * depth, y / focal * depth, depth - shift], -1)
    points[~hit] = np.nan
    found = depth_of_points(points.astype(np.float32), hit)
    np.testing.assert_allclose(found[hit], depth[hit], rtol=2e-3)


def test_a_view_without_points_keeps_its_values():
    points = np.ones((4, 6, 3), np.float32)
    np.testing.assert_array_equal(depth_of_points(points, np.zeros((4, 6), bool)), points[..., 2])
