# SPDX-License-Identifier: Apache-2.0
"""Accuracy and time of poses and depth from the pairs `geometric`, all stages of the alignment.

    python -m bench.trajectory [CASE ...] [--prior nano|bag] [--data FOLDER] [--seed N]

A case is a folder of the reference data, with its sensor depth as prior unless `--prior nano`; a
held-out family of synthetic scenes, with nano's stream as prior; or `round-FAMILY`: a loop through
such a scene. Each prints one line of JSON: errors before and after, processor seconds, and bars.
The exit status is 1 if a case misses its bar.
"""

from __future__ import annotations

import os

os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.rounds import render_loop
from videodepth_ros.alignment.constraints import Constraints
from videodepth_ros.alignment.hierarchy import align_hierarchy
from videodepth_ros.alignment.options import HIERARCHY_DEFAULTS
from videodepth_ros.alignment.pair_graph import build_pair_graph
from videodepth_ros.alignment.providers.geometric import GeometricPairProvider
from videodepth_ros.engines.open import open_engine
from videodepth_ros.evaluation.accumulators import DepthAlignment
from videodepth_ros.evaluation.depth import DepthPair, evaluate_depth
from videodepth_ros.evaluation.trajectory import TrajectoryAlignment, evaluate_trajectory
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.pose import poses_from_xyz_quat
from videodepth_ros.geometry.sim3 import umeyama_alignment
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.models.catalogue import card
from videodepth_ros.sfm.reconstruction import reconstruct
from videodepth_ros.stream.session import DepthSession, SessionSettings
from videodepth_ros.synthetic.families import HELD_OUT_FAMILIES
from videodepth_ros.synthetic.scenes import render_scene

DATA = Path(__file__).parents[2] / 'shared/data'
RECORDED = ('real_kitchen', 'rendered_livingroom', 'rendered_house', 'rendered_drive')
FRAMES, WIDTH, HEIGHT, FPS = 60, 320, 240, 10.0
LOOP_PREFIX = 'round-'
LOOP_FRAMES, LAP = 280, 240


@dataclass(frozen=True)
class Sequence:
    """Images (N, H, W, 3) uint8, truth (N, h, w) float32 (0 unknown) and poses (N, 4, 4).

    lap  frames after which the camera is at the same place; None: no loop
    """

    images: np.ndarray
    depth_m: np.ndarray
    T_map_cam: np.ndarray
    camera: Intrinsics
    lap: int | None = None


@dataclass(frozen=True)
class DepthFigures:
    """AbsRel after scale and shift in inverse depth, and the drift of the scale over frames."""

    abs_rel: float
    drift: float


@dataclass(frozen=True)
class Figures:
    """Figures of one case; ``holds``: all bars are met.

    gap_m  mean error of the relative position of frames one lap apart
    """

    case: str
    prior: str
    frames: int
    path_length_m: float
    ate_m: float
    ate_share: float
    ate_bar_m: float
    gap_m: float | None
    before: DepthFigures
    after: DepthFigures
    prior_s: float
    reconstruct_s: float
    refine_s: float
    holds: bool


def recorded(folder: Path) -> Sequence:
    """Read a sequence of the reference data, its depth at half the size."""
    about = json.loads((folder / 'intrinsics.json').read_text())
    images = np.stack([cv2.imread(str(path))[..., ::-1] for path in sorted(folder.glob('rgb/*'))])
    depth = np.stack(
        [
            cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[::2, ::2]
            for path in sorted(folder.glob('depth/*'))
        ]
    )
    rows = np.loadtxt(folder / 'poses.txt')
    camera = Intrinsics(
        about['width'], about['height'], *(float(about[key]) for key in ('fx', 'fy', 'cx', 'cy'))
    )
    return Sequence(
        images,
        depth * np.float32(about['depth_png_scale_m']),
        poses_from_xyz_quat(rows[:, 1:8]),
        camera.strided(2),
    )


def rendered(family: str, seed: int) -> Sequence:
    """Render a held-out scene, or a loop in one."""
    is_loop = family.startswith(LOOP_PREFIX)
    shot = list(
        render_loop(family.removeprefix(LOOP_PREFIX), seed, LOOP_FRAMES, LAP, WIDTH, HEIGHT, FPS)
        if is_loop
        else render_scene(family, seed, FRAMES, WIDTH, HEIGHT, FPS)
    )
    depth = np.stack([frame.depth_m for frame in shot])
    return Sequence(
        np.stack([frame.image for frame in shot]),
        np.where(np.isfinite(depth), depth, 0).astype(np.float32),
        np.stack([frame.T_map_cam for frame in shot]),
        shot[0].camera,
        LAP if is_loop else None,
    )


def streamed(sequence: Sequence) -> np.ndarray:
    """Return nano's depth of every frame, (N, h, w) float32, from the live stream."""
    session = DepthSession(
        card('nano'), lambda w, h: open_engine('nano', 'onnx', w, h, threads=1), SessionSettings()
    )
    camera, depth = sequence.camera, []
    for n, image in enumerate(sequence.images):
        full = camera.scaled_to(image.shape[1], image.shape[0])
        found = session.step(Frame((n + 1) * 10**8, 'camera', image, full)).depth.depth_m
        depth.append(found if found.shape == sequence.depth_m.shape[1:] else found[::2, ::2])
    session.close()
    return np.stack(depth)


def gap_m(found: np.ndarray, truth: np.ndarray, lap: int, metric: bool) -> float:
    """Return the mean error of the relative position of frames one lap apart; poses (N, 4, 4)."""
    scale = umeyama_alignment(found[:, :3, 3].T, truth[:, :3, 3].T, with_scale=not metric).scale
    relative = [(np.linalg.inv(T[:-lap]) @ T[lap:])[:, :3, 3] for T in (found, truth)]
    return float(np.linalg.norm(scale * relative[0] - relative[1], axis=1).mean())


def depth_figures(predicted: np.ndarray, truth: np.ndarray) -> DepthFigures:
    """Evaluate the depth of a sequence, (N, h, w)."""
    pairs = [DepthPair(n, *both) for n, both in enumerate(zip(predicted, truth, strict=True))]
    return DepthFigures(
        evaluate_depth(pairs, DepthAlignment.SCALE_SHIFT).errors.abs_rel,
        evaluate_depth(pairs, DepthAlignment.SCALE).scale_drift,
    )


def measure(case: str, sequence: Sequence, prior: str) -> Figures:
    """Align one sequence from one prior, and evaluate poses and depth."""
    start_s = time.process_time()
    measured = np.where(sequence.depth_m > 0, sequence.depth_m, np.nan)
    depth = measured if prior == 'bag' else streamed(sequence)
    streamed_s = time.process_time()
    reconstruction = reconstruct(sequence.images, depth, sequence.camera)
    reconstructed_s = time.process_time()
    options = HIERARCHY_DEFAULTS.with_camera(reconstruction.camera).without_smoothing()
    constraints = Constraints(depth_m=measured) if prior == 'bag' else Constraints()
    clips = list(
        align_hierarchy(
            GeometricPairProvider(depth, reconstruction),
            build_pair_graph(len(depth)),
            options,
            constraints,
        )
    )
    done_s = time.process_time()
    refined = np.concatenate([clip.depth for clip in clips])
    stamps = np.arange(len(depth)) * 10**8
    T_world_cam = np.concatenate([clip.T_world_cam for clip in clips])
    report = evaluate_trajectory(
        Trajectory(stamps, T_world_cam),
        Trajectory(stamps, sequence.T_map_cam),
        TrajectoryAlignment.SE3 if prior == 'bag' else TrajectoryAlignment.SIM3,
    )
    ate, path = report.ate_rmse_m, report.path_length_m
    bar = max(0.015 * path, 0.03) if prior == 'bag' else 0.05 * path
    gap = sequence.lap and gap_m(T_world_cam, sequence.T_map_cam, sequence.lap, prior == 'bag')
    before, after = (depth_figures(one, sequence.depth_m) for one in (depth, refined))
    holds = ate <= bar and (
        prior == 'bag' or (after.abs_rel <= before.abs_rel and after.drift <= before.drift / 2)
    )
    return Figures(
        case,
        prior,
        len(depth),
        path,
        ate,
        ate / path,
        bar,
        gap,
        before,
        after,
        streamed_s - start_s,
        reconstructed_s - streamed_s,
        done_s - reconstructed_s,
        holds,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'cases',
        nargs='*',
        help=f'cases of {", ".join((*RECORDED, *HELD_OUT_FAMILIES))}'
        ' (default: all), or round-FAMILY',
    )
    parser.add_argument(
        '--prior',
        choices=('nano', 'bag'),
        default='bag',
        help='depth prior of the reference data and of loops',
    )
    parser.add_argument('--data', type=Path, default=DATA, help='folder of the reference data')
    parser.add_argument('--seed', type=int, default=100, help='seed of the synthetic scenes')
    arguments = parser.parse_args()
    fails = 0
    for case in arguments.cases or (*RECORDED, *HELD_OUT_FAMILIES):
        synthetic = case.removeprefix(LOOP_PREFIX) in HELD_OUT_FAMILIES
        sequence = rendered(case, arguments.seed) if synthetic else recorded(arguments.data / case)
        found = measure(case, sequence, 'nano' if case in HELD_OUT_FAMILIES else arguments.prior)
        print(json.dumps(asdict(found)), flush=True)
        fails += not found.holds
    return int(fails > 0)


if __name__ == '__main__':
    sys.exit(main())
