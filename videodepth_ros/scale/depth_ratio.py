# SPDX-License-Identifier: Apache-2.0
"""Scale from measured depth: of a lidar's points in the camera, or of a depth image."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray
from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.camera import Intrinsics, backproject_pixels, project_to_pixels
from videodepth_ros.geometry.robust import mad_sigma
from videodepth_ros.scale.measurement import ScaleMeasurement
from videodepth_ros.scale.options import DepthRatioOptions

DEFAULTS = DepthRatioOptions()
NEIGHBOURS = np.ones((3, 3), np.uint8)


class DepthSamples(NamedTuple):
    """Pixels (N,) of an inverse depth map with measured depth, Z (N,) in metres."""

    rows: IndexArray
    columns: IndexArray
    depth_m: Float32Array


def samples_of_points(
    points_m: Float32Array, camera: Intrinsics, options: DepthRatioOptions = DEFAULTS
) -> DepthSamples:
    """Project points (P, 3) in the optical frame into a camera.

    camera  intrinsics at the size of the inverse depth
    """
    points_m = points_m[:: max(1, len(points_m) // options.max_points)]
    rows, columns, depth_m = project_to_pixels(points_m, camera, options.min_depth_m)
    near = depth_m < options.max_depth_m
    return DepthSamples(rows[near], columns[near], depth_m[near].astype(np.float32))


def samples_of_depth(
    depth_m: Float32Array,
    depth_camera: Intrinsics | None,
    camera: Intrinsics,
    T_cam_depth: Float64Array,
    options: DepthRatioOptions = DEFAULTS,
) -> DepthSamples:
    """Return the known pixels of a depth image (H, W), evenly thinned, in a camera.

    depth_camera  intrinsics of the depth image; None: it shows the view of ``camera``
    camera        intrinsics at the size of the inverse depth
    T_cam_depth   (4, 4) pose of the depth camera in the camera
    """
    rows, columns = np.nonzero((depth_m > options.min_depth_m) & (depth_m < options.max_depth_m))
    step = max(1, len(rows) // options.max_points)
    rows, columns = rows[::step], columns[::step]
    lens = depth_camera or camera.scaled_to(depth_m.shape[1], depth_m.shape[0])
    known_m = depth_m[rows, columns].astype(np.float64)
    xy = np.column_stack([columns - lens.cx, rows - lens.cy])
    points_m = backproject_pixels(xy, known_m, np.array([lens.fx, lens.fy]))
    points_m = points_m @ T_cam_depth[:3, :3].T + T_cam_depth[:3, 3]
    return samples_of_points(points_m.astype(np.float32), camera, options)


def measure_depth_ratio(
    inverse_depth: Float32Array,
    samples: DepthSamples,
    stamp_ns: int,
    source: ScaleSource,
    options: DepthRatioOptions = DEFAULTS,
) -> ScaleMeasurement | None:
    """Return the scale by which inverse depth (h, w) float32 agrees with measured depth.

    The median of the log ratios, without pixels at occlusion edges. None where too few pixels
    have measured depth, or the ratios have no common value.
    """
    least = cv2.erode(inverse_depth, NEIGHBOURS)
    greatest = cv2.dilate(inverse_depth, NEIGHBOURS)
    at = samples.rows, samples.columns
    inner = (greatest[at] < options.edge_ratio * least[at]) & (inverse_depth[at] > 0)
    if np.count_nonzero(inner) < options.min_samples:
        return None
    logs = np.log(inverse_depth[at][inner] * samples.depth_m[inner])
    middle = float(np.median(logs))
    spread = mad_sigma(logs - middle)
    if spread > options.max_log_spread:
        return None
    independent = min(len(logs), options.effective_pixels)
    sigma = np.hypot(spread / np.sqrt(independent), options.least_sigma)
    return ScaleMeasurement(middle, float(sigma), stamp_ns, source)
