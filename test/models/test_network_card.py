# SPDX-License-Identifier: Apache-2.0
"""Cards of networks of the user: what they define, and each way in which they are wrong."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from test.support.small_network import (
    HEIGHT,
    MULTIPLE,
    WIDTH,
    export_network,
    write_card,
    write_graph,
)
from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.models.cards import InverseDepthUnit
from videodepth_ros.models.catalogue import card, weights_path
from videodepth_ros.models.network_entries import OutputKind

MAP = (1, 1, HEIGHT, WIDTH)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a network of fixed size."""
    write_graph(tmp_path / 'net.onnx', out=MAP)
    return tmp_path


def test_a_card_defines_the_model(folder):
    model = card(
        write_card(
            folder,
            output='canonical depth',
            canonical_focal_px=500,
            white=255,
            mean=[51, 102, 127.5],
            std=[255, 127.5, 51],
            colours='bgr',
        )
    )
    assert model.name == str(folder / 'card.yaml')
    assert weights_path(model) == folder / 'net.onnx'
    assert (model.output, model.unit) == (OutputKind.CANONICAL, InverseDepthUnit.CANONICAL)
    assert model.mean == pytest.approx((0.2, 0.4, 0.5))
    assert model.std == pytest.approx((1, 0.5, 0.2))
    assert (model.channels, model.canonical_focal_px) == ('bgr', 500)
    assert model.input_size(1920, 1080, 100) == (WIDTH, HEIGHT)
    assert model.drifts
    assert not model.soft
    assert model.notice is None


def test_a_size_that_is_open_follows_the_card(folder):
    write_graph(folder / 'net.onnx', (1, 3, 'h', 'w'), (1, 1, 'h', 'w'))
    model = card(write_card(folder, multiple=MULTIPLE, max_pixels=200 * 200))
    assert model.input_size(640, 480) == (224, 176)
    assert card(write_card(folder, size='96x80')).input_size(640, 480) == (96, 80)


@pytest.mark.parametrize('kind', OutputKind)
def test_the_unit_follows_the_output(folder, kind):
    focal = 1000 if kind is OutputKind.CANONICAL else None
    scale = None
    if kind is OutputKind.POINTS:
        scale = 'out1'
        write_graph(folder / 'net.onnx', out=(1, HEIGHT, WIDTH, 3), outputs=2)
    model = card(
        write_card(
            folder,
            output=kind.value,
            canonical_focal_px=focal,
            scale_name=scale,
            output_name=scale and 'out0',
        )
    )
    assert model.is_relative == kind.value.startswith('relative')
    assert (model.unit is InverseDepthUnit.CANONICAL) == kind.value.startswith('canonical')


def test_an_unknown_licence_is_named(folder):
    assert 'CC-BY-NC-4.0' in card(write_card(folder, licence='CC-BY-NC-4.0')).notice


@pytest.mark.parametrize(
    ('entries', 'words'),
    [
        ({'file': None}, 'lacks file'),
        ({'output': None}, 'lacks output'),
        ({'licence': None}, 'lacks licence'),
        ({'normalization': [0, 0, 0]}, "unknown entry 'normalization': known are file, output"),
        ({'output': 'disparity'}, "output is 'disparity'; give one of relative inverse depth"),
        ({'mean': [0.5, 0.5]}, r'mean is \[0.5, 0.5\]; give three numbers'),
        ({'std': [0.2, 0, 0.2]}, 'std is .*; give three numbers above 0'),
        ({'std': 0.2}, 'std is 0.2; give three numbers'),
        ({'colours': 'rgba'}, "colours is 'rgba'; give rgb or bgr"),
        ({'size': '518'}, "size is '518'; give width and height"),
        ({'size': '518x392'}, f'contradicts its network, whose input is {WIDTH}x{HEIGHT}'),
        ({'multiple': 14}, f'contradicts its network, whose input is {WIDTH}x{HEIGHT}'),
        ({'multiple': 0}, 'multiple is 0; give a whole number'),
        ({'output': 'canonical depth'}, 'canonical_focal_px'),
        ({'canonical_focal_px': 1000}, 'canonical_focal_px belongs to'),
        ({'sha256': 'abc'}, "sha256 is 'abc'; give the SHA-256"),
        ({'soft_edges': 'yes please'}, 'soft_edges is .*; give true if'),
        ({'hit': 'mask'}, "hit is 'mask'; give where something was hit, such as"),
        ({'hit': 'mask > half'}, "hit is 'mask > half'; give where"),
        ({'constants': 'num_tokens'}, 'constants is .*; give names and numbers'),
        ({'scale_name': 'scale'}, "scale_name belongs to 'affine point map'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_entry_is_refused_in_words(folder, entries, words):
    name = write_card(folder, **entries)
    with pytest.raises(ConfigError, match=words):
        card(name)


@pytest.mark.parametrize(
    ('graph', 'entries', 'words'),
    [
        ({'kind': onnx.TensorProto.INT64}, {}, r'int64 of \(1, 3, 48, 64\), not an image'),
        ({'shape': (1, 4, HEIGHT, WIDTH)}, {}, 'has 4 channels'),
        ({'shape': (1, HEIGHT, WIDTH, 3)}, {}, 'has channels last'),
        ({'shape': (2, 3, HEIGHT, WIDTH)}, {}, 'is not one image'),
        ({'shape': (HEIGHT, WIDTH)}, {}, 'is not one image'),
        ({'inputs': 2}, {}, r'has 2 inputs \(in0, in1\)'),
        ({'out': (1, 3, HEIGHT, WIDTH)}, {}, r'out0 of \(1, 3, 48, 64\) is not a map'),
        ({'out': (1, 1000)}, {}, 'is not a map'),
        ({'outputs': 2}, {}, 'several outputs: name that of the depth, one of out0, out1'),
        ({}, {'output_name': 'disparity'}, "no output 'disparity': choose one of out0"),
        ({}, {'output_name': ['a', 'b']}, "no output 'a' or 'b': choose one of out0"),
        ({}, {'hit': 'sky < 0.5'}, "no output 'sky': choose one of out0"),
        ({}, {'constants': {'num_tokens': 1200}}, "no input 'num_tokens' for the entry constants"),
        ({'operator': 'com.depthart::SelectiveScan'}, {}, 'com.depthart::SelectiveScan, which'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_unfit_network_is_refused_in_words(tmp_path, graph, entries, words):
    write_graph(tmp_path / 'net.onnx', **{'out': MAP, **graph})
    with pytest.raises(ModelError, match=words):
        card(write_card(tmp_path, **entries))


def test_an_open_size_needs_a_rule(tmp_path):
    write_graph(tmp_path / 'net.onnx', (1, 3, 'h', 'w'), (1, 1, 'h', 'w'))
    with pytest.raises(ConfigError, match=r'needs either size .* or multiple'):
        card(write_card(tmp_path))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r'none.yaml cannot be read'):
        card(str(tmp_path / 'none.yaml'))
    with pytest.raises(ModelError, match=r'net.onnx does not exist'):
        card(write_card(tmp_path))


def test_a_file_that_is_no_card_and_no_network(tmp_path):
    (tmp_path / 'net.onnx').write_bytes(b'PK\x03\x04 not a network')
    with pytest.raises(ModelError, match='is not an ONNX file'):
        card(write_card(tmp_path))
    for text, words in (('- a\n- b', 'has no entries'), ('a: [', 'is not YAML')):
        (tmp_path / 'card.yaml').write_text(text)
        with pytest.raises(ConfigError, match=words):
            card(str(tmp_path / 'card.yaml'))


def test_external_weights_must_be_there_and_whole(tmp_path):
    export_network(tmp_path / 'net.onnx', external=True)
    name, weights = write_card(tmp_path), tmp_path / 'net.onnx.data'
    assert card(name).graph.output == 'depth'
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    (tmp_path / 'net.onnx').touch()
    with pytest.raises(ModelError, match=r'net.onnx.data has .* is cut off'):
        card(name)
    weights.unlink()
    (tmp_path / 'net.onnx').touch()
    with pytest.raises(ModelError, match=r'net.onnx.data, which is missing'):
        card(name)
