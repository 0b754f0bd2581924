# SPDX-License-Identifier: Apache-2.0
"""Camera paths: hand-held, wheeled, flying and static, as smooth functions of time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.synthetic.scene import Scene

_FREQUENCIES_HZ = np.array([0.13, 0.37, 0.9, 2.1])


class Carrier(str, Enum):
    """Carrier of the camera."""

    HAND = 'hand'
    WHEELS = 'wheels'
    FLIGHT = 'flight'
    STATIC = 'static'


@dataclass(frozen=True)
class Zone:
    """Start positions, directions and speeds of the cameras of a scene.

    low_m, high_m  corners of the box of start positions (3,); heading_rad, pitch_rad  ranges,
    pitch is positive upwards; speed_m_s range; fx_ratio  range of fx / width; where target_m (3,)
    is given, heading and pitch are relative to the direction towards it
    """

    low_m: tuple[float, float, float]
    high_m: tuple[float, float, float]
    heading_rad: tuple[float, float] = (-np.pi, np.pi)
    pitch_rad: tuple[float, float] = (-0.5, 0.15)
    speed_m_s: tuple[float, float] = (0.1, 0.8)
    carriers: tuple[Carrier, ...] = (Carrier.HAND, Carrier.WHEELS, Carrier.STATIC)
    fx_ratio: tuple[float, float] = (0.6, 1.1)
    target_m: tuple[float, float, float] | None = None


Stage = tuple[Scene, Zone]
"""A scene, and where a camera may be in it."""


@dataclass(frozen=True)
class CameraPath:
    """A path: an arc of constant speed and turn with oscillations of all six degrees of freedom.

    wobble_m, wobble_rad (3, 4): amplitudes of x, y, z and of yaw, pitch, roll at four frequencies;
    phase (6, 4). course_rad is the direction of travel against the view.
    """

    carrier: Carrier
    start_m: Float64Array
    heading_rad: float
    pitch_rad: float
    roll_rad: float
    course_rad: float
    speed_m_s: float
    turn_rad_s: float
    climb_m_s: float
    wobble_m: Float64Array
    wobble_rad: Float64Array
    phase: Float64Array

    def pose(self, time_s: float) -> Float64Array:
        """Return T_map_cam at a time, (4, 4) float64, optical frame (x right, y down, z ahead)."""
        wave = np.sin(2 * np.pi * _FREQUENCIES_HZ * time_s + self.phase)
        shift = (self.wobble_m * wave[:3]).sum(axis=1)
        turn = (self.wobble_rad * wave[3:]).sum(axis=1)
        sweep = self.turn_rad_s * time_s
        chord = self.speed_m_s * time_s * np.sinc(sweep / 2 / np.pi)
        course = self.heading_rad + self.course_rad + sweep / 2
        position = (
            self.start_m
            + shift
            + [chord * np.cos(course), chord * np.sin(course), self.climb_m_s * time_s]
        )
        return look_along(
            position,
            self.heading_rad + sweep + turn[0],
            self.pitch_rad + turn[1],
            self.roll_rad + turn[2],
        )


def look_along(
    position_m: Float64Array, heading_rad: float, pitch_rad: float, roll_rad: float
) -> Float64Array:
    """Return T_map_cam (4, 4) of an optical frame at position_m (3,) in the map (z up)."""
    c, s = np.cos(heading_rad), np.sin(heading_rad)
    forward = np.array([c * np.cos(pitch_rad), s * np.cos(pitch_rad), np.sin(pitch_rad)])
    right = np.array([s, -c, 0.0])
    down = np.cross(forward, right)
    cr, sr = np.cos(roll_rad), np.sin(roll_rad)
    pose = np.eye(4)
    pose[:3, :] = np.column_stack(
        [right * cr + down * sr, down * cr - right * sr, forward, position_m]
    )
    return pose


# carrier: share of the zone's speed, wobble in metres, in radians, turn rate, climb, roll
_CARRIER_MOTION = {
    Carrier.HAND: (0.6, 0.02, 0.035, 0.35, 0.03, 0.05),
    Carrier.WHEELS: (1.0, 0.002, 0.003, 0.3, 0.0, 0.005),
    Carrier.FLIGHT: (1.3, 0.06, 0.03, 0.25, 0.15, 0.06),
    Carrier.STATIC: (0.0, 0.0, 0.0, 0.0, 0.0, 0.02),
}


def random_path(
    zone: Zone, rng: np.random.Generator, carrier: Carrier | None = None
) -> CameraPath:
    """Draw a path that starts in the zone."""
    if carrier is None:
        carrier = zone.carriers[int(rng.integers(0, len(zone.carriers)))]
    speed, shake_m, shake_rad, turn, climb, roll = _CARRIER_MOTION[carrier]
    falloff = np.array([1.0, 0.6, 0.25, 0.12])
    strafe = rng.normal(0, 0.9) if carrier in (Carrier.HAND, Carrier.FLIGHT) else 0.0
    backwards = np.pi if rng.random() < 0.12 else 0.0
    start = rng.uniform(zone.low_m, zone.high_m)
    heading, pitch = rng.uniform(*zone.heading_rad), rng.uniform(*zone.pitch_rad)
    if zone.target_m is not None:
        ahead = np.array(zone.target_m) - start
        heading += np.arctan2(ahead[1], ahead[0])
        pitch += np.arctan2(ahead[2], np.hypot(ahead[0], ahead[1]))
    return CameraPath(
        carrier,
        start,
        heading,
        pitch,
        rng.normal(0, roll),
        strafe + backwards,
        speed * rng.uniform(*zone.speed_m_s),
        rng.normal(0, turn) if speed else 0.0,
        rng.normal(0, climb),
        shake_m * rng.uniform(0.2, 1.5) * np.outer([1, 1, 1], falloff),
        shake_rad * rng.uniform(0.2, 1.5) * np.outer([1.5, 1, 0.5], falloff),
        rng.uniform(0, 2 * np.pi, (6, 4)),
    )
