# SPDX-License-Identifier: Apache-2.0
"""Scenes as arrays of solids, and the builder that families use.

Every solid is a unit shape in [-1, 1]^3 under an affine map, so that stretched and turned spheres,
cylinders and boxes need one intersection routine each. The map frame has z up, metres.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.synthetic.atlas import MASKS, Atlas


class Shape(IntEnum):
    """Unit shapes."""

    BOX = 0
    ELLIPSOID = 1
    FRUSTUM = 2  # axis z; radius 1 at z = -1 and ``taper`` <= 1 at z = 1


@dataclass(frozen=True)
class Material:
    """Look of a solid.

    texture  a kind of the atlas; scale_m is the side of one tile on the surface, or None to fit
             one tile to the face; tint multiplies the linear colour
    gloss    0 matt to 1 mirror-like; glow is light given off; cutout names a mask of MASKS
    """

    texture: str
    scale_m: float | None = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gloss: float = 0.0
    glow: float = 0.0
    wear: float = 0.5
    cutout: str | None = None
    cutout_scale_m: float = 0.5

    def painted(self, colour: ArrayLike) -> Material:
        """Return the same material multiplied by a display-referred (3,) colour of [0, 1]."""
        linear = np.asarray(colour, float) ** 2.2
        return replace(self, tint=(float(linear[0]), float(linear[1]), float(linear[2])))


@dataclass(frozen=True)
class Motion:
    """Rigid motion of a group of solids on an arc, with a swinging part for limbs and wheels.

    start_m (3,), heading_rad about z, speed_m_s along the heading, turn_rad_s; swing about the
    local y axis through pivot_m by swing_rad * sin(2 pi swing_hz t + phase_rad).
    """

    start_m: tuple[float, float, float]
    heading_rad: float
    speed_m_s: float
    turn_rad_s: float = 0.0
    pivot_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    swing_rad: float = 0.0
    swing_hz: float = 0.0
    phase_rad: float = 0.0

    def pose(self, time_s: float) -> Float64Array:
        """Return T_map_group at a time, (4, 4) float64."""
        middle = self.heading_rad + self.turn_rad_s * time_s / 2
        chord = self.speed_m_s * time_s * np.sinc(self.turn_rad_s * time_s / (2 * np.pi))
        position = np.array(self.start_m) + chord * np.array([np.cos(middle), np.sin(middle), 0])
        body = translation(position) @ rotation_z(self.heading_rad + self.turn_rad_s * time_s)
        swing = self.swing_rad * np.sin(2 * np.pi * self.swing_hz * time_s + self.phase_rad)
        pivot = np.array(self.pivot_m)
        return body @ translation(pivot) @ rotation_y(swing) @ translation(-pivot)


@dataclass(frozen=True)
class Lamp:
    """A point light; intensity is radiance at one metre, rgb linear."""

    position_m: tuple[float, float, float]
    intensity: tuple[float, float, float]
    casts_shadow: bool = False


@dataclass(frozen=True)
class Clouds:
    """Clouds over a sky.

    cover  share of the sky, 0 to 1; edge  softness, from 0.02 to 1; scale of the puffs;
    roughness  0 to 1, of small puffs on large ones; depth  how much darker they are where thick;
    colour  linear rgb; offset (2,) shifts them about
    """

    cover: float
    edge: float
    scale: float
    roughness: float
    depth: float
    colour: tuple[float, float, float]
    offset: tuple[float, float]


@dataclass(frozen=True)
class Lights:
    """Lighting of a scene, linear rgb; the sun's direction points from the scene to the sun.

    haze_m is the distance at which haze leaves 37 %; occlusion 0 to 1 is the strength of ambient
    occlusion. clouds, where given, are drawn instead of those of cloudiness.
    """

    ambient: tuple[float, float, float]
    sun_direction: tuple[float, float, float] = (0.3, 0.2, 0.93)
    sun: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lamps: tuple[Lamp, ...] = ()
    sky_zenith: tuple[float, float, float] = (0.25, 0.45, 0.9)
    sky_horizon: tuple[float, float, float] = (0.8, 0.87, 0.95)
    cloudiness: float = 0.5
    haze_m: float = 1e9
    occlusion: float = 1.0
    clouds: Clouds | None = None


@dataclass(frozen=True)
class Scene:
    """Solids in arrays of N, ready to be cast; see SceneBuilder.

    shape (N,) int8; T_map_solid (N, 4, 4) float64 at time 0, in its group's frame; taper, tile,
    scale, tint, gloss, glow, wear, mask, mask_scale are (N,) or (N, 3) float32 or int32.
    group (N,) int32 is an index of motions, or -1 where the solid stands still.
    low_m, high_m bound the part of the scene that matters for light, (3,) float64.
    """

    atlas: Atlas
    shape: NDArray[np.int8]
    T_map_solid: Float64Array
    half_size_m: Float32Array
    taper: Float32Array
    tile: NDArray[np.int32]
    wear_tile: NDArray[np.int32]
    scale_m: Float32Array
    offset: Float32Array
    tint: Float32Array
    gloss: Float32Array
    glow: Float32Array
    wear: Float32Array
    mask: NDArray[np.int32]
    mask_scale_m: Float32Array
    group: NDArray[np.int32]
    motions: tuple[Motion, ...]
    lights: Lights
    low_m: Float64Array
    high_m: Float64Array

    @cached_property
    def _still_inverse(self) -> Float64Array:
        return np.linalg.inv(self.T_map_solid).astype(np.float64)

    def inverse(self, poses: Float64Array) -> Float64Array:
        """Return the inverse of ``poses``; only what moves is inverted anew. (N, 4, 4) float64."""
        moving = self.group >= 0
        if not moving.any():
            return self._still_inverse
        inverse = self._still_inverse.copy()
        inverse[moving] = np.linalg.inv(poses[moving])
        return inverse

    def poses(self, time_s: float) -> Float64Array:
        """Return T_map_solid of all solids at a time, (N, 4, 4) float64."""
        poses = self.T_map_solid
        if not self.motions:
            return poses
        groups = np.stack([motion.pose(time_s) for motion in self.motions] + [np.eye(4)])
        return groups[self.group] @ poses


@dataclass
class SceneBuilder:
    """Collect solids; ``at`` sets the frame in which the following solids are placed."""

    atlas: Atlas
    rng: np.random.Generator
    frame: Float64Array = field(default_factory=lambda: np.eye(4))
    group: int = -1
    motions: list[Motion] = field(default_factory=list)
    rows: list[tuple[Shape, Float64Array, float, Material, int, int, Float64Array]] = field(
        default_factory=list
    )
    shared: dict[Material, int] | None = None

    @contextmanager
    def at(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Iterator[None]:
        """Place what follows in a frame at x, y, z turned by yaw, inside the current one."""
        outer = self.frame
        self.frame = outer @ translation(np.array([x, y, z])) @ rotation_z(yaw)
        yield
        self.frame = outer

    @contextmanager
    def moving(self, motion: Motion) -> Iterator[None]:
        """Let what follows move; its solids are placed in the frame of the motion."""
        outer = self.frame, self.group
        self.motions.append(motion)
        self.frame, self.group = np.eye(4), len(self.motions) - 1
        yield
        self.frame, self.group = outer

    @contextmanager
    def matched(self) -> Iterator[None]:
        """Let what follows share one texture a material, as the parts of one body do."""
        outer, self.shared = self.shared, {}
        yield
        self.shared = outer

    def solid(
        self,
        shape: Shape,
        pose: Float64Array,
        material: Material,
        taper: float = 1.0,
        tile: int | None = None,
    ) -> None:
        """Add a unit shape under ``pose`` (4, 4), given in the current frame."""
        if tile is None and self.shared is not None:
            if material not in self.shared:
                self.shared[material] = self.atlas.pick(material.texture, self.rng)
            tile = self.shared[material]
        number = self.atlas.pick(material.texture, self.rng) if tile is None else tile
        size = np.linalg.norm(pose[:3, :3], axis=0)
        self.rows.append((shape, self.frame @ pose, taper, material, number, self.group, size))

    def box(
        self,
        centre: ArrayLike,
        size: ArrayLike,
        material: Material,
        yaw: float = 0.0,
        pitch: float = 0.0,
        tile: int | None = None,
    ) -> None:
        """Add a box by centre (3,) and full edge lengths (3,), metres."""
        self.solid(Shape.BOX, _placed(centre, size, yaw, pitch), material, tile=tile)

    def ellipsoid(
        self,
        centre: ArrayLike,
        size: ArrayLike,
        material: Material,
        yaw: float = 0.0,
        pitch: float = 0.0,
        tile: int | None = None,
    ) -> None:
        """Add an ellipsoid by centre (3,) and full diameters (3,), metres."""
        self.solid(Shape.ELLIPSOID, _placed(centre, size, yaw, pitch), material, tile=tile)

    def rod(
        self,
        start: ArrayLike,
        end: ArrayLike,
        radius_m: float,
        material: Material,
        taper: float = 1.0,
        flat: float = 1.0,
    ) -> None:
        """Add a capped cylinder or cone from start to end (3,); the end has taper * radius."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        if taper > 1:  # the wide end comes first, so that the unit cube bounds the solid
            a, b, radius_m, taper = b, a, radius_m * taper, 1 / taper
        axis = (b - a) / 2
        across = np.cross(axis, [0.0, 0.0, 1.0])
        if np.linalg.norm(across) < 1e-9:
            across = np.array([1.0, 0.0, 0.0])
        across /= np.linalg.norm(across)
        other = np.cross(axis, across)
        other /= np.linalg.norm(other)
        pose = np.eye(4)
        pose[:3, :4] = np.column_stack(
            [across * radius_m, other * radius_m * flat, axis, (a + b) / 2]
        )
        self.solid(Shape.FRUSTUM, pose, material, taper)

    def build(self, lights: Lights, low_m: Sequence[float], high_m: Sequence[float]) -> Scene:
        """Return the scene; low_m and high_m bound what light and shadow are computed for."""
        shapes, poses, tapers, materials, tiles, groups, sizes = zip(*self.rows, strict=True)
        count = len(materials)
        f32 = np.float32
        return Scene(
            self.atlas,
            np.array(shapes, np.int8),
            np.stack(poses),
            np.array(sizes, f32),
            np.array(tapers, f32),
            np.array(tiles, np.int32),
            np.array([self.atlas.pick('stains', self.rng) for _ in range(count)], np.int32),
            np.array([m.scale_m or 0.0 for m in materials], f32),
            self.rng.random((count, 2), f32),
            np.array([m.tint for m in materials], f32),
            np.array([m.gloss for m in materials], f32),
            np.array([m.glow for m in materials], f32),
            np.array([m.wear for m in materials], f32),
            np.array([MASKS.index(m.cutout) if m.cutout else -1 for m in materials], np.int32),
            np.array([m.cutout_scale_m for m in materials], f32),
            np.array(groups, np.int32),
            tuple(self.motions),
            lights,
            np.array(low_m, float),
            np.array(high_m, float),
        )


def translation(offset_m: Float64Array) -> Float64Array:
    """Return the (4, 4) translation by offset_m (3,)."""
    T = np.eye(4)
    T[:3, 3] = offset_m
    return T


def rotation_z(angle_rad: float) -> Float64Array:
    """Return the (4, 4) rotation about z."""
    T = np.eye(4)
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    T[:2, :2] = [[c, -s], [s, c]]
    return T


def rotation_y(angle_rad: float) -> Float64Array:
    """Return the (4, 4) rotation about y."""
    T = np.eye(4)
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    T[0, 0], T[0, 2], T[2, 0], T[2, 2] = c, s, -s, c
    return T


def _placed(centre: ArrayLike, size: ArrayLike, yaw: float, pitch: float) -> Float64Array:
    pose = translation(np.asarray(centre, float)) @ rotation_z(yaw) @ rotation_y(pitch)
    pose[:3, :3] *= np.maximum(np.asarray(size, float), 1e-4) / 2
    return pose
