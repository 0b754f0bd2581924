# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest


@pytest.fixture
def exported(monkeypatch):
    """Note what was asked for; the file is there at once."""
    asked = []

    def export_graph(model, path, width, height, kind):
        asked.append((model, width, height, kind))
        path.write_bytes(b'graph')
        return 'as it should be'

    monkeypatch.setattr('videodepth_ros.engines.artefacts.export_graph', export_graph)
    return asked


def test_a_graph_is_plain_by_default(run, exported, tmp_path):
    code, facts = run('export', 'nano', tmp_path / 'nano.onnx', '--size', '320x240')
    assert code == 0
    run('export', 'nano', tmp_path / 'nano.onnx', '--size', '320x240', '--fused', 'fp16')
    assert exported == [
        ('nano', facts['width'], facts['height'], 'plain'),
        ('nano', facts['width'], facts['height'], 'fp16'),
    ]
    assert facts['self_check'] == 'as it should be'
