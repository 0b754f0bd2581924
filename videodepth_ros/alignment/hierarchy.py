# SPDX-License-Identifier: Apache-2.0
"""A recording of any length: keyframes aligned as a whole, clips between them one by one.

The keyframes give the trajectory its shape, the focal length and the unit; a clip gives its frames
their places between two keyframes. A clip is aligned in a world of its own, then every one of its
keyframes says by which similarity it lies in the world of the keyframes, depth included, and the
frames between take their share of the difference: what was amiss at the border of two clips is
spread over the clips, and both agree on the keyframe that they share.

Peak memory: the subsampled pairs of the keyframes and of one clip. Clips are independent:
`align_clip` may run in parallel processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import Constraints, ScaleReference
from videodepth_ros.alignment.global_alignment import (
    NO_CONSTRAINTS,
    PUBLISHED_OPTIONS,
    AlignmentOptions,
    GlobalAlignment,
    align,
    sampling_stride,
)
from videodepth_ros.alignment.pair_graph import Clip, PairGraph
from videodepth_ros.alignment.pairs import PairProvider, PointMapPair, subsample
from videodepth_ros.alignment.parameters import FocalModel
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.rotation import so3_exp, so3_log
from videodepth_ros.geometry.sim3 import Sim3

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

CLIP_SMOOTHING = 0.003
"""A third of what is published: over the frames of a clip, whose pairs are many, more holds the
camera back (measured on the stored goldens: ATE 0.053 at 0.01, 0.033 at 0.003, 0.034 at 0)."""

PUBLISHED_STEPS = 9
"""The published smoothing is a sum over the steps of some ten frames, against a mean over pairs;
over more keyframes than that it is weighed down, or it would outgrow the pairs."""

CLIP_OPTIONS = replace(
    PUBLISHED_OPTIONS, rotation_smoothing=CLIP_SMOOTHING, translation_smoothing=CLIP_SMOOTHING
)


@dataclass(frozen=True)
class HierarchyOptions:
    """How keyframes and clips are aligned; the cameras of both are at the size of the pairs."""

    keyframes: AlignmentOptions = PUBLISHED_OPTIONS
    clips: AlignmentOptions = CLIP_OPTIONS

    def without_smoothing(self) -> HierarchyOptions:
        """The same, with nothing that holds cameras back."""
        return HierarchyOptions(
            *(
                replace(one, rotation_smoothing=0.0, translation_smoothing=0.0)
                for one in (self.keyframes, self.clips)
            )
        )


@dataclass(frozen=True)
class KeyframeAlignment:
    """The aligned keyframes: all that a clip must know of the rest of the recording.

    frames       their numbers in the recording
    T_world_cam  (K, 4, 4) float64
    depth        (K, h', w') float32, of every ``stride``-th row and column of the pairs
    camera       intrinsics at the size of the pairs
    """

    frames: tuple[int, ...]
    T_world_cam: Array64
    depth: Array
    stride: int
    camera: Intrinsics
    scale_reference: ScaleReference


@dataclass(frozen=True)
class ClipAlignment:
    """The result for frames that no other clip gives.

    frames        their numbers in the recording
    T_world_cam   (n, 4, 4) float64, in the world and unit of the keyframes
    depth         (n, h, w) float32, Z in that unit; NaN unknown
    confidence    (n, h, w) float32 in [0, 1]
    cameras       intrinsics of each; moving (n, h, w) bool, None without flow
    """

    frames: range
    T_world_cam: Array64
    depth: Array
    confidence: Array
    cameras: tuple[Intrinsics, ...]
    moving: Mask | None
    scale_reference: ScaleReference


DEFAULT = HierarchyOptions()


def align_hierarchy(
    provider: PairProvider,
    graph: PairGraph,
    settings: HierarchyOptions = DEFAULT,
    priors: Constraints = NO_CONSTRAINTS,
) -> Iterator[ClipAlignment]:
    """Align a recording clip by clip; each is forgotten when the next one is asked for.

    priors   numbered as the recording
    raises   what `align` raises
    """
    keys = None
    if len(graph.keyframes) > 1:
        keys = align_keyframes(
            provider.pairs(graph.keyframe_edges), graph, settings.keyframes, priors
        )
    for clip in graph.clips:
        yield align_clip(provider.pairs(clip.edges), clip, keys, settings.clips, priors)


def align_keyframes(
    pairs: Iterable[PointMapPair],
    graph: PairGraph,
    settings: AlignmentOptions,
    priors: Constraints = NO_CONSTRAINTS,
) -> KeyframeAlignment:
    """Align the keyframes on a subsampled grid; ``pairs`` are let go one by one."""
    place = {frame: k for k, frame in enumerate(graph.keyframes)}
    thin, stride, camera = [], 1, settings.camera
    for pair in pairs:
        h, w = pair.shape
        stride = sampling_stride(h, w, settings.max_pixels)
        camera = settings.camera or Intrinsics(w, h, w, w, w / 2, h / 2)
        thin.append(subsample(replace(pair, i=place[pair.i], j=place[pair.j]), stride))
    assert camera is not None
    calm = min(1.0, PUBLISHED_STEPS / max(len(graph.keyframes) - 1, 1))
    focal = settings.focal_model or (
        FocalModel.KNOWN if settings.camera is not None else FocalModel.SHARED
    )
    aligned = align(
        thin,
        replace(
            settings,
            camera=camera.strided(stride),
            focal_model=focal,
            window=graph.window,
            rotation_smoothing=calm * settings.rotation_smoothing,
            translation_smoothing=calm * settings.translation_smoothing,
        ),
        priors.select(graph.keyframes, stride),
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
    keys: KeyframeAlignment | None,
    settings: AlignmentOptions,
    priors: Constraints = NO_CONSTRAINTS,
) -> ClipAlignment:
    """Align one clip and tie it to its keyframes.

    keys  None where this clip is the whole recording
    """
    if keys is None:
        return _owned(clip, _align_alone(pairs, clip, settings, priors))
    settings = replace(settings, camera=settings.camera or keys.camera)
    alone = _align_alone(pairs, clip, settings, priors.to_relative_poses())
    into_world = _ties(alone, clip, keys)
    cameras = into_world @ Sim3.from_se3(alone.T_world_cam)
    depth = alone.depth * into_world.scale.astype(np.float32)[:, None, None]
    return _owned(
        clip,
        replace(alone, T_world_cam=cameras.se3, depth=depth, scale_reference=keys.scale_reference),
    )


def _align_alone(
    pairs: Iterable[PointMapPair], clip: Clip, settings: AlignmentOptions, priors: Constraints
) -> GlobalAlignment:
    first = clip.frames.start
    local = [replace(pair, i=pair.i - first, j=pair.j - first) for pair in pairs]
    return align(local, settings, priors.select(clip.frames))


def _owned(clip: Clip, aligned: GlobalAlignment) -> ClipAlignment:
    own = slice(
        clip.output_frames.start - clip.frames.start, clip.output_frames.stop - clip.frames.start
    )
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


def _ties(alone: GlobalAlignment, clip: Clip, keys: KeyframeAlignment) -> Sim3:
    """Return for every frame of a clip the similarity from the clip's world to the keyframes'."""
    places = [key - clip.frames.start for key in clip.keyframes]
    ties = [
        _tie(alone, place, keys, keys.frames.index(key))
        for place, key in zip(places, clip.keyframes, strict=True)
    ]
    return Sim3.stack([_between(ties, places, n) for n in range(len(clip.frames))])


def _tie(alone: GlobalAlignment, place: int, keys: KeyframeAlignment, key: int) -> Sim3:
    """Return the similarity that puts frame ``place`` of a clip where its keyframe is.

    raises  InputError where no pixel has a depth in both
    """
    key_depth = keys.depth[key]
    ratio = key_depth / alone.depth[place, :: keys.stride, :: keys.stride]
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not ratio.size:
        raise InputError(
            f'keyframe {keys.frames[key]} has no pixel with a depth among the '
            'keyframes and in its clip; the two cannot be brought to one scale'
        )
    scale = float(np.median(ratio))
    in_clip, in_world = alone.T_world_cam[place], keys.T_world_cam[key]
    rotation = in_world[:3, :3] @ in_clip[:3, :3].T
    return Sim3(np.array(scale), rotation, in_world[:3, 3] - scale * rotation @ in_clip[:3, 3])


def _between(ties: Sequence[Sim3], places: Sequence[int], n: int) -> Sim3:
    """Interpolate the ties at the frames ``places`` to frame n; constant beyond them."""
    after = int(np.searchsorted(places, n))
    if after == 0 or after == len(places):
        return ties[min(after, len(places) - 1)]
    share = (n - places[after - 1]) / (places[after] - places[after - 1])
    step = ties[after - 1].inverse() @ ties[after]
    turn = so3_exp(share * so3_log(step.rotation))
    part = Sim3(step.scale**share, turn, share * step.translation)
    return ties[after - 1] @ part
