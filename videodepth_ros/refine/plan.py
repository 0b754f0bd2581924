# SPDX-License-Identifier: Apache-2.0
"""The stages of a job and their expected cost: time, memory and disk space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from videodepth_ros.alignment.pair_graph import PairGraph
from videodepth_ros.bags.output_options import (
    Compression,
    ConfidenceEncoding,
    DepthEncoding,
    OutputOptions,
)
from videodepth_ros.core.progress import Stage
from videodepth_ros.core.words import counted
from videodepth_ros.refine.image_sequence import Size
from videodepth_ros.refine.options import COST, READ, CostModel, ReadOptions
from videodepth_ros.refine.settings import Method

READ_STAGE, PRIOR_STAGE, CONSISTENCY_STAGE = 'read', 'prior', 'consistency'
TRACK_STAGE, KEYFRAME_STAGE, CLIP_STAGE = 'track', 'keyframes', 'clips'
STEREO_STAGE, WRITE_STAGE = 'stereo', 'write'
"""Names of the stages, as progress reports show them."""

_DEPTH_BYTES = {DepthEncoding.METRES: 4, DepthEncoding.MILLIMETRES: 2, DepthEncoding.COMPRESSED: 1}
_CONFIDENCE_BYTES = {
    ConfidenceEncoding.FLOAT: 4,
    ConfidenceEncoding.BYTE: 1,
    ConfidenceEncoding.SHORT: 2,
}

LIGHT_PRIORS = 'bag', 'nano', 'nano-1'
"""Priors whose memory is below that of the other stages."""


@dataclass(frozen=True)
class JobPlan:
    """The size of a job.

    camera, working  size of the camera's images, and of the depth maps that are aligned
    duration_s       between the first and the last frame
    aligns           whether pairs are aligned globally; else poses are those of bundle adjustment
    stereo           whether depth is refined by multi-view stereo
    processes        that align clips and match frames
    keeps_full_size  whether images at the camera's size are kept on disk
    bytes_per_pixel  of the maps of a frame that are written, see `stored_bytes`
    copied_bytes     of the topics that are copied
    """

    frames: int
    camera: Size
    working: Size
    duration_s: float
    method: Method
    prior: str
    graph: PairGraph | None
    aligns: bool
    stereo: bool
    processes: int
    keeps_full_size: bool = True
    bytes_per_pixel: float = 8.0
    copied_bytes: int = 0
    cost: CostModel = COST
    reading: ReadOptions = READ

    def stages(self) -> Iterator[Stage]:
        """Yield all stages with the time that each is expected to take."""
        cost = self.cost
        yield Stage(READ_STAGE, self.frames, cost.read_s)
        yield Stage(PRIOR_STAGE, self.frames, self._prior_s)
        if self.method is not Method.ALIGN3R:
            coaligns = self.method is Method.COALIGN
            frame_s = cost.track_s if coaligns else cost.rollingdepth_s
            yield Stage(CONSISTENCY_STAGE, self.frames, frame_s)
        pair_s = cost.pair_s_per_pixel * _pixels(self.working)
        if self.graph and not self.aligns:
            yield Stage(TRACK_STAGE, self.frames, cost.track_s)
        if self.graph and self.aligns:
            yield Stage(KEYFRAME_STAGE, 1, pair_s * len(self.graph.keyframe_edges))
            clip_s = pair_s * self._pairs_of_a_clip / self.processes
            yield Stage(CLIP_STAGE, len(self.graph.clips), clip_s)
        write_s = cost.write_s_per_pixel * _pixels(self.camera)
        if self.graph and self.stereo:
            yield Stage(STEREO_STAGE, self.frames, cost.match_s / self.processes)
            write_s += cost.finish_stereo_s / self.processes
        yield Stage(WRITE_STAGE, self.frames, write_s)

    @property
    def seconds(self) -> float:
        """Expected time of the whole job."""
        return sum(stage.seconds for stage in self.stages())

    @property
    def memory_mb(self) -> float:
        """Expected peak memory of all processes together, without networks."""
        cost = self.cost
        clip_bytes = cost.bytes_per_point * _pixels(self.working) * self._pairs_of_a_clip
        at_work = min(self.processes, len(self.graph.clips)) if self.graph and self.aligns else 0
        aligning = at_work * (cost.process_mb + 1e-6 * clip_bytes)
        pixels = _pixels(self.camera)
        voxels = min(cost.max_voxels, self.frames * min(cost.voxels_per_frame, pixels))
        writing = 1e-6 * (cost.bytes_per_pixel * pixels + cost.bytes_per_voxel * voxels)
        if self.graph and self.stereo:  # matches are finished while the results are written
            writing += self.processes * cost.stereo_process_mb
        return cost.process_mb + max(aligning, writing)

    @property
    def disk_mb(self) -> float:
        """Expected peak of the disk space: intermediate results, and the results."""
        return self.work_mb + self.results_mb

    @property
    def results_mb(self) -> float:
        """Expected size of the results: depth and confidence, cloud and mesh, video, copies."""
        cost = self.cost
        pixels = _pixels(self.camera)
        bag = self.frames * self.bytes_per_pixel * pixels + self.copied_bytes
        if not self.graph:
            return 1e-6 * bag
        voxels = min(cost.max_voxels, self.frames * cost.cloud_voxels_per_frame)
        mesh_share = cost.mesh_share if self.stereo else 0.0
        return 1e-6 * (bag + cost.cloud_voxel_bytes * voxels * (1 + mesh_share))

    @property
    def work_mb(self) -> float:
        """Expected size of the intermediate results, which are removed at the end.

        Images; per working pixel the prior, and with poses depth, confidence and motion mask, of
        an alignment twice: by clip and assembled; of stereo inverse depth and weight.
        """
        tracked = min(_pixels(self.camera), self.reading.tracking_pixels)
        is_larger = tracked < _pixels(self.camera) and self.keeps_full_size
        images = 3 * (tracked + (_pixels(self.camera) if is_larger else 0))
        per_pixel = 4
        if self.graph:
            per_pixel += 9 * (2 if self.aligns else 1) + (4 if self.stereo else 0)
        return 1e-6 * self.frames * (images + per_pixel * _pixels(self.working))

    @property
    def _prior_s(self) -> float:
        listed = {
            'bag': self.cost.bag_prior_s,
            'nano': self.cost.nano_prior_s,
            'nano-1': self.cost.nano_1_prior_s,
            'depth-pro': self.cost.depth_pro_s,
        }
        return listed.get(self.prior, self.cost.network_s)

    @property
    def _pairs_of_a_clip(self) -> int:
        return max(len(clip.edges) for clip in self.graph.clips) if self.graph else 0

    def __str__(self) -> str:
        graph = self.graph
        pairs = 'no poses'
        if graph is not None:
            pairs = 'poses by bundle adjustment'
        if graph is not None and self.aligns:
            count = len(graph.keyframe_edges) + sum(len(clip.edges) for clip in graph.clips)
            pairs = (
                f'{counted(len(graph.keyframes), "keyframe")}, '
                f'{counted(len(graph.clips), "clip")}, '
                f'{count} pairs of {self.working[0]}x{self.working[1]}'
            )
        if graph is not None and self.stereo:
            pairs += ', depth by stereo'
        beside = ' beside the networks'
        if self.prior in LIGHT_PRIORS and self.method is not Method.ROLLINGDEPTH:
            beside = ''
        return (
            f'plan: {self.frames} frames of {self.camera[0]}x{self.camera[1]} over '
            f'{self.duration_s:.1f} s; {self.method.value} with {self.prior}; {pairs}; '
            f'about {self.memory_mb:.0f} MB of memory{beside}, '
            f'{self.disk_mb:.0f} MB on disk ({self.results_mb:.0f} MB of results), '
            f'{self.seconds:.0f} s'
        )


def stored_bytes(options: OutputOptions, cost: CostModel = COST) -> float:
    """Return the bytes of a pixel of the maps of a frame in the recording, about."""
    size = _DEPTH_BYTES[options.depth_encoding]
    if options.confidence:
        size += _CONFIDENCE_BYTES[options.confidence_encoding]
    share = cost.zstd_share if options.compression is Compression.ZSTD else 1.0
    cloud = cost.point_bytes if options.points else 0.0
    return share * (size + cloud)


def _pixels(size: Size) -> int:
    return size[0] * size[1]
