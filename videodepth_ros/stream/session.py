# SPDX-License-Identifier: Apache-2.0
"""Depth stream of one camera: frames in, depth out, with a recurrent state.

The state is reset to zero before a frame that does not continue the stream; each reset is returned
with its reason.
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

from videodepth_ros.core.arrays import Float32Array, UInt8Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.engines.engine import Engine, EngineSpec, State
from videodepth_ros.engines.graph import CLOUD, DEPTH, INVERSE_DEPTH, TOTAL
from videodepth_ros.engines.resident import DeviceOutput, ResidentEngine
from videodepth_ros.frames import DepthMap, Frame, ScaleSource
from videodepth_ros.models.catalogue import ModelCard
from videodepth_ros.models.imagenet import MEAN, STD
from videodepth_ros.models.preprocess import normalised, resized_frame
from videodepth_ros.stream.confidence import ErrorEstimator
from videodepth_ros.stream.motion_stereo import compile_kernels
from videodepth_ros.stream.postprocess import DepthPostprocessor
from videodepth_ros.stream.scale import Anchor, Scale, fixed_scale, scale_of
from videodepth_ros.stream.temporal_filter import TemporalFilter


class ResetReason(str, Enum):
    """Reason for a reset of the recurrent state."""

    REQUESTED = 'requested'  # by a caller
    TIME_BACK = 'time_back'  # stamps ran backwards, as when a bag restarts
    GAP = 'gap'  # stamps jumped forwards by more than max_gap_s
    SIZE = 'size'  # the image size changed
    FRAME_ID = 'frame_id'  # the image is of another camera
    CLOCK_JUMP = 'clock_jump'  # the ROS clock was set
    NOT_FINITE = 'not_finite'  # the network returned NaN, which its state keeps


@dataclass(frozen=True)
class SessionSettings:
    """Settings of a stream; each may change between two frames, ``max_pixels`` too.

    max_gap_s     [s] largest step between stamps of one stream
    max_pixels    largest number of pixels of the network's input; 0: the model's default
    output        'camera' or 'network': size of the depth map
    max_range_m   depth beyond which nothing was hit (+inf) [m]; 0: no limit
    edge_ratio    depth ratio of neighbours above which they are two surfaces; 1: no edges
    scale_factor  multiplier of every depth
    guided        apply the guided filter to depth edges (guided_filter.py)
    steady        stabilise depth across frames (stabilization.py)
    motion_stereo  refine stabilised depth by stereo with earlier frames (motion_stereo.py)
    fixed_scale   use scale_factor alone, whatever the camera and the anchor
    """

    max_gap_s: float = 2.0
    max_pixels: int = 0
    output: str = 'camera'
    max_range_m: float = 0.0
    edge_ratio: float = 1.25
    scale_factor: float = 1.0
    guided: bool = False
    steady: bool = False
    motion_stereo: bool = False
    fixed_scale: bool = False


@dataclass(frozen=True)
class StepResult:
    """Result of one frame.

    reset     reason of the reset before it; None without one
    engine_s  time of the network [s]
    cloud     (h, w, 4) float32: x, y, z [m] and packed colour, see messages/cloud.py; valid until
              the next step. None unless requested and made by the engine at the depth's size
    metres    scale of the frame: depth [m] = metres / inverse depth of the network
    device    depth [m] of the engine where it can be copied on the device
    """

    depth: DepthMap
    reset: ResetReason | None
    engine_s: float
    cloud: NDArray[np.float32] | None = None
    metres: float = math.nan
    device: DeviceOutput | None = None


class _Wanted(NamedTuple):
    """Outputs of a step, see `DepthSession.step`."""

    confidence: bool
    cloud_range_m: float | None


class _LastFrame(NamedTuple):
    """Stamp, camera and size of the last frame."""

    stamp_ns: int
    frame_id: str
    size: tuple[int, int]


class DepthSession:
    """Depth stream of one camera; one thread steps it, any thread may request a reset."""

    def __init__(
        self,
        card: ModelCard,
        open_engine: Callable[[int, int], Engine],
        settings: SessionSettings,
        anchor: Anchor | None = None,
    ) -> None:
        """Prepare a stream.

        card         of the model
        open_engine  makes the engine for a width and height of the network's input
        anchor       source of a metric scale; None: that of the model
        """
        self.settings = settings
        self._anchor = anchor
        self._temporal = TemporalFilter()
        self._errors = ErrorEstimator(card.errors)
        self._calibrated = False  # whether the last frame was
        self._card = card
        self._open_engine = open_engine
        self._engine: Engine | None = None
        self._state: State | None = None
        self._last: _LastFrame | None = None
        self._requests: deque[ResetReason] = deque(maxlen=1)

    @property
    def spec(self) -> EngineSpec | None:
        """Specification of the open engine; None before the first frame."""
        return self._engine.spec if self._engine else None

    def request_reset(self, reason: ResetReason = ResetReason.REQUESTED) -> None:
        """Reset the state to zero before the next frame; thread-safe."""
        self._requests.append(reason)

    def is_open_for(self, width: int, height: int) -> bool:
        """Return whether images of this size need no other engine."""
        spec = self.spec
        return spec is not None and (spec.width, spec.height) == self._network_size(width, height)

    def open(self, width: int, height: int) -> Engine:
        """Return the engine for images of this size; open it if needed, which may take minutes.

        raises  InputError if the image is too small, and what opening an engine raises
        """
        if self._engine is None or not self.is_open_for(width, height):
            size = self._network_size(width, height)
            self._close_engine()
            self._engine = self._open_engine(*size)
            if self.settings.steady and self.settings.motion_stereo:
                compile_kernels()
        return self._engine

    def step(
        self, frame: Frame, *, with_confidence: bool = True, cloud_range_m: float | None = None
    ) -> StepResult:
        """Compute the depth of the next frame.

        with_confidence  whether to compute the confidence
        cloud_range_m    largest Z [m] of a cloud made by the engine where it can; None: no cloud
        raises  InputError if this frame is unusable; DeviceError, ModelError if the engine failed
        """
        self._reject_repeated(frame)
        engine = self.open(*frame.size)
        small = resized_frame(frame, engine.spec.width, engine.spec.height)
        reset = self._reset_before(frame)
        if reset and self._anchor:
            self._anchor.restart()
        calibrated = frame.camera is not None
        begins = reset is not None or self._state is None
        if begins or not self.settings.steady or calibrated != self._calibrated:
            self._temporal.restart()  # it holds the previous scale
        if begins or not with_confidence:
            self._errors.restart()  # its flicker is that of consecutive frames
        self._calibrated = calibrated
        wanted = _Wanted(with_confidence, cloud_range_m)
        state = engine.zero_state() if reset or self._state is None else self._state
        self._state = None
        compute = self._on_device if self._runs_on_device(engine, frame) else self._on_host
        result, self._state = compute(engine, frame, small, state, wanted)
        return replace(result, reset=reset)

    def forget(self) -> None:
        """Start another stream with the next frame; the engine stays open."""
        self._state = self._last = None
        self._requests.clear()

    def close(self) -> None:
        """Close the engine; the next frame opens it again and starts another stream."""
        self._close_engine()
        self.forget()

    def _close_engine(self) -> None:
        self._state = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _network_size(self, width: int, height: int) -> tuple[int, int]:
        budget = self.settings.max_pixels or self._card.max_pixels
        size = self._card.input_size(width, height, budget)
        if min(size) < self._card.min_size_px:
            raise InputError(
                f'an image of {width}x{height} pixels gives a network input of '
                f'{size[0]}x{size[1]} within max_pixels {budget}, but '
                f'{self._card.name} needs {self._card.min_size_px} px per side; '
                'give larger images or a larger max_pixels'
            )
        return size

    def _reject_repeated(self, frame: Frame) -> None:
        last = self._last
        if last and (last.stamp_ns, last.frame_id) == (frame.stamp_ns, frame.frame_id):
            raise InputError(
                f'a second image of {frame.frame_id!r} has the stamp '
                f'{frame.stamp_ns * 1e-9:.9f}; stamp images when they are taken, '
                'and run one publisher per topic'
            )

    def _reset_before(self, frame: Frame) -> ResetReason | None:
        """Return why ``frame`` does not continue the stream; None if it does."""
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

    def _output_size(self, frame: Frame, spec: EngineSpec) -> tuple[int, int]:
        """Return width and height of the depth map."""
        return frame.size if self.settings.output == 'camera' else (spec.width, spec.height)

    def _postprocessor(
        self,
        frame: Frame,
        spec: EngineSpec,
        scale: Scale,
        wanted: _Wanted,
        error: Float32Array | None = None,
    ) -> DepthPostprocessor:
        settings = self.settings
        return DepthPostprocessor(
            scale,
            *self._output_size(frame, spec),
            guided=settings.guided,
            max_range_m=settings.max_range_m,
            edge_ratio=settings.edge_ratio,
            error=error,
            cloud_range_m=wanted.cloud_range_m if frame.camera else None,
        )

    def _scale(self, frame: Frame) -> Scale:
        """Return the anchor's scale once it is known, else the model's."""
        factor = self.settings.scale_factor
        if self.settings.fixed_scale:
            return fixed_scale(self._card.unit, factor)
        metres = self._anchor.metres(frame.stamp_ns) if self._anchor else None
        if self._anchor and metres is not None:
            return Scale(factor * metres, self._anchor.source or ScaleSource.MODEL)
        return scale_of(self._card.unit, frame.camera, factor)

    def _needed_anchor(self, frame: Frame) -> Anchor | None:
        """Return the anchor if it has a use for the frame."""
        return self._anchor if self._anchor and self._anchor.needs(frame.frame_id) else None

    def _runs_on_device(self, engine: Engine, frame: Frame) -> bool:
        """Return whether the engine can postprocess: at its own size, with a known scale."""
        size = engine.spec.width, engine.spec.height
        return (
            isinstance(engine, ResidentEngine)
            and not self.settings.steady
            and not self.settings.guided
            and self._output_size(frame, engine.spec) == size
        )

    def _on_device(
        self, engine: Engine, frame: Frame, small: UInt8Array, state: State, wanted: _Wanted
    ) -> tuple[StepResult, State]:
        """Compute a frame with the scale that is known before it."""
        assert isinstance(engine, ResidentEngine)
        post = self._postprocessor(frame, engine.spec, self._scale(frame), wanted)
        outputs, start_s = post.device_outputs(), time.perf_counter()
        found, after = engine.run(_input(engine, small), state, outputs, post.parameters(frame))
        engine_s = time.perf_counter() - start_s
        self._accept(frame, engine.spec, math.isfinite(found[TOTAL][0]))
        if anchor := self._needed_anchor(frame):
            anchor.offer(frame, found[INVERSE_DEPTH])
        error = self._errors.update(found[INVERSE_DEPTH]) if wanted.confidence else None
        depth = replace(post, error=error).on_device(frame, small, found)
        metres, device = post.scale.metres, engine.device_output(DEPTH)
        return StepResult(depth, None, engine_s, found.get(CLOUD), metres, device), after

    def _on_host(
        self, engine: Engine, frame: Frame, small: UInt8Array, state: State, wanted: _Wanted
    ) -> tuple[StepResult, State]:
        """Compute a frame with the scale that its own depth gives."""
        image = _input(engine, small)
        start_s = time.perf_counter()
        inverse_depth, after = engine.step(image, state)
        engine_s = time.perf_counter() - start_s
        self._accept(frame, engine.spec, bool(np.isfinite(inverse_depth.sum())))
        matched = None
        if self.settings.steady:
            depth_m = scale_of(self._card.unit, frame.camera, 1.0).depth_m(inverse_depth)
            factor, matched = self._temporal.correct(frame, depth_m, self.settings.motion_stereo)
            inverse_depth = inverse_depth / factor
        if anchor := self._needed_anchor(frame):
            anchor.offer(frame, inverse_depth)
        error = self._errors.update(inverse_depth, matched) if wanted.confidence else None
        post = self._postprocessor(frame, engine.spec, self._scale(frame), wanted, error)
        depth = post.on_host(frame, small, inverse_depth)
        return StepResult(depth, None, engine_s, metres=post.scale.metres), after

    def _accept(self, frame: Frame, spec: EngineSpec, is_finite: bool) -> None:
        """Record a computed frame.

        raises  InputError if its output is not finite
        """
        self._last = _LastFrame(frame.stamp_ns, frame.frame_id, frame.size)
        if not is_finite:
            self.request_reset(ResetReason.NOT_FINITE)
            raise InputError(
                f'{spec.model} returned NaN or infinity on {spec.device} '
                f'({spec.precision}); the state is reset; use fp32 if this '
                'recurs'
            )


def _input(engine: Engine, small: UInt8Array) -> NDArray[Any]:
    """Return the network's input of an image (h, w, 3) uint8 at its size."""
    return small if engine.spec.takes_bytes else normalised(small, MEAN, STD)
