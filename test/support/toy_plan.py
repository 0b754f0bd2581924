# SPDX-License-Identifier: Apache-2.0
"""A plan of the fakes whose depth is easy to foretell: a mean with exponential forgetting."""

from __future__ import annotations

import numpy as np

from test.support.fake_cuda import FakeCuda
from test.support.fake_tensorrt import FakeTensorRt, Network
from videodepth_ros.engines.cuda import CudaBindings
from videodepth_ros.engines.graph import PARAMETER_COUNT
from videodepth_ros.engines.tensorrt_plan import TensorRt, load_plan

WIDTH, HEIGHT = 8, 6
STATE = (2, 1, 1, HEIGHT, WIDTH)
INPUTS = [
    ('image', (HEIGHT, WIDTH, 3), 'uint8'),
    ('state_in', STATE, 'float32'),
    ('parameters', (PARAMETER_COUNT,), 'float32'),
]
OUTPUTS = [
    ('inverse_depth', (HEIGHT, WIDTH), 'float32'),
    ('depth', (HEIGHT, WIDTH), 'float32'),
    ('cloud', (HEIGHT, WIDTH, 4), 'float32'),
    ('total', (1,), 'float32'),
    ('state_out', STATE, 'float32'),
]


def step(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute the toy's outputs."""
    state = 0.5 * inputs['state_in'] + inputs['image'].mean(axis=-1, dtype=np.float32)
    inverse_depth = state[0, 0, 0]
    depth = 1 / (inputs['parameters'][4] * inverse_depth + 1)
    return {
        'inverse_depth': inverse_depth,
        'depth': depth,
        'cloud': np.stack([depth] * 4, axis=-1),
        'state_out': state,
        'total': np.array([state.sum() + inverse_depth.sum()], np.float32),
    }


class Rig:
    """The package's own CUDA and TensorRT code over the fakes."""

    def __init__(self, version: str, tmp_path, gpus: int = 1) -> None:
        self.fake_cuda = FakeCuda(gpus)
        self.fake_tensorrt = FakeTensorRt(version, self.fake_cuda)
        self.tensorrt = TensorRt(self.fake_tensorrt, 'tensorrt')
        self.folder = tmp_path
        self.network = Network(INPUTS, OUTPUTS, step)

    def cuda(self, monkeypatch) -> CudaBindings:
        """Return the provider that is the default, over the fake runtime."""
        install(monkeypatch, self.fake_cuda)
        return CudaBindings()

    def plan(self):
        """Load the toy's plan."""
        self.fake_tensorrt.plans[b'toy'] = self.network
        (self.folder / 'toy.plan').write_bytes(b'toy')
        return load_plan(self.tensorrt, self.folder / 'toy.plan')


def install(monkeypatch, fake: FakeCuda) -> None:
    """Put a fake runtime where ``cuda.bindings.runtime`` is imported from."""
    import sys
    from types import ModuleType

    bindings = ModuleType('cuda.bindings')
    bindings.runtime = fake
    monkeypatch.setitem(sys.modules, 'cuda', ModuleType('cuda'))
    monkeypatch.setitem(sys.modules, 'cuda.bindings', bindings)
    monkeypatch.setitem(sys.modules, 'cuda.bindings.runtime', fake)
