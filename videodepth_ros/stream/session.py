# SPDX-License-Identifier: Apache-2.0
"""One camera's stream: frames in, depth out, and the recurrent state in between.

The state says what the network has seen. It is set back to zero whenever the next frame does not
follow from the last one, and every such reset is told with its reason.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.engines.engine import Engine, EngineSpec, State
from videodepth_ros.engines.graph import CLOUD, INVERSE_DEPTH, TOTAL
from videodepth_ros.engines.resident import ResidentEngine
from videodepth_ros.frames import DepthMap, Frame, ScaleSource
from videodepth_ros.models.catalogue import ModelCard
from videodepth_ros.models.preprocess import budget_size, network_input, resized_image
from videodepth_ros.stream.postprocess import DepthPostprocessor
from videodepth_ros.stream.scale import Anchor, Scale, scale_of
from videodepth_ros.stream.stabilization import DepthStabilizer


class ResetReason(str, Enum):
    """Why the recurrent state was set back to zero."""

    REQUESTED = 'requested'  # somebody asked for it
    TIME_BACK = 'time_back'  # the stamps ran backwards, as when a bag starts again
    GAP = 'gap'  # the stamps leapt forwards by more than max_gap_s
    SIZE = 'size'  # the image has another size
    FRAME_ID = 'frame_id'  # the image comes from another camera
    CLOCK_JUMP = 'clock_jump'  # the ROS clock was set
    NOT_FINITE = 'not_finite'  # the network answered with NaN, which stays in its state


@dataclass(frozen=True)
class SessionSettings:
    """What an operator may choose; each may change between two frames, ``max_pixels`` too.

    max_gap_s    stamps further apart than this are not one stream
    max_pixels   budget of network pixels; 0: the model's own
    output       'camera' or 'network': whose size the depth has
    max_range_m  beyond this nothing was hit (+inf); 0: no limit
    edge_ratio   neighbouring depths of a greater ratio are two surfaces; 1: there are none
    scale_factor multiplies every depth
    guided       apply the guided filter to depth edges (stream/guided_filter.py)
    steady       stabilise depth across frames (stream/stabilization.py) unless an anchor sets
                 the scale
    """

    max_gap_s: float = 2.0
    max_pixels: int = 0
    output: str = 'camera'
    max_range_m: float = 0.0
    edge_ratio: float = 1.25
    scale_factor: float = 1.0
    guided: bool = False
    steady: bool = False


@dataclass(frozen=True)
class StepResult:
    """What one frame became.

    reset  why the state was zero before it, if it had to be
    cloud  (h, w, 4) float32, x, y, z in metres and packed colours, where it was asked for and the
           engine has made it at the depth's size, see messages/cloud.py; it holds until the next
           step. None: the reader makes it of the depth
    """

    depth: DepthMap
    reset: ResetReason | None
    engine_s: float
    cloud: NDArray[np.float32] | None = None


class _LastFrame(NamedTuple):
    """What is kept of the last frame."""

    stamp_ns: int
    frame_id: str
    size: tuple[int, int]


class DepthSession:
    """The depth of one camera; used by one thread, but anybody may ask for a reset."""

    def __init__(
        self,
        card: ModelCard,
        open_engine: Callable[[int, int], Engine],
        settings: SessionSettings,
        anchor: Anchor | None = None,
    ) -> None:
        """Prepare a stream; ``anchor`` is what tells its metres, if anything does."""
        self.settings = settings
        self._anchor = anchor
        self._steady = DepthStabilizer()
        self._metres_by: tuple[float, bool] | None = None  # factor, and whether calibrated
        self._card = card
        self._open_engine = open_engine
        self._engine: Engine | None = None
        self._state: State | None = None
        self._last: _LastFrame | None = None
        self._requests: deque[ResetReason] = deque(maxlen=1)

    @property
    def spec(self) -> EngineSpec | None:
        """What the open engine computes; None before the first frame."""
        return self._engine.spec if self._engine else None

    def request_reset(self, reason: ResetReason = ResetReason.REQUESTED) -> None:
        """Set the state to zero before the next frame."""
        self._requests.append(reason)

    def is_open_for(self, width: int, height: int) -> bool:
        """Tell whether images of this size can be stepped without opening an engine first."""
        spec = self.spec
        return spec is not None and (spec.width, spec.height) == self._network_size(width, height)

    def open(self, width: int, height: int) -> Engine:
        """Return the engine for images of this size, opened if need be, which may take minutes.

        raises  InputError if the image is too small, else whatever opening an engine raises
        """
        if self._engine is None or not self.is_open_for(width, height):
            size = self._network_size(width, height)
            self._close_engine()
            self._engine = self._open_engine(*size)
        return self._engine

    def step(
        self, frame: Frame, *, with_confidence: bool = True, cloud_range_m: float | None = None
    ) -> StepResult:
        """Compute the depth of the next frame.

        with_confidence  False saves its time where nobody reads it
        cloud_range_m    points up to this Z are wanted, if the engine makes them; None: none are
        raises  InputError if this frame cannot be used; the next one may. DeviceError or
                ModelError if the engine failed
        """
        self._refuse_repeated(frame)
        engine = self.open(*frame.size)
        make_input = resized_image if engine.spec.takes_bytes else network_input
        image = make_input(frame.image, engine.spec.width, engine.spec.height)
        reset = self._reset_before(frame)
        if reset and self._anchor:
            self._anchor.restart()
        metres_by = self.settings.scale_factor, frame.camera is not None
        if reset or self._state is None or not self._is_steadied or metres_by != self._metres_by:
            self._steady.restart()  # it would keep the scale that was before
        self._metres_by = metres_by
        finish = self._finish(frame, engine.spec, with_confidence, cloud_range_m)
        state = engine.zero_state() if reset or self._state is None else self._state
        self._state = None
        on = self._on_device if self._finishes(engine, finish) else self._on_host
        result, self._state = on(engine, frame, image, state, finish)
        return replace(result, reset=reset)

    def forget(self) -> None:
        """Forget the stream, so that the next frame starts another one; the engine stays open."""
        self._state = self._last = None
        self._requests.clear()

    def close(self) -> None:
        """Free the engine and forget the stream; the next frame starts another one."""
        self._close_engine()
        self.forget()

    def _close_engine(self) -> None:
        self._state = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _network_size(self, width: int, height: int) -> tuple[int, int]:
        budget = self.settings.max_pixels or self._card.max_pixels
        size = budget_size(width, height, budget, self._card.patch)
        if min(size) < self._card.min_size_px:
            raise InputError(
                f'an image of {width}x{height} pixels makes a network input of '
                f'{size[0]}x{size[1]} within max_pixels {budget}, but '
                f'{self._card.name} needs {self._card.min_size_px} each way; '
                'give larger images or a larger max_pixels'
            )
        return size

    def _refuse_repeated(self, frame: Frame) -> None:
        last = self._last
        if last and (last.stamp_ns, last.frame_id) == (frame.stamp_ns, frame.frame_id):
            raise InputError(
                f'a second image of {frame.frame_id!r} has the stamp '
                f'{frame.stamp_ns * 1e-9:.9f}; stamp images when they are taken, '
                'and have one publisher on the topic'
            )

    def _reset_before(self, frame: Frame) -> ResetReason | None:
        """Return why ``frame`` does not follow from the last one; None if it does."""
        request = self._requests.pop() if self._requests else None
        last = self._last
        if request or last is None:
            return request if last else None
        step_s = (frame.stamp_ns - last.stamp_ns) * 1e-9
        broken = {
            ResetReason.SIZE: frame.size != last.size,
            ResetReason.FRAME_ID: frame.frame_id != last.frame_id,
            ResetReason.TIME_BACK: step_s < 0,
            ResetReason.GAP: step_s > self.settings.max_gap_s,
        }
        return next((reason for reason, holds in broken.items() if holds), None)

    def _finish(
        self, frame: Frame, spec: EngineSpec, with_confidence: bool, cloud_range_m: float | None
    ) -> DepthPostprocessor:
        settings = self.settings
        size = frame.size if settings.output == 'camera' else (spec.width, spec.height)
        return DepthPostprocessor(
            self._scale(frame),
            *size,
            guided=settings.guided,
            max_range_m=settings.max_range_m,
            edge_ratio=settings.edge_ratio,
            with_confidence=with_confidence,
            cloud_range_m=cloud_range_m if frame.camera else None,
        )

    def _scale(self, frame: Frame) -> Scale:
        """Return the scale of a frame: that of the anchor, once it knows one."""
        factor = self.settings.scale_factor
        metres = self._anchor.metres(frame.stamp_ns) if self._anchor else None
        if metres is not None:
            return Scale(factor * metres, ScaleSource.PRIOR)
        return scale_of(self._card.unit, frame.camera, factor)

    @property
    def _is_steadied(self) -> bool:
        return self.settings.steady and not self._anchor

    def _finishes(self, engine: Engine, finish: DepthPostprocessor) -> bool:
        """Tell whether the engine can finish the depth itself: its size, its scale beforehand."""
        size = engine.spec.width, engine.spec.height
        return (
            isinstance(engine, ResidentEngine)
            and not self._is_steadied
            and not finish.guided
            and (finish.width, finish.height) == size
        )

    def _on_device(
        self,
        engine: Engine,
        frame: Frame,
        image: NDArray[Any],
        state: State,
        finish: DepthPostprocessor,
    ) -> tuple[StepResult, State]:
        assert isinstance(engine, ResidentEngine)
        wanted, start_s = finish.wanted(self._anchor is not None), time.perf_counter()
        found, after = engine.run(image, state, wanted, finish.view(frame))
        engine_s = time.perf_counter() - start_s
        self._accept(frame, engine.spec, math.isfinite(found[TOTAL][0]))
        if self._anchor:
            self._anchor.offer(frame, found[INVERSE_DEPTH])
        depth = finish.on_device(frame, found)
        return StepResult(depth, None, engine_s, found.get(CLOUD)), after

    def _on_host(
        self,
        engine: Engine,
        frame: Frame,
        image: NDArray[Any],
        state: State,
        finish: DepthPostprocessor,
    ) -> tuple[StepResult, State]:
        start_s = time.perf_counter()
        inverse_depth, after = engine.step(image, state)
        engine_s = time.perf_counter() - start_s
        self._accept(frame, engine.spec, bool(np.isfinite(inverse_depth.sum())))
        if self._anchor:
            self._anchor.offer(frame, inverse_depth)
        if self._is_steadied:
            depth_m = finish.scale.depth_m(inverse_depth)
            inverse_depth = inverse_depth / self._steady.correction(frame, depth_m)
        return StepResult(finish.on_host(frame, inverse_depth), None, engine_s), after

    def _accept(self, frame: Frame, spec: EngineSpec, is_finite: bool) -> None:
        """Note that a frame has been computed.

        raises  InputError if not to a finite answer
        """
        self._last = _LastFrame(frame.stamp_ns, frame.frame_id, frame.size)
        if not is_finite:
            self.request_reset(ResetReason.NOT_FINITE)
            raise InputError(
                f'{spec.model} answered with NaN or infinity on {spec.device} '
                f'({spec.precision}); the state is reset; use fp32 if this happens '
                'again'
            )
