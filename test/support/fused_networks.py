# SPDX-License-Identifier: Apache-2.0
"""Small networks of every variant as fused steps: few layers, for each costs seconds to export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from test.support.random_network import random_model
from test.support.tiny_networks import VARIANTS, Variant
from videodepth_ros.engines.graph import FrameParameters, Layout
from videodepth_ros.models.flashdepth import FlashDepth

NAMES = ('tiny-s', 'tiny-l', 'tiny-full', 'nano', 'nano-1')
VIEW = FrameParameters(200.0, 210.0, 69.5, 48.5, scale=0.3, shift=0.01, cloud_range_m=20.0)


def variant(name: str) -> Variant:
    """Return the variant with half as many layers."""
    whole = VARIANTS[name]
    config = replace(whole.config, mamba=replace(whole.config.mamba, layers=2))
    if config.hybrid is not None:
        config = replace(config, hybrid=replace(config.hybrid, layers=1))
    return replace(whole, config=config)


def trained_like(model: FlashDepth) -> FlashDepth:
    """Give everything that a fresh network leaves at one or zero a value of its own."""
    torch.manual_seed(5)
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, 'gamma'):
                module.gamma.uniform_(0.2, 1.5)
            elif isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.1)
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
            elif isinstance(module, torch.nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.1)
    return model


@dataclass(frozen=True)
class Fused:
    """A network and the graph of its fused step."""

    model: FlashDepth
    path: Path
    layout: Layout


def fused_model(name: str) -> FlashDepth:
    """Return a variant with random weights."""
    return trained_like(random_model(variant(name).config))


def layout_of(name: str) -> Layout:
    """Return the layout whose camera has the network's size."""
    it = variant(name)
    return Layout(it.width, it.height, it.width, it.height)


class FusedSession:
    """A fused graph in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = ort.InferenceSession(str(path), options)

    def step(self, image, state, view=VIEW):
        """Return inverse depth, depth, cloud, total and state after one frame."""
        inputs = {'image': image, 'state_in': state, 'parameters': view.values()}
        return self.session.run(None, inputs)
