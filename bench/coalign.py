# SPDX-License-Identifier: Apache-2.0
"""How long co-alignment takes beside the plain reference, and on a long clip; prints JSON.

    python bench/coalign.py

Both runs start from snippets in memory and end with scales and shifts; the reference is 2000
steps of Adam on the same samples. The long clip is also merged, a frame at a time.
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
    """Return (N, H, W) in 0 to 1: slanted ground, and a ball that goes round."""
    time_ = np.arange(frame_count)[:, None, None] / 40
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    clip = np.empty((frame_count, height, width), np.float32)
    for frame, now in enumerate(time_):
        ball = np.hypot(x - 0.5 - 0.3 * np.sin(now), y - 0.5 - 0.3 * np.cos(1.3 * now)) < 0.2
        clip[frame] = np.where(ball, 0.9, 0.05 + 0.6 * y + 0.1 * np.sin(6 * x + now))
    return clip


def made_snippets(clip: NDArray[np.float32], dtype: type) -> list[Snippets]:
    """Return snippets of dilations 1, 10 and 25, each with a scale, shift and noise of its own."""
    random = np.random.default_rng(0)
    snippets = []
    for plan in plan_snippets(len(clip)):
        pictures = np.empty((*plan.shape, *clip.shape[1:]), dtype)
        for frames, picture in zip(plan, pictures, strict=True):
            noise = NOISE * random.standard_normal(picture.shape, np.float32)
            picture[...] = (
                np.exp(random.normal(0, 0.25)) * clip[frames] + random.normal(0, 0.1) + noise
            )
        snippets.append(Snippets(plan, pictures))
    return snippets


def against_reference(frame_count: int, height: int, width: int, steps: int) -> dict[str, object]:
    """Time both on the same snippets, reading them included."""
    snippets = made_snippets(made_clip(frame_count, height, width), np.float32)
    options = CoalignOptions()
    align_snippets(snippets[:1], options)  # what is slow once only
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
    """Time a long clip whose snippets are float16, as the release's presets make them."""
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
    """Run both and print the figures beside their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--frames', type=int, default=250, help='of the clip for both')
    parser.add_argument('--long-frames', type=int, default=2000)
    parser.add_argument('--size', default='128x96')
    parser.add_argument('--steps', type=int, default=2000, help='of the reference')
    options = parser.parse_args()
    width, height = map(int, options.size.split('x'))
    long = long_clip(options.long_frames, height, width)
    both = against_reference(options.frames, height, width, options.steps)
    print(json.dumps({'bars': BARS, 'same_inputs': both, 'long': long}, indent=1))


if __name__ == '__main__':
    main()
