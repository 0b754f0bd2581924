# SPDX-License-Identifier: Apache-2.0
"""What engines have in common whose state stays on the device.

The caller holds the name of a state, and only the newest one is there. What goes up and comes back
lies in page-locked memory that was taken once; an answer is copied out of it.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.engines.engine import EngineSpec, State, check_image
from videodepth_ros.engines.graph import IMAGE, INVERSE_DEPTH, PARAMETERS, TOTAL, FrameParameters
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics

Array = NDArray[Any]


@dataclass(frozen=True)
class DeviceState:
    """The name of a state that lies on the device; 0 is the one before the first frame."""

    number: int


@dataclass
class TransferCounts:
    """Bytes that have crossed the bus, for tests and benchmarks."""

    up_bytes: int = 0
    down_bytes: int = 0


class ResidentEngine(ABC):
    """One stream of a fused step; a kind of engine says how a step gets done.

    spec     what it computes
    traffic  what its frames have taken across the bus
    _host    what goes up and comes back, by tensor name: page-locked, for the engine's whole life
    """

    spec: EngineSpec
    _host: Mapping[str, Array]
    _numbers = itertools.count(1)

    def __init__(self) -> None:
        """Begin with the state before the first frame."""
        self.traffic = TransferCounts()
        self._newest: int | None = 0

    @abstractmethod
    def _advance(self, reset: bool, outputs: Sequence[str]) -> None:
        """Compute one frame: upload ``_host``'s image and view, step, fetch what is wanted, wait.

        afresh  whether the state is to be zero first
        raises  DeviceError if the device fails
        """

    @abstractmethod
    def read_state(self) -> NDArray[np.float32]:
        """Return a copy of the last state, (layers, 1, heads, P, N) float32; it allocates."""

    def zero_state(self) -> State:
        """Return the state before the first frame."""
        return State(DeviceState(0))

    def step(self, image: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """Compute one frame, see ``Engine.step``; the image is (H, W, 3) uint8.

        If any number of the answer or of the state is not finite, the answer is all NaN.
        """
        found, after = self.run(image, state, (INVERSE_DEPTH, TOTAL))
        inverse_depth = np.array(found[INVERSE_DEPTH])
        if not math.isfinite(found[TOTAL][0]):
            inverse_depth.fill(np.nan)
        return inverse_depth, after

    def run(
        self,
        image: NDArray[np.uint8],
        state: State,
        outputs: Sequence[str],
        view: FrameParameters | None = None,
    ) -> tuple[Mapping[str, Array], State]:
        """Compute one frame and fetch some of its outputs.

        image    (camera_height, camera_width, 3) uint8
        state    what the last step returned, or ``zero_state()``: older ones are overwritten
        wanted   names from ``graph.FUSED_OUTPUTS`` but the state's
        view     for depth in metres and the cloud; None: as it was
        returns  arrays in page-locked memory that the next step overwrites, by name
        raises   InputError if image or state do not fit, DeviceError if the device fails
        """
        check_image(image, self.spec)
        number = self._check_state(state)
        np.copyto(self._host[IMAGE], image)
        if view is not None:
            np.copyto(self._host[PARAMETERS], view.values())
        self._newest = None  # until the step is done its state is nobody's
        self._advance(number == 0, outputs)
        self._newest = next(self._numbers)
        found = {name: self._host[name] for name in outputs}
        self.traffic.up_bytes += self._host[IMAGE].nbytes + self._host[PARAMETERS].nbytes
        self.traffic.down_bytes += sum(array.nbytes for array in found.values())
        return MappingProxyType(found), State(DeviceState(self._newest))

    def _check_state(self, state: State) -> int:
        """Return the number of a state.

        raises  InputError if it is not on the device any more
        """
        number = state.number if isinstance(state, DeviceState) else None
        if number is None or number not in (0, self._newest):
            raise InputError(
                'the state of this stream has been overwritten on the device: only '
                'the last one and zero_state() can be continued'
            )
        return number


def default_parameters(width: int, height: int) -> NDArray[np.float32]:
    """Return ``View.values`` of an ordinary lens, for streams that nobody has told theirs."""
    lens = Intrinsics.centred(width, height, DEFAULT_FOCAL_LENGTH_FACTOR * width)
    return FrameParameters(lens.fx, lens.fy, lens.cx, lens.cy).values()
