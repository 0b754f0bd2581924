# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the global alignment against the published optimiser.

    python -m bench.alignment [CASE ...] [--goldens FOLDER]

Each figure is one line of JSON with its bar; the exit status is 1 where one fails. Bars come from
the results of the published code on the same inputs, on one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')  # one thread is what is compared

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from bench.room import CAMERA, Room, pair, rounds
from videodepth_ros.alignment.global_alignment import align
from videodepth_ros.alignment.hierarchy import align_hierarchy
from videodepth_ros.alignment.options import AlignmentOptions, FocalModel, HierarchyOptions
from videodepth_ros.alignment.pair_graph import Clip, PairGraph, build_pair_graph
from videodepth_ros.alignment.pairs import PointMapPair, clip_graph
from videodepth_ros.alignment.reference import published_cost
from videodepth_ros.core.arrays import Edge
from videodepth_ros.evaluation.trajectory import TrajectoryAlignment, evaluate_trajectory
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.trajectory import Trajectory

GOLDENS = Path(__file__).parents[2] / 'shared/goldens/align3r'
NO_SMOOTHING = AlignmentOptions(
    focal_model=FocalModel.PER_FRAME, rotation_smoothing=0, translation_smoothing=0
)
OFFICIAL_SHORT_S, OFFICIAL_LONG_S, OFFICIAL_LARGE_S = 21.0, 42.0, 460.0
LENGTHS = (50, 100, 200, 400)


@dataclass(frozen=True)
class Figure:
    """One measured value and its upper bar."""

    case: str
    name: str
    value: float
    bar: float

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return self.value <= self.bar


class Golden:
    """Stored inputs of the published optimiser, with ground truth."""

    def __init__(self, folder: Path, name: str) -> None:
        with np.load(folder / f'opt_{name}_inputs.npz') as stored:
            self.arrays = dict(stored)
        self._place = {tuple(edge): n for n, edge in enumerate(self.arrays['edges'].tolist())}

    def pairs(self, edges: Iterable[Edge]) -> Iterator[PointMapPair]:
        """Yield the stored pair of every edge."""
        for i, j in edges:
            n = self._place[i, j]
            maps = (
                self.arrays[key][n].astype(np.float32)
                for key in ('pts3d_i', 'pts3d_j', 'conf_i', 'conf_j')
            )
            yield PointMapPair(i, j, *maps)

    def ate(self, T_world_cam: np.ndarray) -> float:
        """Return the ATE after Sim(3) alignment, RMS over the cameras."""
        stamps = np.arange(len(T_world_cam)) * 10**8
        return evaluate_trajectory(
            Trajectory(stamps, T_world_cam),
            Trajectory(stamps, self.arrays['poses_gt'].astype(np.float64)),
            TrajectoryAlignment.SIM3,
        ).ate_rmse_m

    def abs_rel(self, depth: np.ndarray) -> float:
        """Return AbsRel after median scaling, as the stored figures."""
        truth = self.arrays['depth_gt']
        scale = np.median(truth) / np.median(depth)
        return float(np.mean(np.abs(scale * depth - truth) / truth))

    def scale_spread(self, depth: np.ndarray) -> float:
        """Relative standard deviation of the scale that fits each frame."""
        scales = np.array(
            [np.median(t / d) for t, d in zip(self.arrays['depth_gt'], depth, strict=True)]
        )
        return float(scales.std() / scales.mean())


@dataclass(frozen=True)
class Official:
    """Results of the published code: objective, and errors against ground truth."""

    loss: float
    abs_rel: float
    ate: float


def short(folder: Path, case: str, options: AlignmentOptions, official: Official) -> list[Figure]:
    """Align the 10 stored frames, 50 pairs."""
    golden = Golden(folder, 'short')
    with np.load(folder / 'opt_short_flow.npz') as stored:
        edges = [tuple(edge) for edge in stored['edges'].tolist()]
        flow = stored['flow'].astype(np.float32).transpose(0, 2, 3, 1)
    pairs = list(golden.pairs(edges))
    if case == 'short_flow':
        pairs = [replace(one, flow=its) for one, its in zip(pairs, flow, strict=True)]
    start = time.process_time()
    found = align(pairs, options)
    cpu_s = time.process_time() - start
    cost = published_cost(
        pairs,
        found,
        rotation_smoothing=options.rotation_smoothing,
        translation_smoothing=options.translation_smoothing,
    )
    loss = cost.total if case == 'short_flow' else cost.data
    return [
        Figure(case, 'loss', loss, 1.005 * official.loss),
        Figure(case, 'abs_rel', golden.abs_rel(found.depth), 1.05 * official.abs_rel),
        Figure(case, 'ate', golden.ate(found.T_world_cam), 1.05 * official.ate),
        Figure(case, 'cpu_s', cpu_s, OFFICIAL_SHORT_S / 15),
    ]


def short_demo(folder: Path) -> list[Figure]:
    return short(folder, 'short_demo', AlignmentOptions(), Official(0.18448, 0.01869, 0.0320))


def short_noshared(folder: Path) -> list[Figure]:
    return short(folder, 'short_noshared', NO_SMOOTHING, Official(0.18390, 0.02025, 0.03063))


def short_flow(folder: Path) -> list[Figure]:
    return short(folder, 'short_flow', AlignmentOptions(), Official(0.19760, 0.01843, 0.01554))


def long_hier(folder: Path) -> list[Figure]:
    """Align the 44 stored frames with the stored pairs of keyframes and clips."""
    golden = Golden(folder, 'long')
    keys = golden.arrays['keyframes'].tolist()
    clips = []
    for k, (first, after) in enumerate(zip(keys, [*keys[1:], 44], strict=True)):
        edges = tuple((i, j) for i, j in golden.arrays[f'clip_edges_{k}'].tolist())
        clips.append(Clip(range(first, after), range(first, after), (first,), edges))
    graph = PairGraph(
        tuple(keys),
        tuple((i, j) for i, j in golden.arrays['key_edges'].tolist()),
        tuple(clips),
        len(keys),
    )
    start = time.process_time()
    found = list(align_hierarchy(golden, graph))
    cpu_s = time.process_time() - start
    T = np.concatenate([clip.T_world_cam for clip in found])
    depth = np.concatenate([clip.depth for clip in found])
    return [
        Figure('long_hier', 'abs_rel', golden.abs_rel(depth), 0.0255),
        Figure('long_hier', 'scale_spread', golden.scale_spread(depth), 0.005),
        Figure('long_hier', 'ate', golden.ate(T), 0.050),
        Figure('long_hier', 'cpu_s', cpu_s, OFFICIAL_LONG_S / 10),
    ]


def peak_gb() -> float:
    """Largest resident memory of this process so far; getrusage would count its parent's too."""
    status = Path('/proc/self/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) * 1024 / 1e9


def elsewhere(call: str) -> list[float]:
    """Call a function of this file in a process of its own and return its numbers."""
    code = f'from bench import alignment; print(*alignment.{call})'
    return [
        float(number)
        for number in subprocess.run(
            [sys.executable, '-c', code], check=True, capture_output=True, text=True
        ).stdout.split()
    ]


def large_clip() -> tuple[float, float]:
    """Align 10 frames of 512x288 over 50 pairs; return CPU seconds and peak GB, pairs included."""
    camera = Intrinsics(512, 288, 420.0, 420.0, 256.0, 144.0)
    poses = rounds(10)
    pairs = [pair(poses, i, j, noise=0.02, camera=camera) for i, j in clip_graph(10)]
    start = time.process_time()
    align(pairs)
    return time.process_time() - start, peak_gb()


def large(_: Path) -> list[Figure]:
    """Compare one clip at the size of the network's point maps with the published code."""
    cpu_s, memory = elsewhere('large_clip()')
    return [
        Figure('large', 'peak_gb', memory, 0.5),
        Figure('large', 'cpu_s', cpu_s, OFFICIAL_LARGE_S / 15),
    ]


class Timed:
    """A provider whose own time is measured separately."""

    def __init__(self, room: Room) -> None:
        self._room, self.cpu_s = room, 0.0

    def pairs(self, edges: Iterable[Edge]) -> Iterator[PointMapPair]:
        """Yield the pair of every edge."""
        source = iter(self._room.pairs(edges))
        while True:
            start = time.process_time()
            one = next(source, None)
            self.cpu_s += time.process_time() - start
            if one is None:
                return
            yield one


def one_length(frames: int) -> tuple[float, float]:
    """Align a walk of ``frames`` frames; return CPU seconds and the peak memory in GB."""
    options = AlignmentOptions(camera=CAMERA, max_pixels=400)
    provider, start = Timed(Room(rounds(frames))), time.process_time()
    for _ in align_hierarchy(
        provider, build_pair_graph(frames), HierarchyOptions(options, options)
    ):
        pass
    return time.process_time() - start - provider.cpu_s, peak_gb()


def lengths(_: Path) -> list[Figure]:
    """Compare time and memory of longer walks with linear growth from 50 frames."""
    measured = [elsewhere(f'one_length({frames})') for frames in LENGTHS]
    times = [cpu_s / frames for (cpu_s, _), frames in zip(measured, LENGTHS, strict=True)]
    share = [memory / frames for (_, memory), frames in zip(measured, LENGTHS, strict=True)]
    return [
        Figure('lengths', f'cpu_s_{frames}', cpu_s, 1.2 * times[0] * frames)
        for frames, (cpu_s, _) in zip(LENGTHS, measured, strict=True)
    ] + [
        Figure('lengths', f'peak_gb_{frames}', memory, 1.2 * share[0] * frames)
        for frames, (_, memory) in zip(LENGTHS, measured, strict=True)
    ]


CASES: dict[str, Callable[[Path], list[Figure]]] = {
    'large': large,
    'short_demo': short_demo,
    'short_noshared': short_noshared,
    'short_flow': short_flow,
    'long_hier': long_hier,
    'lengths': lengths,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('cases', nargs='*', help=f'of {", ".join(CASES)}; all by default')
    parser.add_argument('--goldens', type=Path, default=GOLDENS, help='folder of stored inputs')
    arguments = parser.parse_args()
    fails = 0
    for case in arguments.cases or CASES:
        for figure in CASES[case](arguments.goldens):
            print(json.dumps({**asdict(figure), 'holds': figure.holds}), flush=True)
            fails += not figure.holds
    return int(fails > 0)


if __name__ == '__main__':
    sys.exit(main())
