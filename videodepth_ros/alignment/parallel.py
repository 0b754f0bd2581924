# SPDX-License-Identifier: Apache-2.0
"""Hierarchical alignment in parallel processes, with one result file per clip.

A process opens its inputs from files, so that no large array is sent between processes, and the
result of a clip does not depend on where and when it is computed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from videodepth_ros.alignment.constraints import Constraints, ScaleReference
from videodepth_ros.alignment.hierarchy import (
    ClipAlignment,
    KeyframeAlignment,
    align_clip,
    align_keyframes,
)
from videodepth_ros.alignment.moving_objects import segment_moving_objects
from videodepth_ros.alignment.options import HierarchyOptions
from videodepth_ros.alignment.pair_graph import PairGraph
from videodepth_ros.alignment.pairs import PairProvider
from videodepth_ros.core.arrays import Float64Array, UInt8Array
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.core.parallel import current_pool
from videodepth_ros.core.workspace import save_npz
from videodepth_ros.geometry.camera import Intrinsics


@dataclass(frozen=True)
class AlignmentTask:
    """Opened inputs of the hierarchical alignment of one recording.

    images  (N, H, W, 3) uint8 RGB, in which moving objects are segmented; None: not segmented
    """

    provider: PairProvider
    graph: PairGraph
    options: HierarchyOptions
    constraints: Constraints
    images: UInt8Array | None = None


OpenTask = Callable[[], AlignmentTask]
"""Opens a task from files; pickled to other processes, so a plain value itself."""


@dataclass(frozen=True)
class AlignmentFiles:
    """Result files: keyframes (None with a single clip), and one per clip."""

    keyframes: Path | None
    clips: tuple[Path, ...]


def align_parallel(
    open_task: OpenTask,
    files: AlignmentFiles,
    processes: int,
    on_keyframes: Callable[[], None],
    on_clip: Callable[[], None],
) -> None:
    """Align the keyframes, then the clips in parallel; results that exist are kept.

    on_keyframes, on_clip  called after each result
    raises                 as `align_clips_parallel`
    """
    if files.keyframes and not files.keyframes.exists():
        save_keyframes(open_task(), files.keyframes)
        on_keyframes()
    missing = [number for number, path in enumerate(files.clips) if not path.exists()]
    for _ in align_clips_parallel(open_task, files, missing, processes):
        on_clip()


def save_keyframes(task: AlignmentTask, path: Path) -> None:
    """Align the keyframes and write them."""
    pairs = task.provider.pairs(task.graph.keyframe_edges)
    keyframes = align_keyframes(pairs, task.graph, task.options, task.constraints)
    save_npz(
        path,
        frames=np.array(keyframes.frames),
        T_world_cam=keyframes.T_world_cam,
        depth=keyframes.depth,
        stride=np.array(keyframes.stride),
        camera=_camera_rows([keyframes.camera]),
        scale_reference=np.array(keyframes.scale_reference.value),
    )


def load_keyframes(path: Path) -> KeyframeAlignment:
    """Read a file of `save_keyframes`."""
    with np.load(path) as stored:
        return KeyframeAlignment(
            tuple(stored['frames'].tolist()),
            stored['T_world_cam'],
            stored['depth'],
            int(stored['stride']),
            _cameras(stored['camera'])[0],
            ScaleReference(str(stored['scale_reference'])),
        )


def load_clip(path: Path) -> ClipAlignment:
    """Read the result of one clip."""
    with np.load(path) as stored:
        moving = stored['moving']  # empty where moving objects were not segmented
        return ClipAlignment(
            range(*stored['frames'].tolist()),
            stored['T_world_cam'],
            stored['depth'],
            stored['confidence'],
            _cameras(stored['cameras']),
            moving if len(moving) else None,
            ScaleReference(str(stored['scale_reference'])),
        )


def align_clips_parallel(
    open_task: OpenTask, files: AlignmentFiles, missing: Sequence[int], processes: int
) -> Iterator[int]:
    """Align and write the clips ``missing``; yield the number of each when it is done.

    raises  DeviceError where a process died, else as `align_clip`
    """
    if processes == 1 or len(missing) < 2:
        worker = _Worker(open_task(), files)
        for number in missing:
            yield worker.align(number)
        return
    count = min(processes, len(missing))
    pool = current_pool().open(count, _start_worker, (open_task, files))
    try:
        pending = _submit(pool, missing)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise DeviceError(
            'a process that aligned clips was killed, perhaps because memory ran '
            'out, or because a script without `if __name__ == "__main__":` started '
            'it; run again with fewer processes: finished clips are kept'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: Executor, missing: Sequence[int]) -> set[Future[int]]:
    """Submit clips to processes that ignore Ctrl-C, which a terminal sends to all of them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # processes inherit it
    try:
        return {pool.submit(_align_in_worker, number) for number in missing}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """State of one process: the task, opened once, and the keyframes."""

    def __init__(self, task: AlignmentTask, files: AlignmentFiles) -> None:
        self._task, self._files = task, files
        self._keyframes = load_keyframes(files.keyframes) if files.keyframes else None

    def align(self, number: int) -> int:
        """Align a clip, write it and return its number."""
        task = self._task
        clip = task.graph.clips[number]
        pairs = task.provider.pairs(clip.edges)
        found = align_clip(pairs, clip, self._keyframes, task.options.clips, task.constraints)
        moving = found.moving
        if moving is None and task.images is not None:
            moving = segment_moving_objects(
                task.images[found.frames.start : found.frames.stop],
                found.depth,
                found.T_world_cam,
                found.cameras,
            )
        moving = np.empty(0, np.bool_) if moving is None else moving
        save_npz(
            self._files.clips[number],
            frames=np.array([found.frames.start, found.frames.stop]),
            T_world_cam=found.T_world_cam,
            depth=found.depth,
            confidence=found.confidence,
            cameras=_camera_rows(found.cameras),
            moving=moving,
            scale_reference=np.array(found.scale_reference.value),
        )
        return number


_worker: _Worker | None = None


def _start_worker(open_task: OpenTask, files: AlignmentFiles) -> None:
    """Initialise a process of the pool."""
    global _worker
    cv2.setNumThreads(1)  # the other processes occupy the cores
    _worker = _Worker(open_task(), files)


def _align_in_worker(number: int) -> int:
    assert _worker is not None
    return _worker.align(number)


def _camera_rows(cameras: Sequence[Intrinsics]) -> Float64Array:
    """Return cameras as rows of width, height, fx, fy, cx, cy."""
    return np.array([(c.width, c.height, c.fx, c.fy, c.cx, c.cy) for c in cameras], np.float64)


def _cameras(rows: Float64Array) -> tuple[Intrinsics, ...]:
    return tuple(
        Intrinsics(int(w), int(h), fx, fy, cx, cy) for w, h, fx, fy, cx, cy in rows.tolist()
    )
