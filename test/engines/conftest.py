# SPDX-License-Identifier: Apache-2.0
"""Graphs of the small networks, made once a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch

from test.support.fused_networks import Fused, fused_model, layout_of
from test.support.random_network import random_model
from test.support.shared_cache import SharedCache
from test.support.tiny_networks import VARIANTS, Exported
from videodepth_ros.engines.export import export_fused, export_onnx
from videodepth_ros.engines.graph import Origin


@pytest.fixture(autouse=True, scope='session')
def one_thread():
    """Leave the other core to the other tests."""
    torch.set_num_threads(1)


@pytest.fixture(scope='session')
def exported(shared_cache: SharedCache) -> Callable[[str], Exported]:
    """Return a function from the name of a variant to its network and graph."""

    @cache
    def export(name: str) -> Exported:
        variant = VARIANTS[name]
        model = random_model(variant.config)
        origin = Origin(name, 'nominal', 'Apache-2.0', 'abc')
        path = shared_cache.path(
            f'{name}.onnx',
            lambda path: export_onnx(model, path, variant.width, variant.height, origin),
        )
        return Exported(model, path, variant.width, variant.height)

    return export


@pytest.fixture(scope='session')
def fused(shared_cache: SharedCache) -> Callable[..., Fused]:
    """Return a function from the name of a variant and a precision to its fused graph."""

    @cache
    def export(name: str, precision: str = 'fp32') -> Fused:
        model, layout = fused_model(name), layout_of(name)
        origin = Origin(name, 'nominal', 'Apache-2.0')
        path = shared_cache.path(
            f'{name}-{precision}.onnx',
            lambda path: export_fused(model, path, layout, precision, origin),
        )
        return Fused(model, path, layout)

    return export
