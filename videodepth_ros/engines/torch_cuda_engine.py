# SPDX-License-Identifier: Apache-2.0
"""Fused step in torch on the GPU, for machines with torch and without TensorRT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from videodepth_ros.engines.engine import EngineSpec, TensorSpec
from videodepth_ros.engines.graph import PARAMETERS, STATE_IN, STATE_OUT
from videodepth_ros.engines.resident import ResidentEngine, default_parameters
from videodepth_ros.engines.torch_plan import TorchPlan, TorchRequest


class TorchCudaEngine(ResidentEngine):
    """One stream of a plan; ``another`` makes one for another camera of the same plan.

    Frames of several streams that wait at the same time are computed as a batch, see batching.py.
    """

    def __init__(self, plan: TorchPlan) -> None:
        """Add a stream to ``plan``.

        raises  DeviceError if the device's memory does not suffice
        """
        super().__init__()
        self._plan: TorchPlan | None = plan
        self._tensors = plan.host_tensors()
        self._host = {name: tensor.numpy() for name, tensor in self._tensors.items()}
        np.copyto(
            self._host[PARAMETERS], default_parameters(plan.layout.width, plan.layout.height)
        )
        self._slot = plan.join()
        self.spec = self._spec(plan)

    def another(self) -> TorchCudaEngine:
        """Return an engine for another camera: same plan, own state."""
        return TorchCudaEngine(self._open_plan())

    def _advance(self, reset: bool, outputs: Sequence[str]) -> None:
        self._open_plan().batcher.submit(TorchRequest(self._slot, self._tensors, reset, outputs))

    def read_state(self) -> NDArray[np.float32]:
        """Return a copy of the last state, see ``ResidentEngine``."""
        return self._open_plan().read_state(self._slot)

    def close(self) -> None:
        """Remove the stream; weights and graphs stay while other streams use them."""
        self._newest = None
        if self._plan is not None:
            self._plan.leave(self._slot)
            self._plan, self._host, self._tensors = None, {}, {}

    def _open_plan(self) -> TorchPlan:
        assert self._plan is not None, 'the engine is closed'
        return self._plan

    def _spec(self, plan: TorchPlan) -> EngineSpec:
        state = TensorSpec(STATE_IN, self.read_state().shape, 'float32')
        image, parameters, *outputs = (
            TensorSpec(name, array.shape, str(array.dtype)) for name, array in self._host.items()
        )
        is_gpu = plan.device.type == 'cuda'
        device = torch.cuda.get_device_name(plan.device) if is_gpu else 'CPU'
        return EngineSpec(
            model=plan.name,
            engine='torch-cuda',
            precision=plan.precision,
            width=plan.layout.width,
            height=plan.layout.height,
            device=f'{device}, torch {torch.__version__}',
            gpu=f'GPU-{torch.cuda.get_device_properties(plan.device).uuid}' if is_gpu else '',
            inputs=(image, state, parameters),
            outputs=(*outputs, TensorSpec(STATE_OUT, state.shape, state.dtype)),
        )
