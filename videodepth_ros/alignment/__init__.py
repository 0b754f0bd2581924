# SPDX-License-Identifier: Apache-2.0
"""Global alignment of point-map pairs (DUSt3R, CVPR 2024; Align3R, CVPR 2025).

Two frames, seen by cameras 0.2 apart, from the point maps of both pairs:

>>> import numpy as np
>>> from videodepth_ros.alignment import AlignmentOptions, PointMapPair, align
>>> from videodepth_ros.geometry.camera import Intrinsics, backproject
>>> camera = Intrinsics(width=24, height=16, fx=20.0, fy=20.0, cx=12.0, cy=8.0)
>>> depth = np.linspace(1, 3, 16 * 24, dtype=np.float32).reshape(16, 24)
>>> points = backproject(depth, camera)  # (16, 24, 3), in the camera of each frame
>>> baseline = np.float32([0.2, 0, 0])
>>> confidence = np.full((16, 24), 5, np.float32)
>>> pairs = [
...     PointMapPair(0, 1, points, points + baseline, confidence, confidence),
...     PointMapPair(1, 0, points, points - baseline, confidence, confidence),
... ]
>>> options = AlignmentOptions(camera, rotation_smoothing=0, translation_smoothing=0)
>>> found = align(pairs, options)
>>> found.T_world_cam.shape, found.depth.shape
((2, 4, 4), (2, 16, 24))

Without `Constraints` the unit is arbitrary; here the ratio of baseline and depth is known:

>>> round(float(found.T_world_cam[1, 0, 3] / found.depth[0, 0, 0]), 3)
0.2

A recording takes a `PairProvider` (`providers/`) and `align_hierarchy`, on the graph of
`build_pair_graph`: 50 keyframes of 500 frames, and pairs linear in the frames:

>>> from videodepth_ros.alignment import build_pair_graph
>>> graph = build_pair_graph(500)
>>> len(graph.keyframes), graph.clips[0].frames
(50, range(0, 11))
"""

from videodepth_ros.alignment.constraints import Constraints, RelativePose, ScaleReference
from videodepth_ros.alignment.global_alignment import GlobalAlignment, align
from videodepth_ros.alignment.hierarchy import ClipAlignment, align_hierarchy
from videodepth_ros.alignment.options import (
    AlignmentOptions,
    FocalModel,
    HierarchyOptions,
    PairGraphOptions,
)
from videodepth_ros.alignment.pair_graph import PairGraph, build_pair_graph
from videodepth_ros.alignment.pairs import PairProvider, PointMapPair, clip_graph

__all__ = [
    'AlignmentOptions',
    'ClipAlignment',
    'Constraints',
    'FocalModel',
    'GlobalAlignment',
    'HierarchyOptions',
    'PairGraph',
    'PairGraphOptions',
    'PairProvider',
    'PointMapPair',
    'RelativePose',
    'ScaleReference',
    'align',
    'align_hierarchy',
    'build_pair_graph',
    'clip_graph',
]
