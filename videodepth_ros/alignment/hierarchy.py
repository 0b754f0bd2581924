# SPDX-License-Identifier: Apache-2.0
"""Hierarchical alignment of a recording of any length: keyframes first, then clips.

The keyframes determine the trajectory's shape, the focal length and the unit; a clip interpolates
its frames between two keyframes. A clip is aligned in its own world; each of its keyframes gives
a similarity to the keyframes' world, depth included, and frames between interpolate the two. The
discrepancy at the border of two clips is so distributed over them, and both agree on the keyframe
they share.

Peak memory: the subsampled pairs of the keyframes and of one clip. Clips are independent:
`align_clip` may run in parallel processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.alignment.constraints import NO_CONSTRAINTS, Constraints, ScaleReference
from videodepth_ros.alignment.global_alignment import GlobalAlignment, align, sampling_stride
from videodepth_ros.alignment.options import (
    HIERARCHY_DEFAULTS,
    AlignmentOptions,
    FocalModel,
    HierarchyOptions,
)
from videodepth_ros.alignment.pair_graph import Clip, PairGraph
from videodepth_ros.alignment.pairs import PairProvider, PointMapPair, subsample
from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.rotation import so3_exp, so3_log
from videodepth_ros.geometry.sim3 import Sim3


@dataclass(frozen=True)
class KeyframeAlignment:
    """The aligned keyframes: the input of `align_clip` from the rest of the recording.

    frames       indices in the recording
    T_world_cam  (K, 4, 4) float64
    depth        (K, h', w') float32, of every ``stride``-th row and column of the pairs
    camera       intrinsics at the size of the pairs
    """

    frames: tuple[int, ...]
    T_world_cam: Float64Array
    depth: Float32Array
    stride: int
    camera: Intrinsics
    scale_reference: ScaleReference


@dataclass(frozen=True)
class ClipAlignment:
    """Result of the output frames of one clip.

    frames        indices in the recording
    T_world_cam   (n, 4, 4) float64, in the world and unit of the keyframes
    depth         (n, h, w) float32, Z in that unit; NaN unknown
    confidence    (n, h, w) float32 in [0, 1]
    cameras       intrinsics of each
    moving        (n, h, w) bool, moving objects; None without flow
    """

    frames: range
    T_world_cam: Float64Array
    depth: Float32Array
    confidence: Float32Array
    cameras: tuple[Intrinsics, ...]
    moving: MaskArray | None
    scale_reference: ScaleReference


def align_hierarchy(
    provider: PairProvider,
    graph: PairGraph,
    options: HierarchyOptions = HIERARCHY_DEFAULTS,
    constraints: Constraints = NO_CONSTRAINTS,
) -> Iterator[ClipAlignment]:
    """Align a recording and yield it clip by clip; a clip is freed when the next is computed.

    constraints  numbered as the recording
    raises       as `align`
    """
    keyframes = None
    if len(graph.keyframes) > 1:
        pairs = provider.pairs(graph.keyframe_edges)
        keyframes = align_keyframes(pairs, graph, options, constraints)
    for clip in graph.clips:
        pairs = provider.pairs(clip.edges)
        yield align_clip(pairs, clip, keyframes, options.clips, constraints)


def align_keyframes(
    pairs: Iterable[PointMapPair],
    graph: PairGraph,
    options: HierarchyOptions = HIERARCHY_DEFAULTS,
    constraints: Constraints = NO_CONSTRAINTS,
) -> KeyframeAlignment:
    """Align the keyframes on a subsampled grid; ``pairs`` are freed one by one."""
    place = {frame: k for k, frame in enumerate(graph.keyframes)}
    own = options.keyframes
    sampled, stride, camera = [], 1, own.camera
    for pair in pairs:
        h, w = pair.shape
        stride = sampling_stride(h, w, own.max_pixels)
        camera = own.camera or Intrinsics(w, h, w, w, w / 2, h / 2)
        sampled.append(subsample(replace(pair, i=place[pair.i], j=place[pair.j]), stride))
    assert camera is not None
    steps = max(len(graph.keyframes) - 1, 1)
    share = min(1.0, options.full_smoothing_steps / steps)
    known = FocalModel.KNOWN if own.camera is not None else FocalModel.SHARED
    aligned = align(
        sampled,
        replace(
            own,
            camera=camera.strided(stride),
            focal_model=own.focal_model or known,
            window=graph.window,
            rotation_smoothing=share * own.rotation_smoothing,
            translation_smoothing=share * own.translation_smoothing,
        ),
        constraints.select(graph.keyframes, stride),
    )
    found = aligned.cameras[0]
    camera = replace(camera, fx=found.fx * stride, fy=found.fy * stride)
    return KeyframeAlignment(
        graph.keyframes,
        aligned.T_world_cam,
        aligned.depth,
        stride,
        camera,
        aligned.scale_reference,
    )


def align_clip(
    pairs: Iterable[PointMapPair],
    clip: Clip,
    keyframes: KeyframeAlignment | None,
    options: AlignmentOptions = HIERARCHY_DEFAULTS.clips,
    constraints: Constraints = NO_CONSTRAINTS,
) -> ClipAlignment:
    """Align one clip and transform it to the world of its keyframes.

    keyframes  None where this clip is the whole recording
    """
    if keyframes is None:
        return _output_frames(clip, _align_locally(pairs, clip, options, constraints))
    options = replace(options, camera=options.camera or keyframes.camera)
    local = _align_locally(pairs, clip, options, constraints.to_relative_poses())
    T_world_local = _frame_similarities(local, clip, keyframes)
    cameras = T_world_local @ Sim3.from_se3(local.T_world_cam)
    depth = local.depth * T_world_local.scale.astype(np.float32)[:, None, None]
    return _output_frames(
        clip,
        replace(
            local, T_world_cam=cameras.se3, depth=depth, scale_reference=keyframes.scale_reference
        ),
    )


def _align_locally(
    pairs: Iterable[PointMapPair], clip: Clip, options: AlignmentOptions, constraints: Constraints
) -> GlobalAlignment:
    """Align a clip in its own world, with frames numbered from 0."""
    first = clip.frames.start
    local = [replace(pair, i=pair.i - first, j=pair.j - first) for pair in pairs]
    return align(local, options, constraints.select(clip.frames))


def _output_frames(clip: Clip, aligned: GlobalAlignment) -> ClipAlignment:
    """Return the result of the clip's output frames."""
    first = clip.frames.start
    own = slice(clip.output_frames.start - first, clip.output_frames.stop - first)
    moving = None if aligned.moving is None else aligned.moving[own]
    return ClipAlignment(
        clip.output_frames,
        aligned.T_world_cam[own],
        aligned.depth[own],
        aligned.confidence[own],
        aligned.cameras[own],
        moving,
        aligned.scale_reference,
    )


def _frame_similarities(local: GlobalAlignment, clip: Clip, keyframes: KeyframeAlignment) -> Sim3:
    """Return the similarity of every frame of a clip from the clip's world to the keyframes'."""
    places = [frame - clip.frames.start for frame in clip.keyframes]
    at_keyframes = [
        _keyframe_similarity(local, place, keyframes, keyframes.frames.index(frame))
        for place, frame in zip(places, clip.keyframes, strict=True)
    ]
    return Sim3.stack([_interpolate(at_keyframes, places, n) for n in range(len(clip.frames))])


def _keyframe_similarity(
    local: GlobalAlignment, place: int, keyframes: KeyframeAlignment, key: int
) -> Sim3:
    """Return the similarity that maps frame ``place`` of a clip onto keyframe ``key``.

    raises  InputError where no pixel has a depth in both
    """
    ratio = keyframes.depth[key] / local.depth[place, :: keyframes.stride, :: keyframes.stride]
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not ratio.size:
        raise InputError(
            f'keyframe {keyframes.frames[key]} has no pixel with a depth both among the '
            'keyframes and in its clip, so that their scales cannot be compared; give pairs with '
            'known points in that frame'
        )
    scale = float(np.median(ratio))
    in_clip, in_world = local.T_world_cam[place], keyframes.T_world_cam[key]
    rotation = in_world[:3, :3] @ in_clip[:3, :3].T
    return Sim3(np.array(scale), rotation, in_world[:3, 3] - scale * rotation @ in_clip[:3, 3])


def _interpolate(transforms: Sequence[Sim3], places: Sequence[int], n: int) -> Sim3:
    """Interpolate the transforms at the frames ``places`` to frame n; constant beyond them."""
    after = int(np.searchsorted(places, n))
    if after == 0 or after == len(places):
        return transforms[min(after, len(places) - 1)]
    share = (n - places[after - 1]) / (places[after] - places[after - 1])
    step = transforms[after - 1].inverse() @ transforms[after]
    rotation = so3_exp(share * so3_log(step.rotation))
    part = Sim3(step.scale**share, rotation, share * step.translation)
    return transforms[after - 1] @ part
