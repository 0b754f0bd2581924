# SPDX-License-Identifier: Apache-2.0
"""A fused step in torch on the GPU: for machines that have torch and no TensorRT.

The whole step, from the image on the device to the next state in the place of the last one, is a
captured graph: all addresses are fixed, and the host waits once a frame, for the answer. In the
hybrid variant teacher and student encode on two streams, for the teacher's image is small and
leaves the GPU half idle. Attention is torch's fused one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videodepth_ros.engines.engine import EngineSpec, State, TensorSpec, check_image
from videodepth_ros.engines.fused import FusedStep
from videodepth_ros.engines.graph import (
    CLOUD,
    FUSED_OUTPUTS,
    IMAGE,
    INVERSE_DEPTH,
    STATE_IN,
    STATE_OUT,
    TOTAL,
    VIEW,
    Layout,
    View,
)
from videodepth_ros.engines.lowering import PRECISIONS, lowered
from videodepth_ros.engines.side_stream import encode_teacher_aside
from videodepth_ros.engines.tensorrt_engine import DeviceState
from videodepth_ros.errors import DeviceError, InputError
from videodepth_ros.models.flashdepth import FlashDepth

WARM_UP_STEPS = 3
"""Before a capture kernels are chosen and memory is taken, as torch's notes on graphs ask."""

Array = NDArray[Any]


class TorchCudaEngine:
    """One stream of a FlashDepth on a torch device.

    On the CPU, where nothing can be captured, each step runs as it is: for tests of the logic.
    """

    _numbers = itertools.count(1)

    def __init__(self, model: FlashDepth, name: str, width: int, height: int, *,
                 precision: str = 'fp16', device: str = 'cuda',
                 camera: tuple[int, int] | None = None, fuse: bool = False) -> None:
        """Put ``model`` on the device and capture its step.

        precision  ``fp32``, ``fp16`` or ``bf16``, see lowering.py
        camera     width and height of the images; None: those of the network
        fuse       whether torch.compile writes kernels of its own, which takes a minute and a
                   compiler on the machine
        raises     DeviceError if there is no such device, or its memory does not suffice
        """
        if device != 'cpu' and not torch.cuda.is_available():
            raise DeviceError(f'torch {torch.__version__} sees no GPU; `nvidia-smi` tells whether '
                              'the driver does, `pip install torch` brings one built with CUDA')
        self._device = torch.device(device)
        self._captures = self._device.type == 'cuda'
        layout = Layout(*(camera or (width, height)), width, height)
        self._current: int | None = 0
        self._graph: Any = None
        try:
            network = lowered(model, width, height, PRECISIONS[precision])
            self._step: Any = _channels_last(FusedStep(network, layout).eval().to(self._device))
            self._allocate(layout, model.zero_state().shape)
            if fuse:
                self._step = torch.compile(self._step, dynamic=False)
            elif self._captures:
                encode_teacher_aside(network, self._device)
            self._prepare()
        except RuntimeError as error:
            raise self._failure(name, error) from error
        self.spec = self._spec(name, precision)

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
        """Compute one frame and fetch some of its outputs, see ``TensorRtEngine.run``."""
        check_image(image, self.spec)
        number = state.number if isinstance(state, DeviceState) else None
        if number is None or number not in (0, self._current):
            raise InputError('the state of this stream has been overwritten on the device: only '
                             'the last one and zero_state() can be continued')
        self._host[IMAGE].numpy()[...] = image
        if view is not None:
            self._host[VIEW].numpy()[...] = view.values()
        self._current = None      # until the step is done its state is nobody's
        try:
            with self._on_stream():
                if number == 0:
                    self._inputs[STATE_IN].zero_()
                for name in (IMAGE, VIEW):
                    self._inputs[name].copy_(self._host[name], non_blocking=True)
                if self._graph is None:
                    self._compute()
                else:
                    self._graph.replay()
                for name in wanted:
                    self._host[name].copy_(self._outputs[name], non_blocking=True)
            self._synchronize()
        except RuntimeError as error:
            raise self._failure(self.spec.model, error) from error
        self._current = next(self._numbers)
        found = {name: self._host[name].numpy() for name in wanted}
        return MappingProxyType(found), State(DeviceState(self._current))

    def read_state(self) -> NDArray[np.float32]:
        """Return a copy of the last state, (layers, 1, heads, P, N) float32."""
        return self._inputs[STATE_IN].cpu().numpy().copy()

    def close(self) -> None:
        """Free weights, graph and buffers."""
        self._current = None
        for name in ('_graph', '_step', '_inputs', '_outputs', '_host'):
            self.__dict__.pop(name, None)

    def _allocate(self, layout: Layout, state_shape: Sequence[int]) -> None:
        shape = (layout.camera_height, layout.camera_width, 3)
        self._inputs = {
            IMAGE: torch.zeros(shape, dtype=torch.uint8, device=self._device),
            STATE_IN: torch.zeros(tuple(state_shape), device=self._device),
            VIEW: torch.ones(7, device=self._device)}
        size = layout.height, layout.width
        shapes = {INVERSE_DEPTH: size, 'depth': size, CLOUD: (*size, 4), TOTAL: (1,)}
        self._outputs = {name: torch.zeros(shape, device=self._device)
                         for name, shape in shapes.items()}
        self._host = {
            name: torch.zeros(tensor.shape, dtype=tensor.dtype, pin_memory=self._captures)
            for name, tensor in (*self._inputs.items(), *self._outputs.items())
            if name != STATE_IN}
        ahead = View(0.8 * layout.width, 0.8 * layout.width, (layout.width - 1) / 2,
                     (layout.height - 1) / 2)
        self._host[VIEW].copy_(torch.from_numpy(ahead.values()))

    def _prepare(self) -> None:
        """Run the step until nothing is new any more, capture it, and forget the state."""
        if not self._captures:
            return
        torch.backends.cudnn.benchmark = True   # sizes never change, so the best is worth finding
        self._stream = torch.cuda.Stream(self._device)
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UP_STEPS):
                self._compute()
        self._synchronize()
        graph = torch.cuda.CUDAGraph()
        # Another camera's thread may allocate meanwhile, so only this thread is watched.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode='thread_local'):
            self._compute()
        self._graph = graph

    @torch.inference_mode()
    def _compute(self) -> None:
        """Put one step into the stream: everything in it has a fixed place."""
        answers = self._step(self._inputs[IMAGE], self._inputs[STATE_IN], self._inputs[VIEW])
        for name, answer in zip(FUSED_OUTPUTS, answers, strict=True):
            target = self._inputs[STATE_IN] if name == STATE_OUT else self._outputs[name]
            target.copy_(answer)

    def _on_stream(self) -> Any:
        return torch.cuda.stream(self._stream) if self._captures else torch.inference_mode()

    def _synchronize(self) -> None:
        if self._captures:
            self._stream.synchronize()

    def _spec(self, name: str, precision: str) -> EngineSpec:
        def specs(tensors: Mapping[str, Tensor]) -> tuple[TensorSpec, ...]:
            return tuple(TensorSpec(key, tuple(tensor.shape), str(tensor.dtype).partition('.')[2])
                         for key, tensor in tensors.items())
        device = (torch.cuda.get_device_name(self._device) if self._captures else 'CPU')
        height, width = self._outputs[INVERSE_DEPTH].shape
        return EngineSpec(
            model=name, engine='torch-cuda', precision=precision, width=width, height=height,
            device=f'{device}, torch {torch.__version__}', inputs=specs(self._inputs),
            outputs=specs({**self._outputs, STATE_OUT: self._inputs[STATE_IN]}))

    def _failure(self, name: str, error: RuntimeError) -> DeviceError:
        words = ' '.join(str(error).split())
        return DeviceError(f'torch failed on {name} on {self._device}: {words[:500]}; restart the '
                           'stream, and see whether GPU memory has run out')


def _channels_last(step: FusedStep) -> FusedStep:
    """Lay convolutions out as tokens are, and as half-precision convolutions are fastest."""
    for module in step.modules():
        if isinstance(module, torch.nn.Conv2d):
            weight = module.weight.data.contiguous(memory_format=torch.channels_last)
            module.weight = torch.nn.Parameter(weight, requires_grad=False)
    return step
