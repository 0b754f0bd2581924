# SPDX-License-Identifier: Apache-2.0
"""Cost of the pairs of a window in Align3R's network, with and without cached features; JSON.

    python bench/align3r.py --size 512x288 --frames 10 --threads 1

Operations are counted at the given size. Times are those of one frame and one pair, each
measured alone, multiplied by their number in the window; ``--rounds 0`` leaves them out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from videodepth_ros.alignment.pairs import clip_graph
from videodepth_ros.models.align3r import ALIGN3R, Align3R, Features

PRECISIONS = {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


def frame(size: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    width, height = map(int, size.split('x'))
    return (
        torch.zeros(1, 3, height, width, device=device),
        torch.zeros(1, height, width, 3, device=device),
    )


def operations(size: str) -> tuple[float, float]:
    """Return GFLOP of encoding one frame and of one pair."""
    with torch.device('meta'):
        model, given = Align3R(ALIGN3R), frame(size, 'meta')
        with FlopCounterMode(display=False) as encoding:
            features = model.encode(*given)
        with FlopCounterMode(display=False) as pairing:
            model.pair(features, features)
    return encoding.get_total_flops() / 1e9, pairing.get_total_flops() / 1e9


def best_s(work: Callable[[], object], rounds: int, device: str) -> float:
    """Return the least CPU time on a CPU, which may be shared, else wall time [s]."""
    clock = time.process_time if device == 'cpu' else time.perf_counter
    times_s = []
    for _ in range(rounds):
        start_s = clock()
        work()
        if device == 'cuda':
            torch.cuda.synchronize()
        times_s.append(clock() - start_s)
    return min(times_s)


def seconds(size: str, precision: str, rounds: int, device: str) -> tuple[float, float]:
    """Return seconds of encoding one frame, and of one pair."""
    with torch.device(device):
        model = Align3R(ALIGN3R).eval()
    if precision != 'float32':
        model.in_precision(PRECISIONS[precision])
    given = frame(size, device)
    features: list[Features] = []
    encode_s = best_s(lambda: features.append(model.encode(*given)), rounds, device)
    return encode_s, best_s(lambda: model.pair(features[0], features[0]), rounds, device)


def window(encode: float, pair: float, frames: int) -> dict[str, float]:
    """Return the cost of a window of frames, in the unit of its parts."""
    pairs = len(clip_graph(frames))
    with_reuse, without = frames * encode + pairs * pair, pairs * (2 * encode + pair)
    return {
        'encode': round(encode, 3),
        'pair': round(pair, 3),
        'with_reuse': round(with_reuse, 1),
        'without': round(without, 1),
        'ratio': round(with_reuse / without, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', default='512x288', help='size of the images')
    parser.add_argument('--frames', type=int, default=10)
    parser.add_argument('--precision', default='float32', choices=list(PRECISIONS))
    parser.add_argument('--device', default='cpu', choices=('cpu', 'cuda'))
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--threads', type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report = {
        'size': options.size,
        'frames': options.frames,
        'pairs': len(clip_graph(options.frames)),
        'precision': options.precision,
        'device': options.device,
        'threads': options.threads,
        'bar_ratio': 0.5,
        'gflop': window(*operations(options.size), options.frames),
    }
    if options.rounds:
        with torch.inference_mode():
            parts = seconds(options.size, options.precision, options.rounds, options.device)
        report['seconds'] = window(*parts, options.frames)
    print(json.dumps(report, indent=1))


if __name__ == '__main__':
    main()
