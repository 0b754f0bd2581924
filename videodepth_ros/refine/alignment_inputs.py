# SPDX-License-Identifier: Apache-2.0
"""What a job aligns, by the files where it lies, so that any process can open it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import Constraints
from videodepth_ros.alignment.options import HierarchyOptions, PairGraphOptions
from videodepth_ros.alignment.pair_graph import PairGraph, build_pair_graph, find_loop_candidates
from videodepth_ros.alignment.pairs import PairProvider
from videodepth_ros.alignment.parallel import AlignmentTask
from videodepth_ros.alignment.providers.geometric import GeometricPairProvider
from videodepth_ros.core.workspace import DiskArray, atomic_write
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.prior_depth import PriorDepth
from videodepth_ros.refine.sensor_files import load_odometry
from videodepth_ros.refine.settings import Pairs
from videodepth_ros.sfm.reconstruction import Reconstruction, reconstruct

THUMBNAIL = (32, 24)


@dataclass(frozen=True)
class PairProviderFactory:
    """Opens a pair provider: a plain value, so that it can travel to another process.

    images     (N, H, W, 3) uint8 RGB; depth (N, h, w) float32, Z
    estimates  what the prior says, which the network of Align3R reads as it is
    camera     intrinsics at the size of the depth; None where they are not known
    reconstruction  file of the reconstruction of the whole recording
    """

    kind: Pairs
    images: DiskArray
    depth: DiskArray
    estimates: PriorDepth
    camera: Intrinsics | None
    reconstruction: Path

    def __call__(self) -> PairProvider:
        """Open it; a further network is opened here."""
        if self.kind is Pairs.ALIGN3R:
            from videodepth_ros.alignment.providers.align3r import (
                Align3rPairProvider,  # needs torch
            )

            return Align3rPairProvider(
                self.images.open(), self.estimates.values.open(), self.estimates.kind
            )
        return GeometricPairProvider(self.depth.open(), Reconstruction.load(self.reconstruction))

    def reconstruct(self, on_progress: Callable[[float], None]) -> Reconstruction | None:
        """Reconstruct the whole recording, unless that is done.

        on_progress  called with the share that is done
        returns  the reconstruction; None where the pairs need none
        """
        if self.kind is not Pairs.GEOMETRIC:
            return None
        if not self.reconstruction.exists():
            found = reconstruct(self.images.open(), self.depth.open(), self.camera, on_progress)
            with atomic_write(self.reconstruction) as part:
                found.save(part)
        return Reconstruction.load(self.reconstruction)


@dataclass(frozen=True)
class AlignmentInputs:
    """The scene of a job; called, it opens it.

    pairs     opens what makes the pairs
    measured  (N, h, w) float32, depth that a sensor measured; None where there is none
    motion    what the recording's odometry says, a file; None where it says nothing
    """

    pairs: PairProviderFactory
    graph: PairGraph
    settings: HierarchyOptions
    measured: DiskArray | None
    motion: Path | None

    def __call__(self) -> AlignmentTask:
        """Open everything."""
        priors = Constraints(
            depth_m=self.measured.open() if self.measured else None,
            odometry=load_odometry(self.motion) if self.motion else (),
        )
        return AlignmentTask(
            self.pairs(), self.graph, self.settings, priors, self.pairs.images.open()
        )


def build_recording_graph(images: DiskArray, clip: int) -> PairGraph:
    """Lay out the frames of a recording; keyframes that look alike are paired as loops."""
    pictures = images.open()
    options = PairGraphOptions(clip_length=clip)
    chain = build_pair_graph(len(pictures), options)
    thumbnails = np.stack([_thumbnail(pictures[key]) for key in chain.keyframes])
    loops = find_loop_candidates(thumbnails, chain.window)
    return build_pair_graph(
        len(pictures), options, [(chain.keyframes[a], chain.keyframes[b]) for a, b in loops]
    )


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, THUMBNAIL, interpolation=cv2.INTER_AREA), np.float32)
