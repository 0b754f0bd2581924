# SPDX-License-Identifier: Apache-2.0
"""The topics of one depth map: depth, camera_info, confidence and points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from videodepth_ros.bags.output_options import OUTPUT, DepthEncoding, OutputOptions
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.arrays import Float32Array, MaskArray, UInt8Array
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.depth_edges import beside_edges

DEPTH, CAMERA_INFO, CONFIDENCE, POINTS = (
    f'videodepth/depth/{name}' for name in ('image', 'camera_info', 'confidence', 'points')
)
COMPRESSED_DEPTH = f'{DEPTH}/compressedDepth'


CONFIDENCE_LEVELS = 1024
"""Steps of confidence from 0 to 1: finer ones are noise, which does not compress."""


@dataclass(frozen=True)
class PointOptions:
    """Pixels of the points.

    stride          every stride-th row and column is taken
    max_range_m     points with a greater Z are left out; 0: no limit
    min_confidence  pixels with less are left out
    """

    stride: int = 4
    max_range_m: float = 30.0
    min_confidence: float = 0.0


POINT_DEFAULTS = PointOptions()


@dataclass(frozen=True)
class DepthImages:
    """One depth map and what belongs to it, all (H, W) of one size, but for the image.

    depth_m     float32, Z in metres; NaN unknown, +inf nothing hit
    confidence  float32 in [0, 1]; None: not computed
    camera      None: uncalibrated, only depth and confidence are written
    image       (H', W', 3) uint8 RGB; moving: bool, left out of the points; None: not segmented
    """

    stamp_ns: int
    frame_id: str
    depth_m: Float32Array
    confidence: Float32Array | None
    camera: Intrinsics | None
    image: UInt8Array
    moving: MaskArray | None = None


@dataclass(frozen=True)
class DepthTopics:
    """A writer of the topics of depth maps into a recording."""

    writer: BagWriter
    options: OutputOptions = OUTPUT
    cloud: PointOptions = POINT_DEFAULTS

    @property
    def needs_confidence(self) -> bool:
        """Whether the confidence of a depth map is of use."""
        return self.options.confidence or (self.options.points and self.cloud.min_confidence > 0)

    def write(self, one: DepthImages) -> Iterator[str]:
        """Write one depth map and yield its topics.

        raises  BagError if it cannot be written
        """
        header, options = (one.stamp_ns, one.frame_id), self.options
        write, topic = {
            DepthEncoding.METRES: (self.writer.write_depth, DEPTH),
            DepthEncoding.MILLIMETRES: (self.writer.write_depth_mm, DEPTH),
            DepthEncoding.COMPRESSED: (self.writer.write_compressed_depth, COMPRESSED_DEPTH),
        }[options.depth_encoding]
        write(topic, *header, one.depth_m)
        yield topic
        if options.confidence and one.confidence is not None:
            levels = np.rint(one.confidence * np.float32(CONFIDENCE_LEVELS))
            self.writer.write_confidence(
                CONFIDENCE,
                *header,
                levels / np.float32(CONFIDENCE_LEVELS),
                options.confidence_encoding,
            )
            yield CONFIDENCE
        if one.camera is None:
            return
        self.writer.write_camera_info(CAMERA_INFO, *header, one.camera)
        yield CAMERA_INFO
        if options.points:
            self._write_points(one, one.camera)
            yield POINTS

    def _write_points(self, one: DepthImages, camera: Intrinsics) -> None:
        left_out = beside_edges(one.depth_m)
        if one.confidence is not None:
            left_out |= one.confidence < self.cloud.min_confidence
        if one.moving is not None:
            left_out |= one.moving
        self.writer.write_cloud(
            POINTS,
            one.stamp_ns,
            one.frame_id,
            np.where(left_out, np.float32(np.nan), one.depth_m),
            one.image,
            camera,
            self.cloud.stride,
            self.cloud.max_range_m or np.inf,
        )
