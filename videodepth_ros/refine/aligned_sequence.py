# SPDX-License-Identifier: Apache-2.0
"""The aligned recording: depth, confidence and motion mask of every frame, cameras and poses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import ScaleReference
from videodepth_ros.alignment.hierarchy import ClipAlignment
from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray, MaskArray
from videodepth_ros.core.workspace import DiskArray, save_npz
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.geometry.trajectory import StepSigmas
from videodepth_ros.refine.image_sequence import Size
from videodepth_ros.refine.metric_scale import MetricScale, log_depth_ratio
from videodepth_ros.sfm.pieces import Pieces

SCENE_FRAMES, SCENE_STRIDE = 60, 8
"""Number of frames, about, and stride of their pixels, of the points of the scene."""
SCENE_DEPTH_RATIO = 3.0


@dataclass(frozen=True)
class AlignedFrame:
    """One frame at the working size, in metres.

    depth_m      (h, w) float32; NaN unknown, +inf nothing hit; confidence likewise, in [0, 1]
    moving       (h, w) bool; None: not segmented
    camera       intrinsics at that size
    T_world_cam  (4, 4) float64
    in_map       whether the frame is in the sub-map of which cloud and mesh are made
    """

    depth_m: Float32Array
    confidence: Float32Array
    moving: MaskArray | None
    camera: Intrinsics
    T_world_cam: Float64Array
    in_map: bool = True


@dataclass(frozen=True)
class AlignedSequence:
    """All frames at the working size, in the unit of the alignment.

    depth        (N, h, w) float32, Z, filled with the prior's where the alignment has none;
                 NaN unknown, +inf nothing hit
    confidence   (N, h, w) float32 in [0, 1]; 0 where depth is filled; None: left to stereo
    moving       (N, h, w) bool, independently moving objects; None: not segmented
    intrinsics   (N, 4) float64, fx fy cx cy at the working size
    T_world_cam  (N, 4, 4) float64
    scale        metres per unit
    notes        notes for the report
    step_sigmas  uncertainty of the motion into each frame; None: not known
    pieces       frames whose poses hang together; None: all
    log_focal_sigma  of a focal length that was estimated; 0: stated
    readout_s    readout time of a rolling shutter, and its uncertainty; None: not found
    """

    depth: DiskArray
    confidence: DiskArray | None
    moving: DiskArray | None
    intrinsics: Float64Array
    T_world_cam: Float64Array
    scale: MetricScale
    notes: tuple[str, ...]
    step_sigmas: StepSigmas | None = None
    pieces: Pieces | None = None
    log_focal_sigma: float = 0.0
    readout_s: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.T_world_cam)

    @property
    def metric_T_world_cam(self) -> Float64Array:
        """Poses (N, 4, 4) with translations in metres."""
        T = self.T_world_cam.copy()
        T[:, :3, 3] *= self.scale.metres
        return T

    def camera_of(self, index: int) -> Intrinsics:
        """Return the intrinsics of one frame at the working size."""
        height, width = self.depth.record_shape
        return Intrinsics(width, height, *self.intrinsics[index].tolist())

    def metric_frames(self) -> Iterator[AlignedFrame]:
        """Yield every frame in metres."""
        depth = self.depth.open()
        confidence = None if self.confidence is None else self.confidence.open()
        moving = None if self.moving is None else self.moving.open()
        for index, T_world_cam in enumerate(self.metric_T_world_cam):
            yield AlignedFrame(
                np.asarray(depth[index] * np.float32(self.scale.metres)),
                np.zeros_like(depth[index]) if confidence is None else confidence[index],
                None if moving is None else np.asarray(moving[index]),
                self.camera_of(index),
                T_world_cam,
                bool(self.in_map[index]),
            )

    @property
    def submap(self) -> IndexArray:
        """Sub-map of each frame, (N,); negative: the camera was lost."""
        return np.zeros(len(self), np.intp) if self.pieces is None else self.pieces.submap

    @property
    def in_map(self) -> MaskArray:
        """Whether each frame is in the largest sub-map, (N,)."""
        main = 0 if self.pieces is None else self.pieces.main_submap
        return np.asarray(self.submap == main)

    def scene_points_m(self) -> Float64Array:
        """Return points of the scene in the world in metres, (P, 3) float64, from some frames.

        Points beyond `SCENE_DEPTH_RATIO` median depths of their frame are left out.
        """
        parts: list[Float64Array] = [np.empty((0, 3))]
        T_world_cam = self.metric_T_world_cam
        depth = self.depth.open()
        mapped = np.flatnonzero(self.in_map).tolist()
        for index in mapped[:: max(1, len(mapped) // SCENE_FRAMES)]:
            camera = self.camera_of(index).strided(SCENE_STRIDE)
            depth_m = depth[index, ::SCENE_STRIDE, ::SCENE_STRIDE] * self.scale.metres
            known = np.isfinite(depth_m)
            if known.any():
                known &= depth_m <= SCENE_DEPTH_RATIO * np.median(depth_m[known])
            seen = backproject(depth_m.astype(np.float32), camera)[known].astype(np.float64)
            if len(seen):  # one thread, unlike a product of matrices: the same bits everywhere
                in_world = cv2.transform(seen[:, None], T_world_cam[index, :3])
                parts.append(np.asarray(in_world, np.float64)[:, 0])
        return np.concatenate(parts)


@dataclass(frozen=True)
class AssembledClips:
    """The clips of an alignment as one sequence on disk, see `AlignedSequence`.

    log_depth_ratios  (N,), see `log_depth_ratio`
    reference         what the alignment was scaled by
    """

    depth: DiskArray
    confidence: DiskArray | None
    moving: DiskArray | None
    intrinsics: Float64Array
    T_world_cam: Float64Array
    log_depth_ratios: NDArray[np.floating[Any]]
    reference: ScaleReference


class ClipAssembler:
    """Writes the clips of an alignment as one sequence."""

    def __init__(self, path: Path, size: Size) -> None:
        """Assemble at a path without suffix, at the working size."""
        width, height = size
        self._index = path.with_suffix('.npz')
        self._depth, self._confidence = (
            DiskArray(path.with_suffix(suffix), (height, width), 'float32')
            for suffix in ('.depth', '.confidence')
        )
        self._moving = DiskArray(path.with_suffix('.moving'), (height, width), 'bool')

    def exists(self) -> bool:
        """Return whether the sequence is complete."""
        return self._index.exists()

    def assemble(self, clips: Iterable[ClipAlignment], prior_depth: Float32Array) -> None:
        """Write the sequence.

        clips        in order of time; each is loaded once, and one is in memory at a time
        prior_depth  (N, h, w) float32: where nothing was hit, and what no pair has seen
        """
        intrinsics, poses, ratios = list[object](), list[Float64Array](), list[np.floating[Any]]()
        reference, has_moving = ScaleReference.PAIRS, False
        with (
            self._depth.writer() as depth,
            self._confidence.writer() as confidence,
            self._moving.writer() as moving,
        ):
            for clip in clips:
                reference, has_moving = clip.scale_reference, clip.moving is not None
                poses.append(clip.T_world_cam)
                for k, index in enumerate(clip.frames):
                    prior = prior_depth[index]
                    ratios.append(log_depth_ratio(prior, clip.depth[k]))
                    depth.append(fill_with_prior(clip.depth[k], prior))
                    confidence.append(clip.confidence[k])
                    if clip.moving is not None:
                        moving.append(clip.moving[k])
                    camera = clip.cameras[k]
                    intrinsics.append((camera.fx, camera.fy, camera.cx, camera.cy))
            assert moving.count in (0, depth.count), 'only some clips have motion masks'
        save_npz(
            self._index,
            intrinsics=np.array(intrinsics, np.float64),
            T_world_cam=np.concatenate(poses),
            log_depth_ratios=np.array(ratios),
            reference=np.array(reference.value),
            has_moving=np.array(has_moving),
        )

    def load(self) -> AssembledClips:
        """Return the sequence that was written."""
        with np.load(self._index) as stored:
            return AssembledClips(
                self._depth,
                self._confidence,
                self._moving if stored['has_moving'] else None,
                stored['intrinsics'],
                stored['T_world_cam'],
                stored['log_depth_ratios'],
                ScaleReference(str(stored['reference'])),
            )


def limit_range(depth_m: Float32Array, max_range_m: float) -> Float32Array:
    """Return depth with +inf, nothing hit, beyond a range; 0: no limit."""
    if not max_range_m:
        return depth_m
    return np.where(depth_m > max_range_m, np.float32(np.inf), depth_m)


def fill_with_prior(aligned: Float32Array, prior: Float32Array) -> Float32Array:
    """Return aligned depth (h, w) float32, filled with the prior's in the aligned unit.

    +inf where the prior has hit nothing; NaN where both are unknown.
    """
    with np.errstate(invalid='ignore'):
        ratio = aligned / prior
    known = np.isfinite(ratio)
    if not known.any():
        return aligned
    filled: Float32Array = prior * np.float32(np.median(ratio[known]))
    return np.where(np.isfinite(aligned) & ~np.isinf(prior), aligned, filled)
