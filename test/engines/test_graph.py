# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.graph import GraphMetadata, Origin, parse_graph_metadata

FACTS = GraphMetadata(
    Origin('nano', 'canonical', 'Apache-2.0', 'abc'),
    'fp32',
    320,
    240,
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)


def test_facts_survive_the_file():
    foreign = {'producer': 'somebody'}
    assert parse_graph_metadata(FACTS.to_metadata() | foreign, 'x.onnx') == FACTS


@pytest.mark.parametrize('metadata', [{}, {'videodepth.schema': '0'}])
def test_other_schema_is_refused_with_a_mend(metadata):
    with pytest.raises(ModelError, match=r'x\.onnx has graph schema .*export it again'):
        parse_graph_metadata(metadata, 'x.onnx')


@pytest.mark.parametrize('name', ['model', 'width', 'mean'])
def test_missing_entry_is_named(name):
    entries = FACTS.to_metadata()
    del entries[f'videodepth.{name}']
    with pytest.raises(ModelError, match=name):
        parse_graph_metadata(entries, 'x.onnx')


@pytest.mark.parametrize(('name', 'text'), [('width', 'wide'), ('mean', '1 2'), ('std', 'a b c')])
def test_garbled_entry_is_an_error(name, text):
    with pytest.raises(ModelError, match='lacks part'):
        parse_graph_metadata(FACTS.to_metadata() | {f'videodepth.{name}': text}, 'x.onnx')
