# SPDX-License-Identifier: Apache-2.0
"""Keyframes and clips of a job, each in a file, clips in parallel processes.

A process opens what it works on from files, so that nothing large travels between processes, and a
clip's result is the same wherever and whenever it is computed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import Constraints, ScaleReference
from videodepth_ros.alignment.hierarchy import (
    ClipAlignment,
    HierarchyOptions,
    KeyframeAlignment,
    align_clip,
    align_keyframes,
)
from videodepth_ros.alignment.moving_objects import segment_moving_objects
from videodepth_ros.alignment.pair_graph import PairGraph
from videodepth_ros.alignment.pairs import PairProvider
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.core.workspace import save_npz
from videodepth_ros.geometry.camera import Intrinsics

Camera64 = NDArray[np.float64]


@dataclass(frozen=True)
class AlignmentTask:
    """What is aligned, opened.

    images  (N, H, W, 3) uint8 RGB, in which to look for what moves; None: nobody looks
    """

    provider: PairProvider
    graph: PairGraph
    settings: HierarchyOptions
    priors: Constraints
    images: NDArray[np.uint8] | None = None


OpenTask = Callable[[], AlignmentTask]
"""Opens a task from files; it travels to other processes, so it is a plain value itself."""


@dataclass(frozen=True)
class AlignmentFiles:
    """Where the results are: keyframes (None where one clip is all), and a file for each clip."""

    keyframes: Path | None
    clips: tuple[Path, ...]


def save_keyframes(task: AlignmentTask, files: AlignmentFiles) -> None:
    """Align the keyframes and write them."""
    assert files.keyframes is not None
    keys = align_keyframes(
        task.provider.pairs(task.graph.keyframe_edges),
        task.graph,
        task.settings.keyframes,
        task.priors,
    )
    save_npz(
        files.keyframes,
        frames=np.array(keys.frames),
        T_world_cam=keys.T_world_cam,
        depth=keys.depth,
        stride=np.array(keys.stride),
        camera=_numbers([keys.camera]),
        scale_reference=np.array(keys.scale_reference.value),
    )


def load_keyframes(path: Path) -> KeyframeAlignment:
    """Read what `align_keyframes` wrote."""
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
        moving = stored['moving']  # without records where nobody looked
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
    """Align the clips ``missing`` and write each; yield its number when it is done.

    raises  DeviceError where a process died, else what `align_clip` raises
    """
    if processes == 1 or len(missing) < 2:
        worker = _Worker(open_task(), files)
        for number in missing:
            yield worker.align(number)
        return
    # A fresh interpreter for each: a fork would inherit locks of BLAS, ROS and engine threads.
    pool = ProcessPoolExecutor(
        min(processes, len(missing)),
        multiprocessing.get_context('spawn'),
        _enter,
        (open_task, files),
    )
    try:
        waiting = _submitted(pool, missing)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise DeviceError(
            'a process that aligned clips was ended, perhaps because memory ran '
            'out, or because a script without `if __name__ == "__main__":` started '
            'it; run again with fewer processes, what is done is kept'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, missing: Sequence[int]) -> set[Future[int]]:
    """Submit clips to processes that Ctrl-C, which a terminal sends to all, does not end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # processes inherit it
    try:
        return {pool.submit(_align_in_worker, number) for number in missing}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process: the task, opened once, and the keyframes."""

    def __init__(self, task: AlignmentTask, files: AlignmentFiles) -> None:
        self._task, self._files = task, files
        self._keys = load_keyframes(files.keyframes) if files.keyframes else None

    def align(self, number: int) -> int:
        """Align a clip, write it and return its number."""
        task = self._task
        clip = task.graph.clips[number]
        found = align_clip(
            task.provider.pairs(clip.edges), clip, self._keys, task.settings.clips, task.priors
        )
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
            cameras=_numbers(found.cameras),
            moving=moving,
            scale_reference=np.array(found.scale_reference.value),
        )
        return number


_worker: _Worker | None = None


def _enter(open_task: OpenTask, files: AlignmentFiles) -> None:
    """Prepare a process of the pool."""
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the cores are taken by the other processes
    _worker = _Worker(open_task(), files)


def _end_with_parent() -> None:
    """End this process when the job's is gone; one of a pool would wait for work for ever."""
    job = multiprocessing.parent_process()
    assert job is not None
    job.join()
    os._exit(1)


def _align_in_worker(number: int) -> int:
    assert _worker is not None
    return _worker.align(number)


def _numbers(cameras: Sequence[Intrinsics]) -> Camera64:
    return np.array([(c.width, c.height, c.fx, c.fy, c.cx, c.cy) for c in cameras], np.float64)


def _cameras(numbers: Camera64) -> tuple[Intrinsics, ...]:
    return tuple(
        Intrinsics(int(w), int(h), fx, fy, cx, cy) for w, h, fx, fy, cx, cy in numbers.tolist()
    )


def align_parallel(
    open_task: OpenTask,
    files: AlignmentFiles,
    processes: int,
    on_keyframes: Callable[[], None],
    on_clip: Callable[[], None],
) -> None:
    """Align what is not there yet; ``on_keyframes`` and ``on_clip`` are called after each."""
    if files.keyframes and not files.keyframes.exists():
        save_keyframes(open_task(), files)
        on_keyframes()
    missing = [number for number, path in enumerate(files.clips) if not path.exists()]
    for _ in align_clips_parallel(open_task, files, missing, processes):
        on_clip()
