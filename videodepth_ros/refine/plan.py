# SPDX-License-Identifier: Apache-2.0
"""What a job will do, told before it does it: frames, pairs, memory, time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from videodepth_ros.alignment.pair_graph import PairGraph
from videodepth_ros.core.progress import Stage
from videodepth_ros.refine.image_sequence import Size
from videodepth_ros.refine.settings import Method

READ, DEPTH, CONSISTENCY, TRACK, KEYFRAMES, CLIPS, WRITE = (
    'read',
    'depth',
    'agree',
    'track',
    'keyframes',
    'clips',
    'write',
)

READ_S = 0.010
ESTIMATE_S = {'bag': 0.012, 'nano': 0.03, 'nano-1': 0.02, 'depth-pro': 25.0}
"""Seconds a frame, on one core of a server of 2023; NETWORK_S for what is not listed."""

NETWORK_S = 2.0
TRACK_S = 0.06
ROLLING_S = 60.0
PAIR_S_PER_PIXEL = 3e-7
WRITE_S_PER_PIXEL = 6e-7
PROCESS_MB = 50
BYTES_PER_POINT = 60
"""Of a pair in memory: two point maps and confidences, and what the solver makes of them."""

WRITE_BYTES_PER_PIXEL = 120
"""Of the camera's image: it, its depth, and what guides one by the other."""

CLOUD_BYTES, NEW_VOXELS, MOST_VOXELS = 320, 40_000, 1_000_000
"""Of a voxel while new ones are merged; how many a frame brings; see `results.ply`."""

PLAIN_PRIORS = 'bag', 'nano', 'nano-1'
"""Priors that take less than the other stages."""


@dataclass(frozen=True)
class JobPlan:
    """The size of a job.

    camera, working   width and height of the camera's images, and of the maps that are aligned
    seconds_of_data   between the first and the last frame
    processes         that align clips
    """

    frames: int
    camera: Size
    working: Size
    seconds_of_data: float
    method: Method
    prior: str
    graph: PairGraph | None
    processes: int

    def stages(self) -> Iterator[Stage]:
        """Yield all stages, with the time that they are expected to take."""
        yield Stage(READ, self.frames, READ_S)
        yield Stage(DEPTH, self.frames, ESTIMATE_S.get(self.prior, NETWORK_S))
        if self.method is not Method.ALIGN3R:
            yield Stage(
                CONSISTENCY, self.frames, TRACK_S if self.method is Method.COALIGN else ROLLING_S
            )
        pair_s = PAIR_S_PER_PIXEL * self.working[0] * self.working[1]
        if self.graph:
            yield Stage(TRACK, self.frames, TRACK_S)
            yield Stage(KEYFRAMES, 1, pair_s * len(self.graph.keyframe_edges))
            yield Stage(
                CLIPS, len(self.graph.clips), pair_s * self._pairs_of_a_clip / self.processes
            )
        yield Stage(WRITE, self.frames, WRITE_S_PER_PIXEL * self.camera[0] * self.camera[1])

    @property
    def seconds(self) -> float:
        """Expected time of the whole."""
        return sum(stage.seconds for stage in self.stages())

    @property
    def memory_mb(self) -> float:
        """Expected peak, all processes together, without networks."""
        at_once = BYTES_PER_POINT * self.working[0] * self.working[1] * self._pairs_of_a_clip
        at_work = min(self.processes, len(self.graph.clips)) if self.graph else 0
        aligned = at_work * (PROCESS_MB + 1e-6 * at_once)
        pixels = self.camera[0] * self.camera[1]
        voxels = min(MOST_VOXELS, self.frames * min(NEW_VOXELS, pixels))
        written = 1e-6 * (WRITE_BYTES_PER_PIXEL * pixels + CLOUD_BYTES * voxels)
        return PROCESS_MB + max(aligned, written)

    @property
    def disk_mb(self) -> float:
        """Intermediate results, which are removed at the end."""
        images = 3 * min(self.camera[0] * self.camera[1], 640 * 480)
        return 1e-6 * self.frames * (images + 12 * self.working[0] * self.working[1])

    @property
    def _pairs_of_a_clip(self) -> int:
        return max(len(clip.edges) for clip in self.graph.clips) if self.graph else 0

    def __str__(self) -> str:
        pairs = (
            'no poses'
            if self.graph is None
            else (
                f'{_counted(len(self.graph.keyframes), "keyframe")}, '
                f'{_counted(len(self.graph.clips), "clip")}, '
                f'{len(self.graph.keyframe_edges) + sum(len(c.edges) for c in self.graph.clips)} '
                f'pairs '
                f'of {self.working[0]}x{self.working[1]}'
            )
        )
        networks = (
            ''
            if self.prior in PLAIN_PRIORS and self.method is not Method.ROLLINGDEPTH
            else ' beside the networks'
        )
        return (
            f'plan: {self.frames} frames of {self.camera[0]}x{self.camera[1]} over '
            f'{self.seconds_of_data:.1f} s; {self.method.value} with {self.prior}; {pairs}; '
            f'about {self.memory_mb:.0f} MB of memory{networks}, {self.disk_mb:.0f} MB on '
            f'disk, '
            f'{self.seconds:.0f} s'
        )


def _counted(number: int, what: str) -> str:
    return f'{number} {what}' + ('' if number == 1 else 's')
