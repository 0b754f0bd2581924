# SPDX-License-Identifier: Apache-2.0
"""Random schedules of frames, faults, resets and settings against a model of the session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from test.support.instant_engine import InstantEngine
from videodepth_ros.core.errors import DeviceError, InputError
from videodepth_ros.frames import Frame
from videodepth_ros.models.catalogue import InverseDepthUnit, card
from videodepth_ros.stream.session import DepthSession, ResetReason, SessionSettings

SIZES = ((64, 48), (48, 64), (128, 96))  # the first and the last have one network input
CARD = replace(
    card('nano'), unit=InverseDepthUnit.NOMINAL, patch=16, min_size_px=16, max_pixels=64 * 48
)
PERIOD_NS = 33_000_000
NETWORK = SessionSettings(output='network')


@dataclass(frozen=True)
class Before:
    """What the model keeps of the last computed frame."""

    stamp_ns: int
    frame_id: str
    size: tuple[int, int]


class SessionMachine(RuleBasedStateMachine):
    """The reset before each frame, the state that its step starts from, and its stamp."""

    def __init__(self) -> None:
        super().__init__()
        self.engines: list[InstantEngine] = []
        self.session = DepthSession(CARD, self.open, NETWORK)
        self.stamp_ns = 10**18
        self.last: Before | None = None
        self.request: ResetReason | None = None
        self.steps = 0  # of the recurrent state
        self.max_gap_s = NETWORK.max_gap_s
        self.size, self.frame_id = SIZES[0], 'left'

    def open(self, width: int, height: int) -> InstantEngine:
        self.engines.append(InstantEngine(width, height))
        return self.engines[-1]

    def expected_reset(self, frame: Frame) -> ResetReason | None:
        last = self.last
        if last is None or self.request is not None:
            return self.request if last else None
        if frame.size != last.size:
            return ResetReason.SIZE
        if frame.frame_id != last.frame_id:
            return ResetReason.FRAME_ID
        if frame.stamp_ns < last.stamp_ns:
            return ResetReason.TIME_BACK
        is_gap = frame.stamp_ns - last.stamp_ns > self.max_gap_s * 1e9
        return ResetReason.GAP if is_gap else None

    @rule(count=st.integers(1, 3))
    def frames_that_follow(self, count: int) -> None:
        for _ in range(count):
            self.step(1, self.size, self.frame_id)

    @rule(
        change=st.sampled_from(
            (
                {'periods': 0},
                {'periods': -3},
                {'periods': 70},
                {'periods': 1000},
                {'size': SIZES[1]},
                {'size': SIZES[2]},
                {'frame_id': 'right'},
                {'fault': 'nan'},
                {'fault': 'device'},
            )
        )
    )
    def one_change(self, change: dict[str, Any]) -> None:
        unchanged = {'periods': 1, 'size': self.size, 'frame_id': self.frame_id}
        self.step(**{**unchanged, **change})

    @rule(
        periods=st.sampled_from((1, 0, -3, 70, 1000)),
        size=st.sampled_from(SIZES),
        frame_id=st.sampled_from(('left', 'right')),
        fault=st.sampled_from(('', '', '', 'nan', 'device')),
    )
    def step(self, periods: int, size: tuple[int, int], frame_id: str, fault: str = '') -> None:
        self.size, self.frame_id = size, frame_id
        self.stamp_ns += periods * PERIOD_NS
        frame = Frame(self.stamp_ns, frame_id, np.zeros((size[1], size[0], 3), np.uint8))
        if self.last and (self.last.stamp_ns, self.last.frame_id) == (self.stamp_ns, frame_id):
            with pytest.raises(InputError, match='second image'):
                self.session.step(frame)
            return
        if not self.session.is_open_for(*size):
            self.steps = 0  # a state belongs to its engine
        engine = self.session.open(*size)
        reset = self.expected_reset(frame)
        expected_state = 0 if reset else self.steps
        self.request = None
        answer = engine.answer
        engine.answer = np.where(fault == 'nan', np.float32(np.nan), answer)
        engine.error = DeviceError('gone') if fault == 'device' else None
        if fault == 'device':
            with pytest.raises(DeviceError):
                self.session.step(frame)
            engine.error, engine.answer, self.steps = None, answer, 0
            return
        self.last = Before(self.stamp_ns, frame_id, size)
        if fault == 'nan':
            with pytest.raises(InputError, match='NaN'):
                self.session.step(frame)
            self.request, self.steps = ResetReason.NOT_FINITE, 0
        else:
            result = self.session.step(frame)
            assert result.reset is reset
            assert (result.depth.stamp_ns, result.depth.frame_id) == (self.stamp_ns, frame_id)
            self.steps = expected_state + 1
        engine.answer = answer
        assert engine.seen[-1] == expected_state

    @rule(reason=st.sampled_from((ResetReason.REQUESTED, ResetReason.CLOCK_JUMP)))
    def reset(self, reason: ResetReason) -> None:
        self.session.request_reset(reason)
        self.request = reason

    @rule(max_gap_s=st.sampled_from((1.5, 2.0, 3.0)), steady=st.booleans())
    def change_settings(self, max_gap_s: float, steady: bool) -> None:
        self.session.settings = replace(NETWORK, max_gap_s=max_gap_s, steady=steady)
        self.max_gap_s = max_gap_s

    @rule(close=st.booleans())
    def end(self, close: bool) -> None:
        self.session.close() if close else self.session.forget()
        self.last, self.request, self.steps = None, None, 0

    @invariant()
    def at_most_one_engine_is_open(self) -> None:
        assert [engine.closed for engine in self.engines[:-1]] == [True] * len(self.engines[:-1])


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=100, stateful_step_count=25)
