# SPDX-License-Identifier: Apache-2.0
"""Graphs of the small networks, made once a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from test.support.fused_networks import Fused, fused_model, layout_of
from test.support.random_network import random_model
from test.support.tiny_networks import VARIANTS, Exported
from videodepth_ros.engines.export import export_fused, export_onnx
from videodepth_ros.engines.graph import Origin


@pytest.fixture(autouse=True, scope='session')
def one_thread():
    """Leave the other core to the other tests."""
    torch.set_num_threads(1)


@pytest.fixture(scope='session')
def exported(tmp_path_factory) -> Callable[[str], Exported]:
    """Return a function from the name of a variant to its network and graph."""
    made: dict[str, Exported] = {}

    def export(name: str) -> Exported:
        if name not in made:
            variant = VARIANTS[name]
            model = random_model(variant.config)
            path = tmp_path_factory.mktemp(name) / 'graph.onnx'
            export_onnx(
                model,
                path,
                variant.width,
                variant.height,
                Origin(name, 'nominal', 'Apache-2.0', 'abc'),
            )
            made[name] = Exported(model, path, variant.width, variant.height)
        return made[name]

    return export


@pytest.fixture(scope='session')
def fused(tmp_path_factory) -> Callable[..., Fused]:
    """Return a function from the name of a variant and a precision to its fused graph."""
    made: dict[tuple[str, str], Fused] = {}

    def export(name: str, precision: str = 'fp32') -> Fused:
        if (name, precision) not in made:
            model, layout = fused_model(name), layout_of(name)
            path = tmp_path_factory.mktemp(name) / f'{precision}.onnx'
            export_fused(model, path, layout, precision, Origin(name, 'nominal', 'Apache-2.0'))
            made[name, precision] = Fused(model, path, layout)
        return made[name, precision]

    return export
