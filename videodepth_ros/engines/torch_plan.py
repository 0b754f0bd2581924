# SPDX-License-Identifier: Apache-2.0
"""A fused step in torch on a device, for the streams of one camera or several.

The states of all streams lie side by side. A step takes a batch of streams: their states are
picked out, and their next states put in the place of the last ones. For each size of a batch this
is a captured graph: all addresses are fixed, and the host waits once, for the answers. In the
hybrid variant teacher and student encode on two streams, for the teacher's image is small and
leaves the GPU half idle. Attention is torch's fused one.
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
    CONFIDENCE,
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
"""Before a capture kernels are chosen and memory is taken, as torch's notes on graphs ask."""

BatchedStep = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""``FusedStep.streams``, or what a compiler has made of it."""


@dataclass(frozen=True)
class TorchRequest:
    """One frame of one stream.

    slot    the place of the stream
    host    page-locked tensors by name: image and view that go up, outputs that come back
    afresh  whether the state of the stream is to be zero first
    wanted  names of the outputs that come back
    """

    slot: int
    host: Mapping[str, Tensor]
    reset: bool
    outputs: Sequence[str]


class TorchPlan:
    """A network at one size on a device, and the streams that run it.

    On the CPU, where nothing can be captured, each step runs as it is: for tests of the logic.
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
        """Put ``model``, called ``name`` in the catalogue, on the device.

        precision  ``fp32``, ``fp16`` or ``bf16``, see lowering.py
        fuse       whether torch.compile writes kernels of its own, which takes a minute and a
                   compiler on the machine
        raises     DeviceError if there is no such device, or its memory does not suffice
        """
        if device != 'cpu' and not torch.cuda.is_available():
            raise DeviceError(
                f'torch {torch.__version__} sees no GPU; `nvidia-smi` tells whether '
                'the driver does, `pip install torch` brings one built with CUDA'
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
            self._room = StreamBatch(self._step, layout, model.zero_state(0).to(self.device))

    def host_tensors(self) -> dict[str, Tensor]:
        """Return what a stream sends up, image and view, and gets back, by name: page-locked.

        raises  DeviceError if there is not so much memory
        """
        with self._device_errors():
            pinned = self.device.type == 'cuda'
            return {
                name: torch.zeros(shape, dtype=dtype, pin_memory=pinned)
                for name, (shape, dtype) in tensor_specs(self.layout).items()
            }

    def join(self) -> int:
        """Return a place for another stream; the others wait while their room is made larger.

        raises  DeviceError if the device's memory does not suffice; the others go on
        """

        def grow() -> None:
            if not self._free:
                with self._device_errors():
                    self._room = self._room.larger()
                self._free.append(self._room.streams - 1)
            places.append(self._free.pop())

        places: list[int] = []
        self.batcher.run_exclusive(grow)
        return places[0]

    def leave(self, slot: int) -> None:
        """Give a place back."""
        self.batcher.run_exclusive(lambda: self._free.append(slot))

    def read_state(self, slot: int) -> NDArray[np.float32]:
        """Return a copy of the state of a stream, (layers, 1, heads, P, N) float32."""
        return self._room.states[:, slot : slot + 1].cpu().numpy().copy()

    def _advance(self, requests: Sequence[TorchRequest]) -> None:
        with self._device_errors():
            self._room.advance(requests)

    @contextmanager
    def _device_errors(self) -> Iterator[None]:
        """Put torch's errors into words of this package."""
        try:
            yield
        except RuntimeError as error:
            words = ' '.join(str(error).split())
            raise DeviceError(
                f'torch failed on {self.name} on {self.device}: {words[:500]}; '
                'restart the stream, and see whether GPU memory has run out'
            ) from error


class StreamBatch:
    """Place for a number of streams on the device: their states, and a graph for each batch.

    streams  their number
    states   (layers, streams, heads, P, N) float32
    """

    def __init__(self, step: BatchedStep, layout: Layout, states: Tensor) -> None:
        """Allocate everything and capture the graphs; ``states`` are those to begin with."""
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
        """Return a room with place for one stream more, the states as they are here."""
        layers, _, *head = self.states.shape
        newcomer = torch.zeros(layers, 1, *head, device=self.states.device)
        return StreamBatch(self._step, self._layout, torch.cat([self.states, newcomer], dim=1))

    def advance(self, requests: Sequence[TorchRequest]) -> None:
        """Compute one frame of each of some streams, and wait for the answers."""
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
        """Put a step of the first ``batch`` slots in line: everything in it has a fixed place."""
        slots = self._slots[:batch]
        images, views = (self._tensors[name][:batch] for name in (IMAGE, PARAMETERS))
        answers = self._step(images, self.states.index_select(1, slots), views)
        for name, answer in zip(FUSED_OUTPUTS, answers, strict=True):
            if name == STATE_OUT:
                self.states.index_copy_(1, slots, answer)
            else:
                self._tensors[name][:batch].copy_(answer)

    def _captured(self) -> list[Any]:
        """Run each batch until nothing is new any more, and capture it; the states stay."""
        torch.backends.cudnn.benchmark = True  # sizes never change, so the best is worth finding
        kept, pool = self.states.clone(), torch.cuda.graph_pool_handle()
        self._stream.wait_stream(torch.cuda.current_stream())  # which has filled the tensors
        graphs = []
        for batch in range(1, self.streams + 1):
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_STEPS):
                    self.compute(batch)
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Another camera's thread may allocate meanwhile, so only this thread is watched.
            with torch.cuda.graph(
                graph, pool=pool, stream=self._stream, capture_error_mode='thread_local'
            ):
                self.compute(batch)
            graphs.append(graph)
        self.states.copy_(kept)
        torch.cuda.current_stream().synchronize()
        return graphs


def tensor_specs(layout: Layout) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return shape and type of what a stream sends up and gets back, by name."""
    size, real = (layout.height, layout.width), torch.float32
    return {
        IMAGE: ((layout.camera_height, layout.camera_width, 3), torch.uint8),
        PARAMETERS: ((PARAMETER_COUNT,), real),
        INVERSE_DEPTH: (size, real),
        DEPTH: (size, real),
        CONFIDENCE: (size, real),
        CLOUD: ((*size, 4), real),
        TOTAL: ((1,), real),
    }


def _channels_last(step: FusedStep) -> FusedStep:
    """Lay convolutions out as tokens are, and as half-precision convolutions are fastest."""
    for module in step.modules():
        if isinstance(module, torch.nn.Conv2d):
            weight = module.weight.data.contiguous(memory_format=torch.channels_last)
            module.weight = torch.nn.Parameter(weight, requires_grad=False)
    return step
