# SPDX-License-Identifier: Apache-2.0
"""From the network's answer to the depth of a frame: on the host, or where the answer lies.

An engine whose network runs on a GPU can finish there what has the network's size, see
engines/fused.py. At two megapixels the host would take longer for that than the network does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.engines.graph import (
    CLOUD,
    CONFIDENCE,
    DEPTH,
    INVERSE_DEPTH,
    TOTAL,
    FrameParameters,
)
from videodepth_ros.frames import DepthMap, Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.stream.guided_filter import guided_filter
from videodepth_ros.stream.scale import Scale
from videodepth_ros.stream.upsample import confidence_map, find_discontinuities, upsample

Array = NDArray[np.float32]


@dataclass(frozen=True)
class DepthPostprocessor:
    """What becomes of the inverse depth of one frame.

    scale            of the stream, as of this frame
    width, height    of the depth
    guided           whether the image guides the edges: guided_filter.py
    max_range_m      beyond this nothing was hit (+inf); 0: no limit
    edge_ratio       neighbouring depths of a greater ratio are two surfaces; 1: there are none
    with_confidence  whether somebody reads it
    cloud_range_m    points up to this Z are wanted of the device; None: no cloud is
    """

    scale: Scale
    width: int
    height: int
    guided: bool
    max_range_m: float
    edge_ratio: float
    with_confidence: bool
    cloud_range_m: float | None

    def on_host(self, frame: Frame, inverse_depth: Array) -> DepthMap:
        """Turn the network's inverse depth (h, w) float32, finite and >= 0, into depth."""
        if self.guided:
            inverse_depth = guided_filter(inverse_depth, frame.image, (self.height, self.width))
        inverse_depth = self.scale.without_far(inverse_depth, self.max_range_m)
        jumps = find_discontinuities(inverse_depth, self.edge_ratio)
        full = upsample(inverse_depth, jumps, self.width, self.height)
        return self._depth_map(
            frame,
            self.scale.depth_m(full),
            confidence_map(jumps, full) if self.with_confidence else None,
        )

    def on_device(self, frame: Frame, found: Mapping[str, NDArray[Any]]) -> DepthMap:
        """Copy what the device has finished out of the memory that the next step overwrites."""
        return self._depth_map(
            frame, found[DEPTH].copy(), found[CONFIDENCE].copy() if self.with_confidence else None
        )

    def wanted(self, with_inverse_depth: bool) -> tuple[str, ...]:
        """Return which answers of a fused step come back to the host: graph.FUSED_OUTPUTS."""
        asked = {
            INVERSE_DEPTH: with_inverse_depth,
            CONFIDENCE: self.with_confidence,
            CLOUD: self.cloud_range_m is not None,
        }
        return DEPTH, TOTAL, *(name for name, wanted in asked.items() if wanted)

    def view(self, frame: Frame) -> FrameParameters:
        """Return what a fused step is told with this frame."""
        camera = self._camera(frame)
        lens = (camera.fx, camera.fy, camera.cx, camera.cy) if camera else (1.0, 1.0, 0.0, 0.0)
        return FrameParameters(
            *lens,
            scale=1 / self.scale.metres,
            max_range_m=self.max_range_m or math.inf,
            cloud_range_m=self.cloud_range_m or math.inf,
            edge_ratio=self.edge_ratio,
        )

    def _depth_map(self, frame: Frame, depth_m: Array, trust: Array | None) -> DepthMap:
        return DepthMap(
            frame.stamp_ns, frame.frame_id, depth_m, trust, self._camera(frame), self.scale.source
        )

    def _camera(self, frame: Frame) -> Intrinsics | None:
        return frame.camera.scaled_to(self.width, self.height) if frame.camera else None
