# SPDX-License-Identifier: Apache-2.0
"""From the network's inverse depth to the depth map of a frame, on the host or on the device.

GPU engines postprocess at the network's size on the device (engines/fused.py): at two megapixels
the host would take longer than the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array, UInt8Array
from videodepth_ros.engines.graph import CLOUD, DEPTH, INVERSE_DEPTH, TOTAL, FrameParameters
from videodepth_ros.frames import DepthMap, Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.stream.confidence import confidence_map
from videodepth_ros.stream.guided_filter import guided_filter, guided_size
from videodepth_ros.stream.scale import Scale
from videodepth_ros.stream.sky import find_sky, without_sky
from videodepth_ros.stream.upsample import find_discontinuities, upsample


@dataclass(frozen=True)
class DepthPostprocessor:
    """Postprocessing of one frame.

    scale            of the stream at this frame
    width, height    of the depth map
    guided           whether to sharpen edges by the guided filter (guided_filter.py)
    max_range_m      depth beyond which nothing was hit (+inf) [m]; 0: no limit
    edge_ratio       depth ratio of neighbours above which they are two surfaces; 1: no edges
    error            expected relative error (rows, columns) float32, see confidence.py; None: no
                     confidence
    cloud_range_m    largest Z [m] of the device's cloud; None: no cloud
    """

    scale: Scale
    width: int
    height: int
    guided: bool
    max_range_m: float
    edge_ratio: float
    error: Float32Array | None
    cloud_range_m: float | None

    def on_host(self, frame: Frame, small: UInt8Array, inverse_depth: Float32Array) -> DepthMap:
        """Convert the network's inverse depth to depth.

        small          (h, w, 3) uint8, the image at the network's size
        inverse_depth  (h, w) float32, finite and >= 0
        """
        inverse_depth = without_sky(inverse_depth, small, self.scale)
        if self.guided:
            limit = self.height, self.width
            height, width = guided_size(inverse_depth, limit)
            image = frame.at_least(width, height)
            inverse_depth = guided_filter(inverse_depth, image, limit)
        inverse_depth = self.scale.without_far(inverse_depth, self.max_range_m)
        discontinuities = find_discontinuities(inverse_depth, self.edge_ratio)
        full = upsample(inverse_depth, discontinuities, self.width, self.height)
        return self._depth_map(frame, self.scale.depth_m(full))

    def on_device(
        self, frame: Frame, small: UInt8Array, found: Mapping[str, NDArray[Any]]
    ) -> DepthMap:
        """Copy the device's results out of memory that the next step overwrites."""
        depth_m = found[DEPTH].copy()
        depth_m[find_sky(found[INVERSE_DEPTH], small, self.scale)] = math.inf
        return self._depth_map(frame, depth_m)

    def device_outputs(self) -> tuple[str, ...]:
        """Return the outputs of a fused step to fetch, from ``graph.FUSED_OUTPUTS``."""
        cloud = (CLOUD,) if self.cloud_range_m is not None else ()
        return DEPTH, TOTAL, INVERSE_DEPTH, *cloud

    def parameters(self, frame: Frame) -> FrameParameters:
        """Return the parameters of a fused step for this frame."""
        camera = self._camera(frame)
        lens = (camera.fx, camera.fy, camera.cx, camera.cy) if camera else (1.0, 1.0, 0.0, 0.0)
        return FrameParameters(
            *lens,
            scale=1 / self.scale.metres,
            max_range_m=self.max_range_m or math.inf,
            cloud_range_m=self.cloud_range_m or math.inf,
            edge_ratio=self.edge_ratio,
        )

    def _depth_map(self, frame: Frame, depth_m: Float32Array) -> DepthMap:
        return DepthMap(
            frame.stamp_ns,
            frame.frame_id,
            depth_m,
            None if self.error is None else confidence_map(self.error, depth_m),
            self._camera(frame),
            self.scale.source,
        )

    def _camera(self, frame: Frame) -> Intrinsics | None:
        return frame.camera.scaled_to(self.width, self.height) if frame.camera else None
