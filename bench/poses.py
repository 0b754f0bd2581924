# SPDX-License-Identifier: Apache-2.0
"""Poses of `refine` against those of COLMAP's incremental mapper, on the same frames in one run.

    python -m bench.poses [CASE ...] [--stride N] [--data FOLDER]

A case is a folder of the reference data. The mapper is pycolmap's, with SIFT on the CPU,
sequential matching and the known intrinsics; `refine` starts from nano's stream and includes it,
without stereo. Each prints one line of JSON a case: frames registered, ATE after alignment with
scale, wall and processor seconds. Needs `pip install pycolmap` (BSD).
"""

from __future__ import annotations

import os

os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from bench.trajectory import DATA, RECORDED, Sequence, recorded, streamed
from videodepth_ros.evaluation.trajectory import TrajectoryAlignment, evaluate_trajectory
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.sfm.reconstruction import reconstruct

OVERLAP = 10
"""Frames after each one that it is matched with, as by COLMAP's default."""


@dataclass(frozen=True)
class Poses:
    """Frames of a sequence whose poses were found, (K,), and these poses T_world_cam (K, 4, 4)."""

    frames: np.ndarray
    T_world_cam: np.ndarray


@dataclass(frozen=True)
class Figures:
    """Figures of one method on one case."""

    case: str
    method: str
    frames: int
    registered: int
    ate_cm: float
    wall_s: float
    cpu_s: float


def thinned(sequence: Sequence, stride: int) -> Sequence:
    """Return every ``stride``-th frame."""
    return replace(
        sequence,
        images=sequence.images[::stride],
        depth_m=sequence.depth_m[::stride],
        T_map_cam=sequence.T_map_cam[::stride],
    )


def poses_of_refine(sequence: Sequence) -> Poses:
    """Stream nano's depth and reconstruct; frames in which the camera was lost are left out."""
    found = reconstruct(sequence.images, streamed(sequence), sequence.camera)
    frames = np.flatnonzero(found.pieces.submap == found.pieces.main_submap)
    return Poses(frames, found.T_world_cam[frames])


def poses_of_colmap(sequence: Sequence) -> Poses:
    """Run the incremental mapper and keep the largest of its models."""
    import pycolmap

    pycolmap.logging.minloglevel = pycolmap.logging.ERROR
    with tempfile.TemporaryDirectory() as folder:
        images, database = Path(folder, 'images'), Path(folder, 'database.db')
        images.mkdir()
        for n, image in enumerate(sequence.images):
            cv2.imwrite(str(images / f'{n:05d}.png'), image[..., ::-1])
        height, width = sequence.images.shape[1:3]
        camera = sequence.camera.scaled_to(width, height)
        # COLMAP's origin is the corner of the first pixel, not its centre
        numbers = (camera.fx, camera.fy, camera.cx + 0.5, camera.cy + 0.5)
        pycolmap.extract_features(
            database,
            images,
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=pycolmap.ImageReaderOptions(
                camera_model='PINHOLE', camera_params=','.join(map(str, numbers))
            ),
            device=pycolmap.Device.cpu,
        )
        pairing = pycolmap.SequentialPairingOptions(overlap=OVERLAP)
        pycolmap.match_sequential(database, pairing_options=pairing, device=pycolmap.Device.cpu)
        options = pycolmap.IncrementalPipelineOptions(ba_refine_focal_length=False)
        options.ba_refine_extra_params = False
        models = pycolmap.incremental_mapping(database, images, folder, options)
    if not models:
        return Poses(np.empty(0, np.intp), np.empty((0, 4, 4)))
    largest = max(models.values(), key=lambda model: model.num_reg_images())
    poses = {}
    for image_id in largest.reg_image_ids():
        image, T = largest.images[image_id], np.eye(4)
        T[:3] = image.cam_from_world().inverse().matrix()
        poses[int(Path(image.name).stem)] = T
    frames = np.array(sorted(poses), np.intp)
    return Poses(frames, np.stack([poses[n] for n in frames.tolist()]))


def measure(
    case: str, method: str, sequence: Sequence, find: Callable[[Sequence], Poses]
) -> Figures:
    """Run one method, and evaluate the poses that it has found."""
    wall_s, cpu_s = time.monotonic(), _cpu_s()
    found = find(sequence)
    wall_s, cpu_s = time.monotonic() - wall_s, _cpu_s() - cpu_s
    ate_m = float('nan')
    if len(found.frames) > 2:
        ate_m = evaluate_trajectory(
            Trajectory(found.frames * 10**8, found.T_world_cam),
            Trajectory(found.frames * 10**8, sequence.T_map_cam[found.frames]),
            TrajectoryAlignment.SIM3,
        ).ate_rmse_m
    count, registered = len(sequence.images), len(found.frames)
    return Figures(case, method, count, registered, 100 * ate_m, wall_s, cpu_s)


def _cpu_s() -> float:
    """Return the processor time of this process and of those that it has ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('cases', nargs='*', help=f'cases of {", ".join(RECORDED)} (default: all)')
    parser.add_argument('--stride', type=int, default=1, help='take every N-th frame')
    parser.add_argument('--data', type=Path, default=DATA, help='folder of the reference data')
    arguments = parser.parse_args()
    if not find_spec('pycolmap'):
        parser.error('pycolmap is missing; install it with `pip install pycolmap`')
    for case in arguments.cases or RECORDED:
        sequence = thinned(recorded(arguments.data / case), arguments.stride)
        for method, find in (('refine', poses_of_refine), ('colmap', poses_of_colmap)):
            print(json.dumps(asdict(measure(case, method, sequence, find))), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
