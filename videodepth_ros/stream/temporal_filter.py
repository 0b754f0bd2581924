# SPDX-License-Identifier: Apache-2.0
"""Correct the depth of a stream by what its earlier frames saw: tracked corners, then stereo."""

from __future__ import annotations

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.frames import Frame
from videodepth_ros.stream.motion_stereo import Correction, MotionStereo
from videodepth_ros.stream.stabilization import DepthStabilizer


class TemporalFilter:
    """Both corrections of one stream; not thread-safe."""

    def __init__(self) -> None:
        self._stabilizer, self._stereo = DepthStabilizer(), MotionStereo()

    def restart(self) -> None:
        """Drop all state: the next frame starts another stream."""
        self._stabilizer.restart()
        self._stereo.restart()

    def correct(
        self, frame: Frame, depth_m: Float32Array, motion_stereo: bool = True
    ) -> Correction:
        """Return what is to be done with the depth of the next frame.

        depth_m        (h, w) float32 of the network, NaN or +inf where unknown
        motion_stereo  whether to refine depth by stereo after its stabilization
        """
        tracked = self._stabilizer.track(frame, depth_m)
        if not motion_stereo:
            self._stereo.restart()
            return Correction(tracked.factor)
        factor, matched = self._stereo.refine(frame, depth_m * tracked.factor, tracked)
        return Correction(tracked.factor * factor, matched)
