# SPDX-License-Identifier: Apache-2.0
"""Graphs of the monocular priors, with small random networks."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
import torch

from test.support.small_priors import frame, small_depth_anything, small_depth_pro
from videodepth_ros.cli import main
from videodepth_ros.models.depth_pro import focal_from_fov, metric_depth, square_input
from videodepth_ros.models.mono import open_mono_prior

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hub'))
    torch.set_num_threads(1)
    return tmp_path / 'weights'


def exported(tmp_path, name: str) -> tuple[onnxruntime.InferenceSession, dict[str, object]]:
    path, facts = tmp_path / 'prior.onnx', tmp_path / 'facts.json'
    assert main(['export', name, str(path), '--size', '64x48', '--json', str(facts)]) == 0
    return onnxruntime.InferenceSession(path), json.loads(facts.read_text())


def test_depth_anything(tmp_path, store):
    small_depth_anything(store / 'depth-anything-v2-small')
    graph, facts = exported(tmp_path, 'depth-anything-v2-small')
    assert (facts['width'], facts['height'], facts['licence']) == (70, 56, 'Apache-2.0')
    assert [one.name for one in graph.get_outputs()] == ['relative_inverse_depth']
    told = graph.get_modelmeta().custom_metadata_map
    prior = open_mono_prior('depth-anything-v2-small')
    image = prior._processor([frame().image], return_tensors='np')['pixel_values']
    assert image.shape == tuple(graph.get_inputs()[0].shape)
    assert json.loads(told['mean']) == pytest.approx([0.485, 0.456, 0.406])
    (found,) = graph.run(None, {'image': image})
    wanted = next(prior.estimate([frame()])).values
    np.testing.assert_allclose(found[0], wanted, rtol=0, atol=1e-4 * wanted.max())


def test_depth_pro(tmp_path, store):
    small_depth_pro(store / 'depth-pro')
    graph, facts = exported(tmp_path, 'depth-pro')
    assert (facts['width'], facts['height']) == (256, 256)
    image = square_input(torch.from_numpy(frame().image)[None], 256).numpy()
    canonical, angle = graph.run(
        ['canonical_inverse_depth', 'field_of_view_deg'], {'image': image}
    )
    wanted = next(open_mono_prior('depth-pro').estimate([frame()]))
    focal_px = focal_from_fov(float(angle[0]), 64)
    assert focal_px == pytest.approx(wanted.focal_px, rel=1e-4)
    depth_m = metric_depth(torch.from_numpy(canonical[0]), focal_px / 64, 64, 48)
    np.testing.assert_allclose(depth_m, wanted.values, rtol=1e-3)


def test_weights_that_are_not_here(tmp_path, capsys):
    assert main(['export', 'depth-pro', str(tmp_path / 'prior.onnx')]) == 1
    assert 'videodepth weights fetch depth-pro' in capsys.readouterr().err
