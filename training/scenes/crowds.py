# SPDX-License-Identifier: Apache-2.0
"""Crowds of the training set: people who stand, sit and walk, near and far, indoors and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from training.scenes.bodies import random_body, seated_person, standing_person, striding_person
from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import ceiling_light, door, picture_on_wall
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.interiors import Box, against_walls, indoor_lights, shell
from videodepth_ros.synthetic.nature import tree
from videodepth_ros.synthetic.noise import neutral, vivid
from videodepth_ros.synthetic.open_air import building, street_furniture
from videodepth_ros.synthetic.people import car
from videodepth_ros.synthetic.scene import Material, SceneBuilder
from videodepth_ros.synthetic.skies import open_sky


@dataclass(frozen=True)
class Eye:
    """Where the camera is: its place (3,), where it looks (rad), and what carries it."""

    place_m: tuple[float, float, float]
    heading_rad: float
    pitch_rad: tuple[float, float]
    carriers: tuple[Carrier, ...]

    def zone(self, spread_m: float) -> Zone:
        """Return starts within spread_m of the place, which look about where it looks."""
        x, y, z = self.place_m
        rise = min(0.1, 0.3 * z)
        return Zone(
            (x - spread_m, y - spread_m, z - rise),
            (x + spread_m, y + spread_m, z + rise),
            (self.heading_rad - 0.45, self.heading_rad + 0.45),
            self.pitch_rad,
            (0.1, 0.8),
            self.carriers,
            (0.5, 1.15),
        )


def crowd(b: SceneBuilder) -> Stage:
    """Build a cafe, a canteen, a lobby, a nearly empty room, a square, or a bus stop."""
    kind = b.rng.random()
    if kind < 0.5:
        return _inside(b, f.pick(b, 'cafe', 'cafe', 'canteen', 'lobby'))
    if kind < 0.72:
        return _bare_room(b)
    return _square(b) if kind < 0.88 else _bus_stop(b)


def _eye(b: SceneBuilder, length: float, width: float, ceiling: float | None) -> Eye:
    """Return at eye level, from a corner under the ceiling or on a post, or on a low robot."""
    r, kind = b.rng, b.rng.random()
    if kind < 0.3:
        x, y = (side * r.choice([0.06, 0.94]) for side in (length, width))
        z = ceiling - r.uniform(0.15, 0.5) if ceiling else r.uniform(2.6, 4.5)
        heading = np.arctan2(width / 2 - y, length / 2 - x)
        return Eye(
            (float(x), float(y), z),
            float(heading),
            (-0.75, -0.2),
            (Carrier.STATIC, Carrier.STATIC, Carrier.STATIC, Carrier.HAND),
        )
    x, y = r.uniform(0.12, 0.88) * length, r.uniform(0.12, 0.88) * width
    heading = np.arctan2(width / 2 - y, length / 2 - x) + r.normal(0, 0.6)
    if kind < 0.72:
        return Eye(
            (x, y, r.uniform(1.1, 1.8)),
            float(heading),
            (-0.3, 0.1),
            (Carrier.HAND, Carrier.HAND, Carrier.STATIC, Carrier.FLIGHT),
        )
    return Eye(
        (x, y, r.uniform(0.2, 0.8)),
        float(heading),
        (-0.08, 0.35),
        (Carrier.WHEELS, Carrier.WHEELS, Carrier.HAND),
    )


def _near(b: SceneBuilder, eye: Eye, count: int) -> None:
    """Add people so close to the camera that the image's border cuts them off."""
    r = b.rng
    for _ in range(count):
        angle = eye.heading_rad + r.choice([-1, 1]) * r.uniform(0.15, 0.75)
        away = r.uniform(0.65, 1.5)
        x, y, _ = eye.place_m
        with b.at(x + away * np.cos(angle), y + away * np.sin(angle), 0, r.uniform(-np.pi, np.pi)):
            _person(b, 0.3)


def _person(b: SceneBuilder, seated: float = 0.0) -> None:
    """Add a person at the origin, on a chair with this chance, else standing."""
    if b.rng.random() >= seated:
        standing_person(b, random_body(b))
        return
    f.chair(b)
    seated_person(b, random_body(b))


def _strollers(
    b: SceneBuilder, low: tuple[float, float], high: tuple[float, float], count: int
) -> None:
    r = b.rng
    for _ in range(count):
        x, y = r.uniform(low, high)
        if r.random() < 0.6:
            striding_person(
                b,
                random_body(b),
                (float(x), float(y)),
                r.uniform(-np.pi, np.pi),
                r.uniform(0.3, 1.5),
            )
            continue
        with b.at(float(x), float(y), 0, r.uniform(-np.pi, np.pi)):
            standing_person(b, random_body(b))
            if r.random() < 0.4:
                with b.at(r.uniform(0.6, 1.0), r.normal(0, 0.2), 0, np.pi + r.normal(0, 0.3)):
                    standing_person(b, random_body(b))


def _table(b: SceneBuilder, full: float) -> int:
    """Add a table with chairs, each taken with probability ``full``; return the sitters."""
    r = b.rng
    wide, deep = r.uniform(0.6, 1.6), r.uniform(0.6, 0.85)
    f.table(b, wide, deep, 0.74, int(r.integers(1, 6)))
    seats = [
        (side, y) for side in (-1, 1) for y in ((0.0,) if wide < 1.2 else (-wide / 4, wide / 4))
    ]
    people = 0
    for side, y in seats:
        with b.at(
            side * (deep / 2 + r.uniform(0.12, 0.35)),
            y + r.normal(0, 0.04),
            0,
            (np.pi if side > 0 else 0) + r.normal(0, 0.15),
        ):
            if r.random() < 0.85:
                f.chair(b)
                if r.random() < full:
                    seated_person(b, random_body(b))
                    people += 1
    return people


def _inside(b: SceneBuilder, kind: str) -> Stage:
    """Build a cafe, a canteen or a lobby before bright windows."""
    r = b.rng
    room = Box(r.uniform(5, 13), r.uniform(4, 9), r.uniform(2.5, 4.2))
    shell(b, room, True)
    eye = _eye(b, room.length, room.width, room.height)
    step = {'cafe': r.uniform(1.9, 2.6), 'canteen': r.uniform(2.1, 2.5), 'lobby': 3.2}[kind]
    turn = 0.0 if kind == 'canteen' else r.choice([0.0, 0.7])
    full, left = r.uniform(0.2, 0.9), 9
    places = [
        (x, y)
        for x in np.arange(1.3, room.length - 1, step)
        for y in np.arange(1.2, room.width - 0.8, step * 0.85)
    ]
    for x, y in r.permutation(places)[:7]:
        if np.hypot(x - eye.place_m[0], y - eye.place_m[1]) < 1.1 and eye.place_m[2] < 2:
            continue
        with b.at(float(x + r.normal(0, 0.1)), float(y), 0, turn + r.normal(0, 0.15)):
            if kind == 'lobby' and r.random() < 0.6:
                f.sofa(b, r.uniform(0.9, 2.2))
                seated_person(b, random_body(b), 0.42)
                left -= 1
            else:
                left -= _table(b, full if left > 0 else 0.0)
    _near(b, eye, int(r.choice(4, p=[0.3, 0.35, 0.25, 0.1])) * (eye.place_m[2] < 2))
    _strollers(b, (0.6, 0.6), (room.length - 0.6, room.width - 0.6), int(r.integers(0, 4)))
    _fittings(b, room, int(r.integers(2, 8)))
    return _lit(b, room, eye)


def _fittings(b: SceneBuilder, room: Box, count: int) -> None:
    """Add what stands and hangs on the walls, a counter, and hanging lamps."""
    r = b.rng

    def hung() -> None:
        with b.at(0, 0, min(1.6, room.height - 0.7)):
            picture_on_wall(b)

    makers: tuple[Callable[[], None], ...] = (
        hung,
        hung,
        lambda: door(b),
        lambda: f.plant(b, r.uniform(0.6, 1.8)),
        lambda: f.lamp(b, r.uniform(1.2, 1.8)),
        lambda: f.shelf(b, r.uniform(0.8, 1.6), 1.6),
        lambda: f.cupboard(b, r.uniform(1, 2.5), 0.5, r.uniform(0.9, 1.2)),
    )
    against_walls(b, room, [makers[int(r.integers(0, 7))] for _ in range(count)])
    for _ in range(int(r.integers(1, 7))):
        with b.at(r.uniform(0.1, 0.9) * room.length, r.uniform(0.1, 0.9) * room.width):
            ceiling_light(b, room.height)


def _lit(b: SceneBuilder, room: Box, eye: Eye) -> Stage:
    """Build light the room; behind its windows it may be far brighter than inside."""
    r = b.rng
    bright = r.uniform(0.5, 8)
    for _ in range(int(r.integers(2, 6))):
        angle, away = r.uniform(-np.pi, np.pi), r.uniform(9, 22)
        view = Material(
            f.pick(b, 'landscape', 'leaves', 'facade', 'plaster', 'bricks'),
            5.0,
            glow=bright * r.uniform(0.2, 1.0),
        )
        with b.at(
            room.length / 2 + away * np.cos(angle), room.width / 2 + away * np.sin(angle), 0, angle
        ):
            b.box((0, 0, 2), (1.0, r.uniform(3, 14), r.uniform(3, 14)), view)
    lights = indoor_lights(b, room, True)
    sky = tuple(bright * r.uniform((0.5, 0.7, 0.85), (1.0, 1.0, 1.0)))
    lights = replace(lights, sky_horizon=sky, sky_zenith=sky)
    return b.build(
        lights, (-0.3, -0.3, -0.3), (room.length + 0.3, room.width + 0.3, room.height + 0.3)
    ), eye.zone(0.3)


def _bare_room(b: SceneBuilder) -> Stage:
    """Build a room of plain walls with one to three people and little else."""
    r = b.rng
    room = Box(r.uniform(3.5, 9), r.uniform(3.2, 7), r.uniform(2.4, 3.4))
    paint = Material('plain', 3.0, wear=r.uniform(0, 0.4)).painted(neutral(r, 0.65, 1.0))
    shell(b, room, r.random() < 0.5, paint)
    eye = _eye(b, room.length, room.width, room.height)
    x, y, _ = eye.place_m
    away = float(r.uniform(1.2, 0.55 * room.length))
    spot = np.clip(
        [x + away * np.cos(eye.heading_rad), y + away * np.sin(eye.heading_rad)],
        0.4,
        [room.length - 0.4, room.width - 0.4],
    )
    with b.at(float(spot[0]), float(spot[1]), 0, r.uniform(-np.pi, np.pi)):
        _person(b, 0.2)
    _strollers(b, (0.6, 0.6), (room.length - 0.6, room.width - 0.6), int(r.integers(0, 3)))
    if r.random() < 0.2:
        _near(b, eye, 1)
    _fittings(b, room, int(r.integers(0, 3)))
    return _lit(b, room, replace(eye, pitch_rad=(eye.pitch_rad[0] - 0.1, eye.pitch_rad[1] - 0.1)))


def _square(b: SceneBuilder) -> Stage:
    """Build a square with people on the way, at tables under parasols and about the camera."""
    r = b.rng
    side = r.uniform(8, 22)
    b.box(
        (side / 2, side / 2, -0.2),
        (300, 300, 0.4),
        Material(
            f.pick(b, 'stones', 'bricks', 'tiles', 'asphalt', 'gravel', 'plaster', 'grass'),
            r.uniform(1.2, 3),
        ),
    )
    eye = _eye(b, side, side, None)
    for k in range(4):
        if r.random() < 0.7:
            with (
                b.at(side / 2, side / 2, 0, k * np.pi / 2),
                b.at(-side * r.uniform(0.6, 1.2), r.normal(0, 3)),
            ):
                building(b, r.uniform(0.8, 2) * side, 8, r.uniform(4, 16))
    for _ in range(int(r.integers(2, 8))):
        x, y = r.uniform(0, side, 2)
        with b.at(x, y, 0, r.uniform(-np.pi, np.pi)):
            _street_thing(b)
    left = 8
    for _ in range(int(r.integers(0, 5))):
        x, y = r.uniform(0.15, 0.85, 2) * side
        with b.at(x, y, 0, r.uniform(-np.pi, np.pi)):
            left -= _table(b, 0.6 if left > 0 else 0.0)
            if r.random() < 0.6:
                b.rod((0, 0, 0), (0, 0, 2.3), 0.025, f.hard(b))
                b.rod((0, 0, 2.0), (0, 0, 2.5), 1.3, f.cloth(b), taper=0.05)
    _near(b, eye, int(r.integers(0, 3)) * (eye.place_m[2] < 2))
    _strollers(b, (0.1 * side, 0.1 * side), (0.9 * side, 0.9 * side), int(r.integers(2, 7)))
    return b.build(open_sky(b), (-2, -2, -0.5), (side + 2, side + 2, 8)), eye.zone(0.5)


def _street_thing(b: SceneBuilder) -> None:
    if b.rng.random() < 0.5:
        tree(b, b.rng.uniform(3, 8))
    else:
        street_furniture(b)


def _bus_stop(b: SceneBuilder) -> Stage:
    """Build people who wait at a shelter, seen from the street or the pavement."""
    r = b.rng
    b.box((0, 0, -0.2), (300, 300, 0.4), Material('asphalt', 3.0))
    b.box((54.5, 0, -0.05), (100, 300, 0.35), Material(f.pick(b, 'tiles', 'bricks', 'stones'), 2))
    with b.at(7 + r.uniform(1, 8), 0, 0.12, np.pi):
        building(b, r.uniform(8, 30), 8, r.uniform(4, 15))
    metal, long = f.hard(b), r.uniform(2.5, 5)
    with b.at(6.3, 0, 0.12, np.pi):
        for y in (-long / 2, long / 2):
            for x in (0.0, 1.3):
                b.rod((x, y, 0), (x, y, 2.4), 0.035, metal)
        b.box((0.6, 0, 2.45), (1.9, long + 0.4, 0.08), metal)
        b.box(
            (0, 0, 1.3),
            (0.03, long, 1.9),
            Material(f.pick(b, 'plain', 'picture', 'metal'), None, gloss=0.7).painted(
                neutral(r, 0.3, 1)
            ),
        )
        b.box((0.3, 0, 0.45), (0.35, long * 0.8, 0.05), f.wooden(b))
        for y in np.arange(-long * 0.35, long * 0.36, 0.65):
            if r.random() < 0.6:
                with b.at(0.35, y, 0, r.normal(0, 0.15)):
                    seated_person(b, random_body(b))
        b.rod((1.8, long / 2 + 1, 0), (1.8, long / 2 + 1, 2.9), 0.04, metal)
        b.box(
            (1.8, long / 2 + 1, 2.6),
            (0.04, 0.5, 0.6),
            Material('document', None).painted(vivid(r)),
        )
        for _ in range(int(r.integers(2, 7))):
            with b.at(r.uniform(0.9, 2), r.uniform(-1, 1) * long, 0, r.normal(0, 1)):
                standing_person(b, random_body(b))
    if r.random() < 0.6:
        with b.at(1.2, r.uniform(4, 12), 0, np.pi / 2):
            car(b)
    for y in (r.uniform(5, 14), -r.uniform(5, 14)):
        with b.at(6.5, y, 0.12, np.pi):
            _street_thing(b)
    eye = Eye(
        (r.uniform(0.5, 4.2), r.normal(0, 1.5), r.choice([0.4, 1.5, 1.6, 3.2])),
        0.0,
        (-0.3, 0.15),
        (Carrier.HAND, Carrier.WHEELS, Carrier.STATIC),
    )
    heading = -np.arctan2(eye.place_m[1], 5 - eye.place_m[0])
    return b.build(open_sky(b), (-2, -8, -0.5), (10, 8, 6)), replace(
        eye, heading_rad=float(heading)
    ).zone(0.5)
