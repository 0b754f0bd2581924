# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the co-alignment against the plain reference, and on a long clip; prints JSON.

    python bench/coalign.py

Both start from snippets in memory; the reference is 2000 steps of Adam on the same samples. The
long clip is also merged, frame by frame.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.options import AdamOptions, CoalignOptions
from videodepth_ros.coalign.reference import minimize_adam
from videodepth_ros.coalign.samples import Snippets, sample_snippets
from videodepth_ros.coalign.solver import align_snippets, merge_snippets
from videodepth_ros.rollingdepth.snippets import plan_snippets

BARS = {'reference_over_newton': 50, 'long_s': 20.0, 'long_peak_mb': 1024}
NOISE = 0.01


def made_clip(frame_count: int, height: int, width: int) -> NDArray[np.float32]:
    """Return (N, H, W) in 0 to 1: slanted ground, and an orbiting ball."""
    time_ = np.arange(frame_count)[:, None, None] / 40
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    clip = np.empty((frame_count, height, width), np.float32)
    for frame, now in enumerate(time_):
        ball = np.hypot(x - 0.5 - 0.3 * np.sin(now), y - 0.5 - 0.3 * np.cos(1.3 * now)) < 0.2
        clip[frame] = np.where(ball, 0.9, 0.05 + 0.6 * y + 0.1 * np.sin(6 * x + now))
    return clip


def made_snippets(clip: NDArray[np.float32], dtype: type) -> list[Snippets]:
    """Return snippets of dilations 1, 10 and 25, each with a random scale, shift and noise."""
    random = np.random.default_rng(0)
    snippets = []
    for plan in plan_snippets(len(clip)):
        maps = np.empty((*plan.shape, *clip.shape[1:]), dtype)
        for frames, depth in zip(plan, maps, strict=True):
            noise = NOISE * random.standard_normal(depth.shape, np.float32)
            depth[...] = (
                np.exp(random.normal(0, 0.25)) * clip[frames] + random.normal(0, 0.1) + noise
            )
        snippets.append(Snippets(plan, maps))
    return snippets


def against_reference(frame_count: int, height: int, width: int, steps: int) -> dict[str, object]:
    """Time both solvers on the same snippets, including sampling."""
    snippets = made_snippets(made_clip(frame_count, height, width), np.float32)
    options = CoalignOptions()
    align_snippets(snippets[:1], options)  # warm up
    start_s = time.perf_counter()
    found = align_snippets(snippets, options)
    newton_s = time.perf_counter() - start_s
    start_s = time.perf_counter()
    samples = sample_snippets(snippets, options)
    reached = minimize_adam(samples, options.weights, AdamOptions(steps))
    reference_s = time.perf_counter() - start_s
    return {
        'frames': frame_count,
        'size': f'{width}x{height}',
        'newton_steps': found.steps,
        'newton_s': round(newton_s, 3),
        'reference_s': round(reference_s, 2),
        'reference_over_newton': round(reference_s / newton_s, 1),
        'newton_objective': round(found.objective, 6),
        'reference_objective': round(float(reached.objective[-1]), 6),
    }


def long_clip(frame_count: int, height: int, width: int) -> dict[str, object]:
    """Time a long clip of float16 snippets, as of the release's presets."""
    clip = made_clip(frame_count, height, width)
    snippets = made_snippets(clip, np.float16)
    start_s = time.perf_counter()
    found = align_snippets(snippets)
    align_s = time.perf_counter() - start_s
    for _ in merge_snippets(snippets, found):
        pass
    return {
        'frames': frame_count,
        'size': f'{width}x{height}',
        'newton_steps': found.steps,
        'align_s': round(align_s, 2),
        'merge_s': round(time.perf_counter() - start_s - align_s, 2),
        'snippets_mb': sum(2 * math.prod(one.relative_depth.shape) for one in snippets) >> 20,
        'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main() -> None:
    """Run both benchmarks and print the figures with their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--frames', type=int, default=250, help='frames of the clip for both solvers'
    )
    parser.add_argument('--long-frames', type=int, default=2000)
    parser.add_argument('--size', default='128x96')
    parser.add_argument('--steps', type=int, default=2000, help='steps of the reference')
    options = parser.parse_args()
    width, height = map(int, options.size.split('x'))
    long = long_clip(options.long_frames, height, width)
    both = against_reference(options.frames, height, width, options.steps)
    print(json.dumps({'bars': BARS, 'same_inputs': both, 'long': long}, indent=1))


if __name__ == '__main__':
    main()
