# SPDX-License-Identifier: Apache-2.0
"""Warnings of many rejected images or resets, over a window so that their level is steady."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from videodepth.msg import Status

from videodepth_ros.nodes.options import LIVE, LiveNodeOptions
from videodepth_ros.stream.session import ResetReason


@dataclass(frozen=True)
class HealthWarning:
    """A fault that does not stop the stream; ``kind`` is constant while ``text`` varies."""

    kind: str
    text: str


ADVICE = {
    ResetReason.TIME_BACK: 'its stamps run backwards: give it one publisher, with one clock',
    ResetReason.GAP: 'its stamps leap: raise max_gap_s above the period of the camera',
    ResetReason.SIZE: 'its size changes: give each camera its own topic',
    ResetReason.FRAME_ID: 'its frame_id changes: give each camera its own topic',
    ResetReason.CLOCK_JUMP: 'the ROS clock jumps: let one program publish /clock',
    ResetReason.NOT_FINITE: 'the network returns NaN: choose another engine or model',
}
"""Cause of many resets of one reason, and the next step."""


class StormMonitor:
    """Count rejected images and resets over a sliding window."""

    def __init__(self, options: LiveNodeOptions = LIVE) -> None:
        self._options = options
        self._history: deque[tuple[float, Status]] = deque()
        self._is_storm = False  # until a window has no reset

    def find(
        self, status: Status, topic: str, *, is_rejecting: bool, now_s: float | None = None
    ) -> list[HealthWarning]:
        """Return the warnings of the window that ends now.

        topic         of the images
        is_rejecting  the last image was rejected; the warning stays however slow the camera is
        now_s         steady time; None: now
        """
        now_s = time.monotonic() if now_s is None else now_s
        window_s = self._options.storm_window_s
        self._history.append((now_s, status))
        while len(self._history) > 1 and now_s - self._history[1][0] > window_s:
            self._history.popleft()
        first_s, first = self._history[0]
        window = f'in {now_s - first_s:.0f} s'
        rejected, received = status.rejected - first.rejected, status.received - first.received
        found = []
        if rejected:
            text = f'{rejected} of {received} images of {topic} were rejected {window}'
        else:
            text = f'the last image of {topic} was rejected'
        if rejected or is_rejecting:
            found.append(HealthWarning('rejected', f'{text}: {status.last_error}'))
        resets = {reason: _resets(status, reason) - _resets(first, reason) for reason in ADVICE}
        least = 1 if self._is_storm else self._options.storm_resets
        self._is_storm = sum(resets.values()) >= least
        if self._is_storm:
            found.append(HealthWarning('resets', _reset_text(topic, resets, window)))
        return found


def _reset_text(topic: str, resets: dict[ResetReason, int], window: str) -> str:
    counts = ', '.join(f'{n} {reason.value}' for reason, n in resets.items() if n)
    most_frequent = max(resets, key=lambda reason: resets[reason])
    return (
        f'depth of {topic} is not steady, as the recurrent state was reset {window}: {counts}; '
        f'{ADVICE[most_frequent]}'
    )


def _resets(status: Status, reason: ResetReason) -> int:
    return int(getattr(status, f'resets_{reason.value}'))
