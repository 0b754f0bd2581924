# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the co-alignment of a streaming model, and of rolling inference's memory.

    python -m bench.rolling --sequences FOLDER ... --seeds 900 901
    python -m bench.rolling --memory

The first prints a line a sequence, JSON: errors of `nano` as it streams and after co-alignment,
with intrinsics known and nothing fitted (none) or one scale for the sequence (scale). A folder is
one of training.measure; every seed renders a clip of each held-out family. The
second runs a small random RollingDepth, refinement included, over clips of several lengths.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.measure import of_folder
from videodepth_ros.coalign.streaming import coalign_stream
from videodepth_ros.engines.open import open_engine
from videodepth_ros.evaluation.accumulators import DepthAlignment
from videodepth_ros.evaluation.depth import DepthPair, DepthReport, evaluate_depth
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.catalogue import card
from videodepth_ros.stream.session import DepthSession, SessionSettings
from videodepth_ros.synthetic.families import HELD_OUT_FAMILIES
from videodepth_ros.synthetic.scenes import render_scene

BARS = {'drift': 'at most 0.7 of streaming', 'abs_rel': 'not above streaming'}
SECONDS, RATE_HZ, SIZE = 6.0, 10.0, (256, 192)
MEMORY_FRAMES, MEMORY_SIZE = (50, 158, 500), (64, 48)
STEP_NS = 100_000_000


@dataclass(frozen=True)
class Sequence:
    """Images (N, H, W, 3) uint8, true Z (N, H, W) float32, and the camera at that size."""

    name: str
    images: NDArray[np.uint8]
    truth_m: NDArray[np.float32]
    camera: Intrinsics


def of_recording(folder: Path) -> Sequence:
    """Return a recording at half its size, which is still above the network's input."""
    about = json.loads((folder / 'intrinsics.json').read_text())
    frames = list(of_folder(folder, 1).frames())
    width, height = about['width'] // 2, about['height'] // 2
    images = np.stack(
        [cv2.resize(one.image, (width, height), interpolation=cv2.INTER_AREA) for one in frames]
    )
    camera = Intrinsics(
        about['width'], about['height'], about['fx'], about['fy'], about['cx'], about['cy']
    ).scaled_to(width, height)
    return Sequence(
        folder.name, images, np.stack([one.depth_m[::2, ::2] for one in frames]), camera
    )


def of_family(family: str, seed: int) -> Sequence:
    """Render a clip of a held-out family."""
    shot = list(render_scene(family, seed, round(SECONDS * RATE_HZ), *SIZE, RATE_HZ))
    return Sequence(
        f'{family}-{seed}',
        np.stack([frame.image for frame in shot]),
        np.stack([frame.depth_m for frame in shot]),
        shot[0].camera,
    )


def streamed(sequence: Sequence) -> NDArray[np.float32]:
    """Return the streaming depth of nano, (N, h, w) float32, metres."""
    session = DepthSession(
        card('nano'),
        lambda width, height: open_engine('nano', 'torch', width, height, threads=1),
        replace(SessionSettings(), output='network'),
    )
    return np.stack(
        [
            session.step(
                Frame(n * STEP_NS, 'camera', image, sequence.camera), with_confidence=False
            ).depth.depth_m
            for n, image in enumerate(sequence.images)
        ]
    )


def judged(depth: NDArray[np.float32], sequence: Sequence) -> dict[str, float]:
    """Evaluate depth against ground truth."""
    pairs = [
        DepthPair(n, one, truth)
        for n, (one, truth) in enumerate(zip(depth, sequence.truth_m, strict=True))
    ]
    reports: list[DepthReport] = [
        evaluate_depth(pairs, how) for how in (DepthAlignment.NONE, DepthAlignment.SCALE)
    ]
    return {
        'abs_rel': round(reports[0].errors.abs_rel, 3),
        'abs_rel_scale': round(reports[1].errors.abs_rel, 3),
        'drift': round(reports[1].scale_drift, 4),
        'flicker': round(reports[1].flicker, 4),
    }


def compared(sequence: Sequence) -> dict[str, object]:
    """Stream, co-align and evaluate a sequence."""
    depth = streamed(sequence)
    height, width = depth.shape[1:]
    start_s = time.perf_counter()
    found = coalign_stream(sequence.images, depth, sequence.camera.scaled_to(width, height))
    coalign_s = time.perf_counter() - start_s
    after = np.stack([found.apply(n, one) for n, one in enumerate(depth)])
    return {
        'sequence': sequence.name,
        'frames': len(depth),
        'tied': round(found.connected.mean(), 2),
        'coalign_s': round(coalign_s, 1),
        'streaming': judged(depth, sequence),
        'coaligned': judged(after, sequence),
    }


def memory_of(frames: int) -> dict[str, object]:
    """Run a small random network on a clip and return time and peak memory."""
    import resource

    import torch

    from test.support.small_rollingdepth import write_rollingdepth
    from videodepth_ros.models.rollingdepth import open_rollingdepth
    from videodepth_ros.rollingdepth.inference import rolling_recording
    from videodepth_ros.rollingdepth.settings import RollingPreset, RollingSettings

    width, height = MEMORY_SIZE
    torch.set_num_threads(1)  # more threads are slower on so small a network
    preset = RollingPreset('small', 0, (1, 25), True, 'fp32', 1)
    with tempfile.TemporaryDirectory() as folder:
        images = np.memmap(
            Path(folder) / 'images', np.uint8, 'w+', shape=(frames, height, width, 3)
        )
        images[:] = np.random.default_rng(0).integers(0, 256, images.shape[1:])
        network = open_rollingdepth(write_rollingdepth(Path(folder) / 'network'), device='cpu')
        start_s = time.perf_counter()
        for _ in rolling_recording(
            images, network, Path(folder) / 'work', RollingSettings(preset)
        ):
            pass
        stored = sum(
            file.stat().st_size for file in (Path(folder) / 'work').rglob('*') if file.is_file()
        )
        return {
            'frames': frames,
            'seconds': round(time.perf_counter() - start_s, 1),
            'stored_mb': stored >> 20,
            'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        }


def memory() -> Iterator[dict[str, object]]:
    """Measure each length in a process of its own."""
    for frames in MEMORY_FRAMES:
        code = (
            'import sys, json; sys.path.append("."); from bench import rolling; '
            f'print(json.dumps(rolling.memory_of({frames})))'
        )
        done = subprocess.run(
            [sys.executable, '-c', code], check=True, capture_output=True, text=True
        )
        yield json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the benchmarks of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sequences', type=Path, nargs='*', default=[])
    parser.add_argument('--seeds', type=int, nargs='*', default=[])
    parser.add_argument('--memory', action='store_true')
    options = parser.parse_args()
    if options.memory:
        for line in memory():
            print(json.dumps(line), flush=True)
    sequences = [lambda folder=folder: of_recording(folder) for folder in options.sequences]
    sequences += [
        lambda family=family, seed=seed: of_family(family, seed)
        for seed in options.seeds
        for family in HELD_OUT_FAMILIES
    ]
    lines = []
    for read in sequences:
        lines.append(compared(read()))
        print(json.dumps(lines[-1]), flush=True)
    if lines:
        ratios = {
            name: [line['coaligned'][name] / line['streaming'][name] for line in lines]
            for name in ('abs_rel', 'abs_rel_scale', 'drift', 'flicker')
        }
        print(
            json.dumps(
                {
                    'bars': BARS,
                    'geometric_mean_of_ratios': {
                        name: round(float(np.exp(np.mean(np.log(values)))), 3)
                        for name, values in ratios.items()
                    },
                }
            )
        )


if __name__ == '__main__':
    main()
