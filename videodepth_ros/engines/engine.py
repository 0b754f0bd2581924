# SPDX-License-Identifier: Apache-2.0
"""What every engine is: one streaming step at one fixed size, its state held by the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NewType, Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError

State = NewType('State', object)
"""The recurrent state of one stream, opaque: an array of the engine's own device.

A step never writes into the state that it is given, so a caller may keep an old one and go back.
Engines whose state lies on a device are the exception: they name it, keep only the newest, and
refuse the name of an older one with an InputError.
"""


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and numpy dtype name of one tensor that goes in or out."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class EngineSpec:
    """What an engine computes, and at which size.

    model      name in the catalogue
    engine     name of the engine, e.g. ``onnx``
    device     what it runs on, in words for diagnostics
    precision  ``fp32`` or ``fp16``
    width, height  size of the network's input and of its output, in pixels
    notes      what happened while it was opened, one sentence each, for the log: built, rebuilt
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

    @property
    def takes_bytes(self) -> bool:
        """Whether the image goes in as the camera's bytes, (H, W, 3) uint8."""
        return bool(self.inputs) and self.inputs[0].dtype == 'uint8'


def check_image(image: NDArray[Any], spec: EngineSpec) -> None:
    """Raise InputError unless the image is what the first input of ``spec`` takes.

    That is (3, height, width) float32, or for a fused step the camera's (H, W, 3) uint8.
    """
    taken = spec.inputs[0]
    wanted = taken.shape if spec.takes_bytes else taken.shape[1:]
    if image.shape != wanted or image.dtype != taken.dtype:
        make = 'sized_image' if spec.takes_bytes else 'network_input'
        raise InputError(
            f'the engine takes a {taken.dtype} image of {wanted}, not {image.dtype} '
            f'of {image.shape}; make it with preprocess.{make}'
        )


class Engine(Protocol):
    """A streaming depth network, ready to run."""

    @property
    def spec(self) -> EngineSpec:
        """What this engine computes."""

    def zero_state(self) -> State:
        """Return the state before the first frame: all zero, which is also what a reset is."""

    def step(self, image: NDArray[Any], state: State) -> tuple[NDArray[np.float32], State]:
        """Compute one frame.

        image    (3, H, W) float32, normalised network input at the size of ``spec``; where
                 ``spec.takes_bytes``, (H, W, 3) uint8 of the shape of its first input
        state    what the last step returned, or ``zero_state()``
        returns  inverse depth (H, W) float32, >= 0, higher is nearer, 0 is infinitely far, in the
                 unit that the catalogue states for the model; and the state after this frame
        raises   InputError if the image has another shape, DeviceError if the device fails
        """

    def close(self) -> None:
        """Free the device's memory; the engine cannot be used afterwards."""
