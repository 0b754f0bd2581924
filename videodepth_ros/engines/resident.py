# SPDX-License-Identifier: Apache-2.0
"""Common base of engines with a device-resident state.

The caller holds a handle of the state; only the newest state exists. Inputs and outputs lie in
page-locked memory that is allocated once; results are copied out of it.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
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
    """Handle of a device-resident state; 0 is the state before the first frame."""

    number: int


@dataclass(frozen=True)
class DeviceOutput:
    """An output of the last step, valid until the next one.

    host  the values that were fetched
    copy  copies them on the device, to memory at an address
    """

    host: Array
    copy: Callable[[int], None]


@dataclass
class TransferCounts:
    """Bytes transferred between host and device."""

    up_bytes: int = 0
    down_bytes: int = 0


class ResidentEngine(ABC):
    """One stream of a fused step; subclasses implement ``_advance``.

    spec     specification
    traffic  bytes transferred by its frames
    _host    page-locked input and output arrays by tensor name, for the engine's lifetime
    """

    spec: EngineSpec
    _host: Mapping[str, Array]
    _numbers = itertools.count(1)

    def __init__(self) -> None:
        """Start with the state before the first frame."""
        self.traffic = TransferCounts()
        self._newest: int | None = 0

    @abstractmethod
    def _advance(self, reset: bool, outputs: Sequence[str]) -> None:
        """Upload image and parameters from ``_host``, step, download ``outputs``, synchronise.

        reset   whether to zero the state first
        raises  DeviceError if the device fails
        """

    @abstractmethod
    def read_state(self) -> NDArray[np.float32]:
        """Return a copy of the last state, (layers, 1, heads, P, N) float32; allocates."""

    def device_output(self, name: str) -> DeviceOutput | None:
        """Return an output that the last step fetched; None where others overwrite its memory."""
        return None

    def zero_state(self) -> State:
        """Return the state before the first frame."""
        return State(DeviceState(0))

    def step(self, image: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """Compute one frame of a (H, W, 3) uint8 image, see ``Engine.step``.

        The inverse depth is all NaN if any value of it or of the state is not finite.
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
        parameters: FrameParameters | None = None,
    ) -> tuple[Mapping[str, Array], State]:
        """Compute one frame and fetch some of its outputs.

        image    (camera_height, camera_width, 3) uint8
        state    of the last step, or ``zero_state()``: older ones are overwritten
        outputs  names from ``graph.FUSED_OUTPUTS`` without the state
        parameters  for depth in metres and the cloud; None: as before
        returns  page-locked arrays by name, valid until the next step; and the state
        raises   InputError if image or state do not fit, DeviceError if the device fails
        """
        check_image(image, self.spec)
        number = self._check_state(state)
        np.copyto(self._host[IMAGE], image)
        if parameters is not None:
            np.copyto(self._host[PARAMETERS], parameters.values())
        self._newest = None  # invalid until the step is done
        self._advance(number == 0, outputs)
        self._newest = next(self._numbers)
        found = {name: self._host[name] for name in outputs}
        self.traffic.up_bytes += self._host[IMAGE].nbytes + self._host[PARAMETERS].nbytes
        self.traffic.down_bytes += sum(array.nbytes for array in found.values())
        return MappingProxyType(found), State(DeviceState(self._newest))

    def _check_state(self, state: State) -> int:
        """Return the number of a state.

        raises  InputError if it has been overwritten
        """
        number = state.number if isinstance(state, DeviceState) else None
        if number is None or number not in (0, self._newest):
            raise InputError(
                'the state of this stream has been overwritten on the device: only '
                'the last one and zero_state() can be continued'
            )
        return number


def default_parameters(width: int, height: int) -> NDArray[np.float32]:
    """Return ``FrameParameters.values`` of a lens of ordinary focal length."""
    lens = Intrinsics.centred(width, height, DEFAULT_FOCAL_LENGTH_FACTOR * width)
    return FrameParameters(lens.fx, lens.fy, lens.cx, lens.cy).values()
