# SPDX-License-Identifier: Apache-2.0
"""The inputs of the global alignment as files, so that every process can open them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from videodepth_ros.alignment.constraints import Constraints
from videodepth_ros.alignment.options import HierarchyOptions, PairGraphOptions
from videodepth_ros.alignment.pair_graph import PairGraph, build_pair_graph, find_loop_candidates
from videodepth_ros.alignment.pairs import PairProvider
from videodepth_ros.alignment.parallel import AlignmentTask
from videodepth_ros.core.arrays import Float32Array, UInt8Array
from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.odometry import load_relative_poses
from videodepth_ros.refine.prior_depth import PriorDepth

THUMBNAIL_SIZE = 32, 24
"""Width and height of the images that loop candidates are found by [pixels]."""


@dataclass(frozen=True)
class PairProviderFactory:
    """Opens a pair provider; picklable, so that it can be called in another process.

    images          (N, H, W, 3) uint8 RGB; depth (N, h, w) float32, Z
    prior           estimates of the prior, which the network of Align3R takes unchanged
    camera          intrinsics at the size of the depth; None where not calibrated
    """

    images: DiskArray
    depth: DiskArray
    prior: PriorDepth
    camera: Intrinsics | None

    def __call__(self) -> PairProvider:
        """Open the provider with the network of Align3R."""
        from videodepth_ros.alignment.providers.align3r import Align3rPairProvider  # torch

        return Align3rPairProvider(self.images.open(), self.prior.values.open(), self.prior.kind)


@dataclass(frozen=True)
class AlignmentInputs:
    """Opens an alignment task; picklable, so that it can be called in another process.

    pairs       opens the pair provider
    measured    (N, h, w) float32, depth of a sensor; None without one
    odometry    file of relative camera poses; None without odometry
    """

    pairs: PairProviderFactory
    graph: PairGraph
    options: HierarchyOptions
    measured: DiskArray | None
    odometry: Path | None

    def __call__(self) -> AlignmentTask:
        """Open all files."""
        constraints = Constraints(
            depth_m=self.measured.open() if self.measured else None,
            odometry=load_relative_poses(self.odometry) if self.odometry else (),
        )
        return AlignmentTask(
            self.pairs(), self.graph, self.options, constraints, self.pairs.images.open()
        )


def build_recording_graph(images: DiskArray, clip: int) -> PairGraph:
    """Build the pair graph of a recording, with loop edges between similar keyframes.

    images  (N, H, W, 3) uint8 RGB
    clip    frames from one keyframe to the next
    """
    rgb = images.open()
    options = PairGraphOptions(clip_length=clip)
    chain = build_pair_graph(len(rgb), options)
    thumbnails = np.stack([_thumbnail(rgb[key]) for key in chain.keyframes])
    loops = find_loop_candidates(thumbnails, chain.window)
    return build_pair_graph(
        len(rgb), options, [(chain.keyframes[a], chain.keyframes[b]) for a, b in loops]
    )


def _thumbnail(image: UInt8Array) -> Float32Array:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA), np.float32)
