# SPDX-License-Identifier: Apache-2.0
"""The self-check of a built engine: a short rollout beside the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.engine import Engine

FP32_TOLERANCE = 2e-4
"""Largest relative difference between two float32 engines after a rollout.

Another order of summation gives about 1e-5; a wrong resize or a dropped state gives above 5e-2.
"""


@dataclass(frozen=True)
class Difference:
    """Largest ``max|a - b| / max|b|`` over the frames of a rollout, NaN if anything was NaN."""

    inverse_depth: float
    state: float

    def __str__(self) -> str:
        return f'relmax {self.inverse_depth:.1e} inverse depth, {self.state:.1e} state'


def rollout_difference(engine: Engine, reference: Engine, frames: int = 3) -> Difference:
    """Feed both engines the same stream, each with its own state, and compare after every frame.

    The images are noise of unit variance, which is what normalised images are in the mean.
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
    """Raise ModelError if the difference is above the tolerance, or not a number."""
    if not (difference.inverse_depth <= tolerance and difference.state <= tolerance):
        raise ModelError(
            f'{what} does not compute what the model does: {difference}, allowed '
            f'{tolerance:g}; try another version of torch, onnx or onnxscript'
        )


def max_relative_error(value: object, reference: object) -> float:
    """Return ``max|value - reference| / max|reference|`` of two arrays, NaN if shapes differ.

    Takes whatever numpy can read, so that states of different engines can be compared.
    """
    a, b = np.asarray(value, np.float32), np.asarray(reference, np.float32)
    if a.shape != b.shape:
        return float('nan')
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), np.finfo(np.float32).tiny))
