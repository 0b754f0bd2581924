# SPDX-License-Identifier: Apache-2.0
"""Where the camera is against the ground: by transforms, an IMU or parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.geometry.transform_buffer import TransformBuffer, Transforms

GROUND_FRAME = 'base_footprint'
"""Frame on the ground below the robot, z up (REP-120)."""
GRAVITY_FRAME = '_gravity'
"""Parent of an IMU in the buffer of orientations: z up."""


@dataclass(frozen=True)
class CameraMount:
    """Position of a camera against the ground.

    down      (3,) float64, unit vector in the optical frame
    height_m  of the camera above the ground; 0: not known
    sees_ground  whether a plane in view may be the ground; False: it is known to be above it
    """

    down: Float64Array
    height_m: float = 0.0
    sees_ground: bool = True


def mount_from_pitch(pitch_deg: float, height_m: float = 0.0) -> CameraMount:
    """Return the mount of a camera without roll.

    pitch_deg  of the optical axis below the horizon
    """
    pitch_rad = math.radians(pitch_deg)
    return CameraMount(np.array([0.0, math.cos(pitch_rad), math.sin(pitch_rad)]), height_m)


def mount_from_transform(T_base_cam: Float64Array, height_m: float = 0.0) -> CameraMount:
    """Return the mount by the pose (4, 4) of the camera in a frame on the ground with z up.

    height_m  of the camera, measured; 0: that of the transform, where it is above the ground
    """
    return CameraMount(-T_base_cam[2, :3], height_m or max(0.0, float(T_base_cam[2, 3])))


class Orientations:
    """Orientations of an IMU as they come; thread-safe."""

    def __init__(self) -> None:
        self._buffer = TransformBuffer(horizon_s=2.0)
        self._frame = ''

    def add(self, frame_id: str, stamp_ns: int, R_world_imu: Float64Array) -> None:
        """Add an orientation (3, 3) in a world with z up (REP-103)."""
        T = np.eye(4)
        T[:3, :3] = R_world_imu
        self._buffer.add(GRAVITY_FRAME, frame_id, stamp_ns, T)
        self._frame = frame_id

    def down(
        self, transforms: Transforms, camera_frame: str, stamp_ns: int
    ) -> Float64Array | None:
        """Return down (3,) in the camera at a stamp; None: not known."""
        if not self._frame:
            return None
        T_world_imu = self._buffer.lookup(GRAVITY_FRAME, stamp_ns, self._frame, stamp_ns)
        T_imu_cam = transforms.lookup(self._frame, stamp_ns, camera_frame, stamp_ns)
        if T_world_imu is None or T_imu_cam is None:
            return None
        return np.asarray(-(T_world_imu @ T_imu_cam)[2, :3])

    def __bool__(self) -> bool:
        return bool(self._frame)


@dataclass(frozen=True)
class MountSettings:
    """What parameters state of the mount.

    base_frame  on the ground below the robot, z up; empty: base_footprint, where there is one
    height_m    of the camera; 0: by transforms
    pitch_deg   of the optical axis below the horizon, where neither transform nor IMU gives it
    """

    base_frame: str = ''
    height_m: float = 0.0
    pitch_deg: float = 0.0


class MountLookup:
    """Mount of a camera at a stamp by the best that is there."""

    def __init__(
        self, settings: MountSettings, transforms: Transforms, orientations: Orientations
    ) -> None:
        self.settings = settings
        self._transforms, self._orientations = transforms, orientations

    def base_frame(self, camera_frame: str) -> str | None:
        """Return the frame on the ground; None where there is none."""
        if self.settings.base_frame:
            return self.settings.base_frame
        above = self._transforms.parents(camera_frame)
        return next((name for name in above if name.rpartition('/')[2] == GROUND_FRAME), None)

    def is_possible(self, camera_frame: str) -> bool:
        """Return whether down of the camera can be known."""
        return bool(self.settings.height_m or self._orientations or self.base_frame(camera_frame))

    def at(self, camera_frame: str, stamp_ns: int) -> CameraMount | None:
        """Return the mount at a stamp; None while a transform of it is not known."""
        height_m = self.settings.height_m
        if base := self.base_frame(camera_frame):
            T_base_cam = self._transforms.lookup(base, stamp_ns, camera_frame, stamp_ns)
            return None if T_base_cam is None else mount_from_transform(T_base_cam, height_m)
        if self._orientations:
            down = self._orientations.down(self._transforms, camera_frame, stamp_ns)
            return None if down is None else CameraMount(down, height_m)
        return mount_from_pitch(self.settings.pitch_deg, height_m) if height_m else None
