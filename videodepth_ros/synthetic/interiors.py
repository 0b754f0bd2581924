# SPDX-License-Identifier: Apache-2.0
"""What indoor families share: walls, windows, lights, and things along walls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import (
    Opening,
    ceiling_light,
    floor_cover,
    picture_on_wall,
    wall,
    wall_paint,
)
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.noise import neutral
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Lamp, Lights, Material, SceneBuilder


@dataclass(frozen=True)
class Box:
    """The inside of a room: 0..length along x, 0..width along y, 0..height."""

    length: float
    width: float
    height: float


def indoor_lights(b: SceneBuilder, room: Box, windows: bool) -> Lights:
    """Return daylight through windows, lamps, or both, at random colours."""
    day = windows and b.rng.random() < 0.75
    warm = b.rng.uniform(0.6, 1.0)
    ambient = b.rng.uniform(0.25, 0.9)
    tint = np.array([1.0, b.rng.uniform(0.88, 1.0), warm if not day else b.rng.uniform(0.85, 1.1)])
    sunny = day and b.rng.random() < 0.6
    elevation, azimuth = b.rng.uniform(0.3, 0.9), b.rng.uniform(-np.pi, np.pi)
    direction = (
        np.cos(azimuth) * np.cos(elevation),
        np.sin(azimuth) * np.cos(elevation),
        np.sin(elevation),
    )
    lamps = []
    for k in range(int(b.rng.integers(1, 4))):
        power = b.rng.uniform(0.3, 2.5) * (0.5 if day else 1.0)
        lamps.append(
            Lamp(
                (
                    b.rng.uniform(0.2, 0.8) * room.length,
                    b.rng.uniform(0.2, 0.8) * room.width,
                    room.height - b.rng.uniform(0.15, 0.7),
                ),
                (power, power * b.rng.uniform(0.8, 0.95), power * warm),
                k == 0,
            )
        )
    sky = b.rng.uniform(1.5, 5.0)
    return Lights(
        tuple(ambient * tint),
        direction,
        tuple(b.rng.uniform(3, 9) * np.array([1, 0.93, 0.82])) if sunny else (0, 0, 0),
        tuple(lamps),
        (0.4 * sky, 0.6 * sky, sky),
        (0.9 * sky, 0.95 * sky, sky),
        b.rng.uniform(0.2, 1.0),
        occlusion=b.rng.uniform(0.5, 1.2) if b.rng.random() < 0.8 else 0.0,
    )


def shell(b: SceneBuilder, room: Box, windows: bool, paint: Material | None = None) -> None:
    """Add floor, ceiling and four walls, some with windows, and what is seen through them."""
    cover = floor_cover(b)
    cx, cy = room.length / 2, room.width / 2
    b.box((cx, cy, -0.1), (room.length + 0.4, room.width + 0.4, 0.2), cover)
    roof = Material(f.pick(b, 'plain', 'plain', 'plaster', 'panels', 'planks'), 1.5)
    if b.rng.random() < 0.7:
        roof = roof.painted(neutral(b.rng, 0.75, 1))
    b.box((cx, cy, room.height + 0.1), (room.length + 0.4, room.width + 0.4, 0.2), roof)
    corners = [(0.0, 0.0), (room.length, 0.0), (room.length, room.width), (0.0, room.width)]
    paint = paint or wall_paint(b)
    skirting = Material('plain').painted(neutral(b.rng, 0.3, 1)) if b.rng.random() < 0.6 else None
    glazed = b.rng.random(4) < (0.5 if windows else 0.0)
    for k in range(4):
        side = paint if b.rng.random() < 0.8 else wall_paint(b)
        length = room.length if k % 2 == 0 else room.width
        wall(
            b,
            corners[k],
            corners[(k + 1) % 4],
            room.height,
            side,
            _openings(b, length, room.height) if glazed[k] else (),
            skirting,
        )
    if glazed.any():
        _outside(b, room)


def _openings(b: SceneBuilder, length: float, height: float) -> tuple[Opening, ...]:
    count = max(1, int(length / b.rng.uniform(1.8, 3.5)))
    width = b.rng.uniform(0.45, 0.8) * length / count
    bottom = 0.05 if b.rng.random() < 0.3 else b.rng.uniform(0.6, 1.1)
    top = min(height - 0.2, bottom + b.rng.uniform(1.0, 2.0))
    return tuple(Opening((k + 0.5) * length / count, width, bottom, top) for k in range(count))


def _outside(b: SceneBuilder, room: Box) -> None:
    """Add ground, and walls or hedges at some distance, so that windows have a view."""
    ground = Material(f.pick(b, 'grass', 'bricks', 'gravel', 'asphalt'), 2.0)
    b.box((room.length / 2, room.width / 2, -0.6), (90, 90, 0.5), ground)
    for _ in range(int(b.rng.integers(1, 5))):
        angle, away = b.rng.uniform(-np.pi, np.pi), b.rng.uniform(6, 25)
        with b.at(
            room.length / 2 + away * np.cos(angle),
            room.width / 2 + away * np.sin(angle),
            -0.4,
            angle,
        ):
            tall = b.rng.uniform(1.5, 9)
            b.box(
                (0, 0, tall / 2),
                (1.0, b.rng.uniform(4, 20), tall),
                Material(f.pick(b, 'bricks', 'facade', 'leaves', 'stones'), 3.0),
            )


def against_walls(b: SceneBuilder, room: Box, makers: list[Callable[[], None]]) -> None:
    """Put each maker's thing somewhere along a wall, its back (x = 0) to the wall."""
    for make in makers:
        side = int(b.rng.integers(0, 4))
        length = room.length if side % 2 == 0 else room.width
        along = b.rng.uniform(0.5, max(length - 0.5, 0.6))
        x, y, yaw = (
            (along, 0.0, np.pi / 2),
            (room.length, along, np.pi),
            (along, room.width, -np.pi / 2),
            (0.0, along, 0.0),
        )[side]
        with b.at(x, y, 0.0, yaw), b.at(0.02, 0.0):
            make()


def hang_pictures(b: SceneBuilder, room: Box, count: int) -> None:
    """Hang pictures, sometimes a television, on the walls."""

    def make() -> None:
        with b.at(0, 0, b.rng.uniform(1.1, min(2.2, room.height - 0.4))):
            if b.rng.random() < 0.15:
                f.television(b, b.rng.uniform(0.6, 1.4))
            else:
                picture_on_wall(b)

    against_walls(b, room, [make] * count)


def finish_room(b: SceneBuilder, room: Box, windows: bool, zone: Zone) -> Stage:
    """Add ceiling lamps, perhaps a person, and light; return scene and zone."""
    for _ in range(int(b.rng.integers(0, 3))):
        with b.at(b.rng.uniform(0.2, 0.8) * room.length, b.rng.uniform(0.2, 0.8) * room.width):
            ceiling_light(b, room.height)
    if b.rng.random() < 0.2:
        walking_person(b, (0.5, 0.5), (room.length - 0.5, room.width - 0.5))
    lights = indoor_lights(b, room, windows)
    margin = 0.3
    return b.build(
        lights,
        (-margin, -margin, -margin),
        (room.length + margin, room.width + margin, room.height + margin),
    ), zone


def room_zone(
    room: Box, low: float, high: float, pitch: tuple[float, float] = (-0.6, 0.15)
) -> Zone:
    """Return the zone of a room: start heights low..high [m], pitch [rad]."""
    top = min(high, room.height - 0.2)
    return Zone(
        (0.4, 0.4, low),
        (room.length - 0.4, room.width - 0.4, top),
        pitch_rad=pitch,
        fx_ratio=(0.5, 1.1),
        carriers=(Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.FLIGHT, Carrier.STATIC),
    )
