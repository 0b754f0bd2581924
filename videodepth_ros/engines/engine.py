# SPDX-License-Identifier: Apache-2.0
"""Engine interface: one streaming step at a fixed size; the caller holds the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError

State = NewType('State', object)
"""Opaque recurrent state of one stream.

A step never modifies the state it is given, so that a caller may return to an older one. Engines
with a device-resident state return a handle, keep the newest state only, and raise InputError for
the handle of an older one.
"""


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and numpy dtype name of an input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class EngineSpec:
    """Specification of an open engine.

    model      name in the catalogue
    engine     name of the engine, e.g. ``onnx``
    device     description of the device, for diagnostics
    precision  ``fp32``, ``fp16`` or ``bf16``
    width, height  size of the network's input and output [px]
    notes      events while it was opened, one sentence each, for the log
    gpu        PCI address or UUID (``GPU-...``) of the NVIDIA GPU that computes; empty: none
    """

    model: str
    engine: str
    device: str
    precision: str
    width: int
    height: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...] = ()
    gpu: str = ''

    @property
    def takes_bytes(self) -> bool:
        """Whether the input is the camera's image, (H, W, 3) uint8."""
        return bool(self.inputs) and self.inputs[0].dtype == 'uint8'


def check_image(image: NDArray[Any], spec: EngineSpec) -> None:
    """Raise InputError unless the image matches the first input of ``spec``.

    That is (3, height, width) float32, or (H, W, 3) uint8 for a fused step.
    """
    expected = spec.inputs[0]
    shape = expected.shape if spec.takes_bytes else expected.shape[1:]
    if image.shape != shape or image.dtype != expected.dtype:
        function = 'resized_image' if spec.takes_bytes else 'network_input'
        raise InputError(
            f'the engine takes a {expected.dtype} image of {shape}, not {image.dtype} '
            f'of {image.shape}; make it with preprocess.{function}'
        )


class Engine(Protocol):
    """A streaming depth network, ready to run."""

    @property
    def spec(self) -> EngineSpec:
        """Specification of this engine."""

    def zero_state(self) -> State:
        """Return the state before the first frame: all zero."""

    def step(self, image: NDArray[Any], state: State) -> tuple[NDArray[np.float32], State]:
        """Compute one frame.

        image    (3, H, W) float32, normalised, at the size of ``spec``; (H, W, 3) uint8 where
                 ``spec.takes_bytes``
        state    of the last step, or ``zero_state()``
        returns  inverse depth (H, W) float32, >= 0, 0 at infinity, in the unit of the model;
                 and the state after this frame
        raises   InputError if the image has another shape, DeviceError if the device fails
        """

    def close(self) -> None:
        """Free all memory; the engine is unusable afterwards."""
