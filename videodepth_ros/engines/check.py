# SPDX-License-Identifier: Apache-2.0
"""Self-check of an engine: a short rollout against a reference engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.options import SelfCheckOptions

DEFAULTS = SelfCheckOptions()


@dataclass(frozen=True)
class Difference:
    """Largest ``max|a - b| / max|b|`` over a rollout; NaN if any value was NaN."""

    inverse_depth: float
    state: float

    def __str__(self) -> str:
        return f'relmax {self.inverse_depth:.1e} inverse depth, {self.state:.1e} state'


def rollout_difference(
    engine: Engine, reference: Engine, frames: int = DEFAULTS.frames
) -> Difference:
    """Run both engines on one stream, each with its own state, and compare every frame.

    The images are white noise of unit variance, the statistics of normalised images.
    """
    noise = np.random.default_rng(0)
    shape = (3, engine.spec.height, engine.spec.width)
    state, reference_state = engine.zero_state(), reference.zero_state()
    worst = Difference(0.0, 0.0)
    for _ in range(frames):
        image = noise.standard_normal(shape, np.float32)
        depth, state = engine.step(image, state)
        reference_depth, reference_state = reference.step(image, reference_state)
        worst = Difference(
            float(np.maximum(worst.inverse_depth, max_relative_error(depth, reference_depth))),
            float(np.maximum(worst.state, max_relative_error(state, reference_state))),
        )
    return worst


def require_agreement(difference: Difference, tolerance: float, what: str) -> None:
    """Raise ModelError if the difference exceeds the tolerance or is NaN."""
    if not (difference.inverse_depth <= tolerance and difference.state <= tolerance):
        raise ModelError(
            f'{what} differs from the model: {difference}, allowed {tolerance:g}; '
            'try another version of torch, onnx or onnxscript'
        )


def max_relative_error(value: object, reference: object) -> float:
    """Return ``max|value - reference| / max|reference|``; NaN if shapes differ.

    Accepts whatever numpy converts, so that states of different engines compare.
    """
    a, b = np.asarray(value, np.float32), np.asarray(reference, np.float32)
    if a.shape != b.shape:
        return float('nan')
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), np.finfo(np.float32).tiny))
