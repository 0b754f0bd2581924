# SPDX-License-Identifier: Apache-2.0
"""Fused step as a TensorRT plan: one camera's stream, its state resident on the GPU.

A step is one launch of a captured graph that uploads the image, runs the plan and copies the state
output to the state input. A reset zeroes the state input. Requested outputs are downloaded to
page-locked memory. After the first step nothing is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.engines.cuda import Array, CudaRuntime
from videodepth_ros.engines.engine import EngineSpec, TensorSpec
from videodepth_ros.engines.graph import (
    FUSED_INPUTS,
    FUSED_OUTPUTS,
    IMAGE,
    INVERSE_DEPTH,
    PARAMETERS,
    STATE_IN,
    STATE_OUT,
)
from videodepth_ros.engines.resident import DeviceOutput, ResidentEngine, default_parameters
from videodepth_ros.engines.tensorrt_plan import LoadedPlan


@dataclass(frozen=True)
class PlanInfo:
    """Facts of a plan from its key in the store."""

    model: str
    precision: str
    gpu: str
    notes: tuple[str, ...] = ()


class TensorRtEngine(ResidentEngine):
    """One stream of a plan; ``another`` makes one for another camera of the same plan."""

    def __init__(self, plan: LoadedPlan, facts: PlanInfo, cuda: CudaRuntime) -> None:
        """Allocate the stream's resources, run it once and capture it.

        raises  ModelError if the plan is not that of a fused step, DeviceError if the device
                fails; all resources are freed then
        """
        super().__init__()
        _check_tensors(plan)
        self._plan, self._facts, self._cuda = plan, facts, cuda
        self._tensors = {tensor.name: tensor for tensor in plan.tensors}
        self._sizes = {
            tensor.name: math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
            for tensor in plan.tensors
        }
        self._device: dict[str, int] = {}  # address of each tensor by name
        self._host: dict[str, Array] = {}
        self._graph: int | None = None
        self.spec = self._spec()
        with ExitStack() as stack:
            self._stream = cuda.create_stream()
            stack.callback(cuda.destroy_stream, self._stream)
            self._allocate(stack)
            self._context = plan.engine.create_execution_context()
            stack.callback(self._release)
            self._bind()
            self._warm_up()
            self._resources = stack.pop_all()

    def another(self) -> TensorRtEngine:
        """Return an engine for another camera: same plan, own context, stream and state."""
        return TensorRtEngine(self._plan, self._facts, self._cuda)

    def _advance(self, reset: bool, outputs: Sequence[str]) -> None:
        if reset:
            self._reset()
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.launch(self._graph, self._stream)
        for name in outputs:
            self._cuda.download(self._host[name], self._device[name], self._stream)
        self._cuda.synchronize(self._stream)

    def device_output(self, name: str) -> DeviceOutput:
        """Return an output that the last step fetched, see ``ResidentEngine``."""

        def copy(address: int) -> None:
            self._cuda.copy(address, self._device[name], self._sizes[name], self._stream)
            self._cuda.synchronize(self._stream)

        return DeviceOutput(self._host[name], copy)

    def read_state(self) -> NDArray[np.float32]:
        """Return a copy of the last state, see ``ResidentEngine``."""
        tensor = self._tensors[STATE_IN]
        array = self._cuda.host_array(tensor.shape, tensor.dtype)
        try:
            self._cuda.download(array, self._device[STATE_IN], self._stream)
            self._cuda.synchronize(self._stream)
            return array.copy()
        finally:
            self._cuda.free_host(array)

    def close(self) -> None:
        """Free the stream's resources; the plan stays while other streams use it."""
        self._newest = None
        self._resources.close()

    def _spec(self) -> EngineSpec:
        height, width = self._tensors[INVERSE_DEPTH].shape
        inputs, outputs = (
            tuple(
                TensorSpec(name, self._tensors[name].shape, self._tensors[name].dtype)
                for name in names
            )
            for names in (FUSED_INPUTS, FUSED_OUTPUTS)
        )
        plan, facts = self._plan, self._facts
        return EngineSpec(
            model=facts.model,
            engine=plan.flavour,
            precision=facts.precision,
            width=width,
            height=height,
            inputs=inputs,
            outputs=outputs,
            notes=facts.notes,
            device=f'{facts.gpu}, {plan.flavour} {plan.version}, {self._cuda.provider}',
            gpu=self._cuda.gpu().pci_address,
        )

    def _allocate(self, stack: ExitStack) -> None:
        """Allocate each tensor on the device, and on the host all but the states."""
        for tensor in self._tensors.values():
            address = self._cuda.allocate(self._sizes[tensor.name])
            stack.callback(self._cuda.free, address)
            self._device[tensor.name] = address
            if tensor.name not in (STATE_IN, STATE_OUT):
                array = self._cuda.host_array(tensor.shape, tensor.dtype)
                stack.callback(self._cuda.free_host, array)
                self._host[tensor.name] = array
        self._host[IMAGE].fill(0)
        height, width = self._tensors[INVERSE_DEPTH].shape
        np.copyto(self._host[PARAMETERS], default_parameters(width, height))

    def _bind(self) -> None:
        if self._context is None:
            raise DeviceError(
                f'not enough memory on {self._facts.gpu} for another stream of '
                f'{self._facts.model}; free GPU memory or use fewer cameras'
            )
        for name, address in self._device.items():
            if not self._context.set_tensor_address(name, address):
                raise DeviceError(
                    f'{self._plan.flavour} rejects the address of {name}; remove the plan '
                    'from the cache to have it rebuilt'
                )

    def _warm_up(self) -> None:
        """Run once, which initialises TensorRT, and capture."""
        self._reset()
        self._enqueue()
        self._cuda.synchronize(self._stream)
        if self._cuda.captures:
            self._graph = self._cuda.capture(self._stream, self._enqueue)

    def _release(self) -> None:
        """Destroy the users of the memory before it is freed."""
        try:
            self._cuda.synchronize(self._stream)
        except DeviceError:
            pass  # already raised by the failed call; free the rest
        if self._graph is not None:
            self._cuda.destroy_graph(self._graph)
        self._graph = self._context = None
        self._host.clear()

    def _reset(self) -> None:
        """Zero the state."""
        self._cuda.zero(self._device[STATE_IN], self._sizes[STATE_IN], self._stream)

    def _enqueue(self) -> None:
        """Enqueue one step in the stream."""
        device = self._device
        for name in (IMAGE, PARAMETERS):
            self._cuda.upload(device[name], self._host[name], self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise DeviceError(
                f'{self._plan.flavour} failed on {self._facts.model}; restart the '
                'stream and check the free GPU memory'
            )
        self._cuda.copy(device[STATE_IN], device[STATE_OUT], self._sizes[STATE_IN], self._stream)


def _check_tensors(plan: LoadedPlan) -> None:
    """Raise ModelError unless the plan has exactly the tensors of a fused step."""
    inputs = {tensor.name for tensor in plan.tensors if tensor.is_input}
    outputs = {tensor.name for tensor in plan.tensors if not tensor.is_input}
    if inputs != set(FUSED_INPUTS) or outputs != set(FUSED_OUTPUTS):
        raise ModelError(
            f'a plan with inputs {sorted(inputs)} and outputs {sorted(outputs)} is '
            'not one of a fused step; build it with `videodepth build`'
        )
