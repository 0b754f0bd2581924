# SPDX-License-Identifier: Apache-2.0
"""Scale from the height of the camera above the ground."""

from __future__ import annotations

import math

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import GroundPlane, fit_ground_plane
from videodepth_ros.scale.measurement import ScaleMeasurement
from videodepth_ros.scale.mount import CameraMount
from videodepth_ros.scale.options import CameraHeightOptions

DEFAULTS = CameraHeightOptions()


def measure_camera_height(
    inverse_depth: Float32Array,
    camera: Intrinsics,
    mount: CameraMount,
    stamp_ns: int,
    options: CameraHeightOptions = DEFAULTS,
) -> tuple[ScaleMeasurement | None, GroundPlane] | None:
    """Return the scale by which the ground is ``mount.height_m`` below the camera, and the ground.

    The plane is in the unit 1 / inverse depth. There is no measurement where the height is not
    known; None where inverse depth (h, w) float32 has no plausible ground.

    camera  intrinsics at the size of ``inverse_depth``
    """
    plane = fit_ground_plane(
        inverse_depth, camera, mount.down, math.radians(options.tilt_sigma_deg), options.plane
    )
    if plane is None:
        return None
    if not mount.height_m:
        return None, plane
    log_scale = math.log(mount.height_m / plane.height)
    sigma = math.hypot(options.height_sigma, options.fit_sigma, plane.sigma)
    return ScaleMeasurement(log_scale, sigma, stamp_ns, ScaleSource.CAMERA_HEIGHT), plane
