# SPDX-License-Identifier: Apache-2.0
"""What a job aligns, by the files where it lies, so that any process can open it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.clips import Scene
from videodepth_ros.alignment.constraints import Priors
from videodepth_ros.alignment.hierarchy import HierarchySettings
from videodepth_ros.alignment.pair_graph import Plan, loop_candidates, plan
from videodepth_ros.alignment.pairs import PairProvider
from videodepth_ros.alignment.providers.geometric import GeometricPairs
from videodepth_ros.core.workspace import SpilledArray, growing
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.depth_stage import Estimates
from videodepth_ros.refine.sensor_files import load_motion
from videodepth_ros.refine.settings import Pairs
from videodepth_ros.sfm.reconstruction import Learnt, learn

THUMBNAIL = (32, 24)


@dataclass(frozen=True)
class OpenPairs:
    """Opens a pair provider: a plain value, so that it can travel to another process.

    images     (N, H, W, 3) uint8 RGB; depth (N, h, w) float32, Z
    estimates  what the prior says, which the network of Align3R reads as it is
    camera     intrinsics at the size of the depth; None where they are not known
    learnt     what geometry has learnt of the whole recording, a file
    """

    kind: Pairs
    images: SpilledArray
    depth: SpilledArray
    estimates: Estimates
    camera: Intrinsics | None
    learnt: Path

    def __call__(self) -> PairProvider:
        """Open it; a further network is opened here."""
        if self.kind is Pairs.ALIGN3R:
            from videodepth_ros.alignment.providers.align3r import Align3rPairs  # needs torch

            return Align3rPairs(
                self.images.open(), self.estimates.values.open(), self.estimates.kind
            )
        return GeometricPairs(self.depth.open(), Learnt.load(self.learnt))

    def learn(self, advanced: Callable[[float], None]) -> Learnt | None:
        """Learn what is learnt of the whole recording, unless that is done.

        advanced  is told the share that is done
        returns   it; None where nothing is learnt before the alignment
        """
        if self.kind is not Pairs.GEOMETRIC:
            return None
        if not self.learnt.exists():
            found = learn(self.images.open(), self.depth.open(), self.camera, advanced)
            with growing(self.learnt) as part:
                found.save(part)
        return Learnt.load(self.learnt)


@dataclass(frozen=True)
class SceneFiles:
    """The scene of a job; called, it opens it.

    pairs     opens what makes the pairs
    measured  (N, h, w) float32, depth that a sensor measured; None where there is none
    motion    what the recording's odometry says, a file; None where it says nothing
    """

    pairs: OpenPairs
    plan: Plan
    settings: HierarchySettings
    measured: SpilledArray | None
    motion: Path | None

    def __call__(self) -> Scene:
        """Open everything."""
        priors = Priors(
            depth_m=self.measured.open() if self.measured else None,
            odometry=load_motion(self.motion) if self.motion else (),
        )
        return Scene(self.pairs(), self.plan, self.settings, priors, self.pairs.images.open())


def lay_out(images: SpilledArray, clip: int) -> Plan:
    """Lay out the frames of a recording; keyframes that look alike are paired as loops."""
    pictures = images.open()
    chain = plan(len(pictures), clip)
    thumbnails = np.stack([_thumbnail(pictures[key]) for key in chain.keys])
    loops = loop_candidates(thumbnails, chain.window)
    return plan(len(pictures), clip, loops=[(chain.keys[a], chain.keys[b]) for a, b in loops])


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, THUMBNAIL, interpolation=cv2.INTER_AREA), np.float32)
