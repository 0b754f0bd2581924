# SPDX-License-Identifier: Apache-2.0
"""A fused step in torch on a device, for the streams of one camera or several.

The states of all streams lie side by side; a step gathers those of its batch and scatters the new
ones back. Each batch size is a captured CUDA graph with fixed addresses, and the host synchronises
once per step. In the hybrid variant teacher and student encode on two CUDA streams: the teacher's
image is small and leaves half of the GPU idle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.batching import RequestBatcher
from videodepth_ros.engines.fused import FusedStep
from videodepth_ros.engines.graph import (
    CLOUD,
    DEPTH,
    FUSED_OUTPUTS,
    IMAGE,
    INVERSE_DEPTH,
    PARAMETER_COUNT,
    PARAMETERS,
    STATE_OUT,
    TOTAL,
    Layout,
)
from videodepth_ros.engines.lowering import PRECISIONS, lower_network
from videodepth_ros.engines.teacher_stream import run_teacher_concurrently
from videodepth_ros.models.flashdepth import FlashDepth

WARM_UP_STEPS = 3
"""Steps before a capture, in which kernels are selected and memory is allocated."""

BatchedStep = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""``FusedStep.streams``, possibly compiled."""


@dataclass(frozen=True)
class TorchRequest:
    """One frame of one stream.

    slot     index of the stream
    host     page-locked tensors by name: image and parameters to upload, outputs to download
    reset    whether to zero the stream's state first
    outputs  names of the outputs to download
    """

    slot: int
    host: Mapping[str, Tensor]
    reset: bool
    outputs: Sequence[str]


class TorchPlan:
    """A network at one size on a device, and the streams that share it.

    On the CPU, without graph capture, each step runs eagerly: for tests.
    """

    def __init__(
        self,
        model: FlashDepth,
        name: str,
        layout: Layout,
        *,
        precision: str = 'fp16',
        device: str = 'cuda',
        fuse: bool = False,
    ) -> None:
        """Move ``model``, called ``name`` in the catalogue, to the device.

        precision  ``fp32``, ``fp16`` or ``bf16``, see lowering.py
        fuse       whether to compile with torch.compile: a minute, and needs a C++ compiler
        raises     DeviceError if there is no such device, or its memory does not suffice
        """
        if device != 'cpu' and not torch.cuda.is_available():
            raise DeviceError(
                f'torch {torch.__version__} finds no GPU; check the driver with `nvidia-smi`; '
                '`pip install torch` installs a build with CUDA'
            )
        self.name, self.layout, self.precision = name, layout, precision
        self.device = torch.device(device)
        self.batcher = RequestBatcher(self._advance)
        self._free: list[int] = []
        with self._device_errors():
            network = lower_network(model, layout.width, layout.height, PRECISIONS[precision])
            step = _channels_last(FusedStep(network, layout).eval().to(self.device))
            self._step: BatchedStep = step.streams
            if fuse:
                self._step = torch.compile(step.streams, dynamic=False)
            elif self.device.type == 'cuda':
                run_teacher_concurrently(network, self.device)
            self._batch = StreamBatch(self._step, layout, model.zero_state(0).to(self.device))

    def host_tensors(self) -> dict[str, Tensor]:
        """Allocate the page-locked inputs and outputs of a stream, by name.

        raises  DeviceError if there is not enough memory
        """
        with self._device_errors():
            pinned = self.device.type == 'cuda'
            return {
                name: torch.zeros(shape, dtype=dtype, pin_memory=pinned)
                for name, (shape, dtype) in tensor_specs(self.layout).items()
            }

    def join(self) -> int:
        """Add a stream and return its slot; other streams wait while the batch is enlarged.

        raises  DeviceError if the device's memory does not suffice; the other streams go on
        """

        def grow() -> None:
            if not self._free:
                with self._device_errors():
                    self._batch = self._batch.larger()
                self._free.append(self._batch.streams - 1)
            slots.append(self._free.pop())

        slots: list[int] = []
        self.batcher.run_exclusive(grow)
        return slots[0]

    def leave(self, slot: int) -> None:
        """Remove a stream; its slot is reused."""
        self.batcher.run_exclusive(lambda: self._free.append(slot))

    def read_state(self, slot: int) -> NDArray[np.float32]:
        """Return a copy of a stream's state, (layers, 1, heads, P, N) float32."""
        return self._batch.states[:, slot : slot + 1].cpu().numpy().copy()

    def _advance(self, requests: Sequence[TorchRequest]) -> None:
        with self._device_errors():
            self._batch.advance(requests)

    @contextmanager
    def _device_errors(self) -> Iterator[None]:
        """Convert torch's errors to DeviceError."""
        try:
            yield
        except RuntimeError as error:
            message = ' '.join(str(error).split())
            raise DeviceError(
                f'torch failed on {self.name} on {self.device}: {message[:500]}; '
                'restart the stream and check the free GPU memory'
            ) from error


class StreamBatch:
    """States of a fixed number of streams, and a captured graph per batch size.

    streams  their number
    states   (layers, streams, heads, P, N) float32
    """

    def __init__(self, step: BatchedStep, layout: Layout, states: Tensor) -> None:
        """Allocate all tensors and capture the graphs; ``states`` are the initial ones."""
        self.streams, self.states = states.shape[1], states
        self._step, self._layout = step, layout
        self._captures = states.device.type == 'cuda'
        device = states.device
        self._tensors = {
            name: torch.zeros(self.streams, *shape, dtype=dtype, device=device)
            for name, (shape, dtype) in tensor_specs(layout).items()
        }
        self._slots = torch.arange(self.streams, device=device)
        self._slots_host = torch.zeros(self.streams, dtype=torch.int64, pin_memory=self._captures)
        self._stream: Any = torch.cuda.Stream(device) if self._captures else None
        self._graphs = self._captured() if self._captures else []

    def larger(self) -> StreamBatch:
        """Return a batch with one more stream and the present states."""
        layers, _, *head = self.states.shape
        newcomer = torch.zeros(layers, 1, *head, device=self.states.device)
        return StreamBatch(self._step, self._layout, torch.cat([self.states, newcomer], dim=1))

    def advance(self, requests: Sequence[TorchRequest]) -> None:
        """Compute one frame of each requested stream and synchronise."""
        with torch.cuda.stream(self._stream) if self._captures else nullcontext():
            for k, request in enumerate(requests):
                self._slots_host[k] = request.slot
                if request.reset:
                    self.states[:, request.slot].zero_()
                for name in (IMAGE, PARAMETERS):
                    self._tensors[name][k].copy_(request.host[name], non_blocking=True)
            batch = len(requests)
            self._slots[:batch].copy_(self._slots_host[:batch], non_blocking=True)
            if self._captures:
                self._graphs[batch - 1].replay()
            else:
                self.compute(batch)
            for k, request in enumerate(requests):
                for name in request.outputs:
                    request.host[name].copy_(self._tensors[name][k], non_blocking=True)
        if self._captures:
            self._stream.synchronize()

    @torch.inference_mode()
    def compute(self, batch: int) -> None:
        """Enqueue a step of the first ``batch`` slots at fixed addresses."""
        slots = self._slots[:batch]
        images, parameters = (self._tensors[name][:batch] for name in (IMAGE, PARAMETERS))
        outputs = self._step(images, self.states.index_select(1, slots), parameters)
        for name, output in zip(FUSED_OUTPUTS, outputs, strict=True):
            if name == STATE_OUT:
                self.states.index_copy_(1, slots, output)
            else:
                self._tensors[name][:batch].copy_(output)

    def _captured(self) -> list[Any]:
        """Warm up and capture each batch size; the states are preserved."""
        torch.backends.cudnn.benchmark = True  # sizes are constant: search for the fastest kernels
        kept, pool = self.states.clone(), torch.cuda.graph_pool_handle()
        self._stream.wait_stream(torch.cuda.current_stream())  # which initialised the tensors
        graphs = []
        for batch in range(1, self.streams + 1):
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_STEPS):
                    self.compute(batch)
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Thread-local capture: the thread of another camera may allocate meanwhile.
            with torch.cuda.graph(
                graph, pool=pool, stream=self._stream, capture_error_mode='thread_local'
            ):
                self.compute(batch)
            graphs.append(graph)
        self.states.copy_(kept)
        torch.cuda.current_stream().synchronize()
        return graphs


def tensor_specs(layout: Layout) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return shape and dtype of a stream's inputs and outputs, by name."""
    size, real = (layout.height, layout.width), torch.float32
    return {
        IMAGE: ((layout.camera_height, layout.camera_width, 3), torch.uint8),
        PARAMETERS: ((PARAMETER_COUNT,), real),
        INVERSE_DEPTH: (size, real),
        DEPTH: (size, real),
        CLOUD: ((*size, 4), real),
        TOTAL: ((1,), real),
    }


def _channels_last(step: FusedStep) -> FusedStep:
    """Store convolution weights channels-last, the fastest layout in half precision."""
    for module in step.modules():
        if isinstance(module, torch.nn.Conv2d):
            weight = module.weight.data.contiguous(memory_format=torch.channels_last)
            module.weight = torch.nn.Parameter(weight, requires_grad=False)
    return step
