# SPDX-License-Identifier: Apache-2.0
"""A fused step as a TensorRT plan: one camera's stream on the GPU, its state resident there.

A step is one launch: a captured graph that uploads the image, runs the plan and, last, copies the
state out to the state in. A reset sets the state in to zero. What somebody wants comes back into
page-locked memory; nothing else crosses the bus. After the first step nothing is allocated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.engines.cuda import Cuda
from videodepth_ros.engines.engine import EngineSpec, State, TensorSpec, check_image
from videodepth_ros.engines.graph import (
    FUSED_INPUTS,
    FUSED_OUTPUTS,
    IMAGE,
    INVERSE_DEPTH,
    STATE_IN,
    STATE_OUT,
    TOTAL,
    VIEW,
    View,
)
from videodepth_ros.engines.tensorrt_plan import Plan
from videodepth_ros.errors import DeviceError, InputError, ModelError

Array = NDArray[Any]


@dataclass(frozen=True)
class PlanFacts:
    """What a plan does not say itself, from its key in the store."""

    model: str
    precision: str
    gpu: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeviceState:
    """The name of a state that lies on the device; 0 is the one before the first frame."""

    number: int


@dataclass
class Traffic:
    """Bytes that have crossed the bus, for tests and benchmarks."""

    up_bytes: int = 0
    down_bytes: int = 0


@dataclass(frozen=True)
class _Buffers:
    """Where the tensors lie: on the device, and page-locked on the host; by tensor name."""

    device: dict[str, int] = field(default_factory=dict)
    host: dict[str, Array] = field(default_factory=dict)


class TensorRtEngine:
    """One stream over a plan; ``another`` makes one for another camera over the same plan."""

    _numbers = itertools.count(1)

    def __init__(self, plan: Plan, facts: PlanFacts, cuda: Cuda) -> None:
        """Allocate all that the stream needs, run it once and capture it.

        raises  ModelError if the plan is not that of a fused step, DeviceError if the device
                fails; nothing stays allocated then
        """
        _refuse_foreign(plan)
        self._plan, self._facts, self._cuda = plan, facts, cuda
        self._tensors = {tensor.name: tensor for tensor in plan.tensors}
        self._sizes = {tensor.name: math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
                       for tensor in plan.tensors}
        self._buffers = _Buffers()
        self._current: int | None = 0
        self._graph: int | None = None
        self.traffic = Traffic()
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

    def zero_state(self) -> State:
        """Return the state before the first frame."""
        return State(DeviceState(0))

    def step(self, image: NDArray[np.uint8], state: State
             ) -> tuple[NDArray[np.float32], State]:
        """Compute one frame, see ``Engine.step``; the image is (H, W, 3) uint8.

        If any number of the answer or of the state is not finite, the answer is all NaN.
        """
        found, after = self.run(image, state, (INVERSE_DEPTH, TOTAL))
        inverse_depth = np.array(found[INVERSE_DEPTH])
        if not math.isfinite(found[TOTAL][0]):
            inverse_depth.fill(np.nan)
        return inverse_depth, after

    def run(self, image: NDArray[np.uint8], state: State, wanted: Sequence[str],
            view: View | None = None) -> tuple[Mapping[str, Array], State]:
        """Compute one frame and fetch some of its outputs.

        image    (camera_height, camera_width, 3) uint8
        state    what the last step returned, or ``zero_state()``: older ones are overwritten
        wanted   names from ``graph.FUSED_OUTPUTS`` but the state's
        view     for depth in metres and the cloud; None: as it was
        returns  arrays in page-locked memory that the next step overwrites, by name
        raises   InputError if image or state do not fit, DeviceError if the device fails
        """
        check_image(image, self.spec)
        number = self._accepted(state)
        np.copyto(self._buffers.host[IMAGE], image)
        if view is not None:
            np.copyto(self._buffers.host[VIEW], view.values())
        self._current = None      # until the step is done its state is nobody's
        if number == 0:
            self._reset()
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.launch(self._graph, self._stream)
        self.traffic.up_bytes += self._sizes[IMAGE] + self._sizes[VIEW]
        found = {}
        for name in wanted:
            array = self._buffers.host[name]
            self._cuda.download(array, self._buffers.device[name], self._stream)
            self.traffic.down_bytes += array.nbytes
            found[name] = array
        self._cuda.synchronize(self._stream)
        self._current = next(self._numbers)
        return MappingProxyType(found), State(DeviceState(self._current))

    def read_state(self) -> NDArray[np.float32]:
        """Return a copy of the last state, (layers, 1, heads, P, N) float32; it allocates."""
        tensor = self._tensors[STATE_IN]
        array = self._cuda.host_array(tensor.shape, tensor.dtype)
        try:
            self._cuda.download(array, self._buffers.device[STATE_IN], self._stream)
            self._cuda.synchronize(self._stream)
            return array.copy()
        finally:
            self._cuda.free_host(array)

    def close(self) -> None:
        """Free everything on the device; the plan stays while other streams use it."""
        self._current = None
        self._resources.close()

    def _accepted(self, state: State) -> int:
        """Return the number of a state.

        raises  InputError if it is not on the device any more
        """
        number = state.number if isinstance(state, DeviceState) else None
        if number is None or number not in (0, self._current):
            raise InputError('the state of this stream has been overwritten on the device: only '
                             'the last one and zero_state() can be continued')
        return number

    def _spec(self) -> EngineSpec:
        height, width = self._tensors[INVERSE_DEPTH].shape
        inputs, outputs = (
            tuple(TensorSpec(name, self._tensors[name].shape, self._tensors[name].dtype)
                  for name in names) for names in (FUSED_INPUTS, FUSED_OUTPUTS))
        plan, facts = self._plan, self._facts
        return EngineSpec(
            model=facts.model, engine=plan.flavour, precision=facts.precision, width=width,
            height=height, inputs=inputs, outputs=outputs, notes=facts.notes,
            device=f'{facts.gpu}, {plan.flavour} {plan.version}, {self._cuda.provider}')

    def _allocate(self, stack: ExitStack) -> None:
        """Allocate each tensor on the device, and on the host all but the states."""
        for tensor in self._tensors.values():
            address = self._cuda.allocate(self._sizes[tensor.name])
            stack.callback(self._cuda.free, address)
            self._buffers.device[tensor.name] = address
            if tensor.name not in (STATE_IN, STATE_OUT):
                array = self._cuda.host_array(tensor.shape, tensor.dtype)
                stack.callback(self._cuda.free_host, array)
                self._buffers.host[tensor.name] = array
        self._buffers.host[IMAGE].fill(0)
        height, width = self._tensors[INVERSE_DEPTH].shape
        ahead = View(0.8 * width, 0.8 * width, (width - 1) / 2, (height - 1) / 2)
        np.copyto(self._buffers.host[VIEW], ahead.values())

    def _bind(self) -> None:
        if self._context is None:
            raise DeviceError(f'there is no memory on {self._facts.gpu} for another stream of '
                              f'{self._facts.model}; free GPU memory, or use fewer cameras')
        for name, address in self._buffers.device.items():
            if not self._context.set_tensor_address(name, address):
                raise DeviceError(f'{self._plan.flavour} does not take an address for {name}; '
                                  'remove the plan from the cache, it is built anew')

    def _warm_up(self) -> None:
        """Run once, for TensorRT prepares itself then; capture; and forget what was run."""
        self._reset()
        self._enqueue()
        self._cuda.synchronize(self._stream)
        if self._cuda.captures:
            self._graph = self._cuda.capture(self._stream, self._enqueue)

    def _release(self) -> None:
        """Let go of what uses the memory, before the memory goes."""
        try:
            self._cuda.synchronize(self._stream)
        except DeviceError:
            pass                  # what failed has been told; what is left is to free
        if self._graph is not None:
            self._cuda.destroy_graph(self._graph)
        self._graph = self._context = None
        self._buffers.host.clear()

    def _reset(self) -> None:
        """Set the state to zero: exactly the state before a first frame."""
        self._cuda.zero(self._buffers.device[STATE_IN], self._sizes[STATE_IN], self._stream)

    def _enqueue(self) -> None:
        """Put one step into the stream."""
        device, host = self._buffers.device, self._buffers.host
        for name in (IMAGE, VIEW):
            self._cuda.upload(device[name], host[name], self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise DeviceError(f'{self._plan.flavour} failed on {self._facts.model}; restart the '
                              'stream, and see whether GPU memory has run out')
        self._cuda.copy(device[STATE_IN], device[STATE_OUT], self._sizes[STATE_IN], self._stream)


def _refuse_foreign(plan: Plan) -> None:
    """Raise ModelError unless the plan has exactly the tensors of a fused step."""
    inputs = {tensor.name for tensor in plan.tensors if tensor.is_input}
    outputs = {tensor.name for tensor in plan.tensors if not tensor.is_input}
    if inputs != set(FUSED_INPUTS) or outputs != set(FUSED_OUTPUTS):
        raise ModelError(f'a plan with inputs {sorted(inputs)} and outputs {sorted(outputs)} is '
                         'not one of a fused step; build it with `videodepth build`')
