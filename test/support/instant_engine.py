# SPDX-License-Identifier: Apache-2.0
"""An engine that returns at once: a box two metres away before a wall at five metres."""

from __future__ import annotations

import numpy as np

from videodepth_ros.engines.engine import EngineSpec

NEAR_M, FAR_M = 2.0, 5.0


class InstantEngine:
    """Counts its steps in the state; `seen` holds the state that each step was given."""

    def __init__(self, width: int, height: int) -> None:
        self.spec = EngineSpec('nano', 'instant', 'test', 'fp32', width, height, (), ())
        self.seen: list[int] = []
        self.closed = False
        self.error: Exception | None = None
        self.answer = np.full((height, width), 100 / FAR_M, np.float32)
        self.answer[height // 4 : height // 2, width // 4 : width // 2] = 100 / NEAR_M

    def zero_state(self) -> int:
        return 0

    def step(self, image: np.ndarray, state: int) -> tuple[np.ndarray, int]:
        assert image.shape == (3, self.spec.height, self.spec.width)
        if self.error is not None:
            raise self.error
        self.seen.append(state)
        return self.answer, state + 1

    def close(self) -> None:
        self.closed = True
