# SPDX-License-Identifier: Apache-2.0
"""Underground passages of the training set: mines, sewers, service tunnels, platforms, cellars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import door, picture_on_wall, railing
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.nature import rock
from videodepth_ros.synthetic.noise import muted, neutral, vivid
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Lamp, Lights, Material, SceneBuilder

_THICK_M = 0.3
_ALONG = np.pi / 2  # tunnels run along +y, so that the slabs of a vault are boxes with a pitch


@dataclass(frozen=True)
class Bore:
    """A cross-section: full width and height, and the height of the walls below the vault."""

    width: float
    height: float
    wall: float

    def outline(self, facets: int) -> list[tuple[float, float]]:
        """Return the corners (x, z) from the foot of the left wall over the vault to the right."""
        angles = np.linspace(np.pi, 0, facets + 1)
        rise = self.height - self.wall
        arch = [
            (self.width / 2 * float(np.cos(a)), self.wall + rise * float(np.sin(a)))
            for a in angles
        ]
        return [(-self.width / 2, 0.0), *arch, (self.width / 2, 0.0)] if self.wall > 0 else arch


def tunnel(b: SceneBuilder) -> Stage:
    """Build one of the five, straight or bending, dimly lit, often wet."""
    r = b.rng
    kind = f.pick(b, 'mine', 'sewer', 'service', 'service', 'platform', 'cellar')
    bore = _bore_of(b, kind)
    length, pieces = r.uniform(3.5, 6), int(r.integers(4, 8))
    bend = 0.0 if r.random() < 0.4 else r.normal(0, 0.13) / max(1, bore.width / 4)
    shell, floor = _linings(b, kind)
    facets = 2 if r.random() < 0.2 else int(r.integers(5, 10))
    piece = _pieces(b, kind, bore)
    lamps: list[tuple[float, float, float]] = []
    x, y, heading = 0.0, 0.0, 0.0
    for _ in range(pieces):
        with b.at(x, y, 0, heading):
            _slabs(b, bore, facets, length + bore.width * abs(bend) + 0.02, shell, floor)
            piece(length)
            if r.random() < 0.75:
                lamps.append(_lamp(b, bore))
        x, y = x - length * np.sin(heading), y + length * np.cos(heading)
        heading += bend
    with b.at(x, y, 0, heading):
        _end(b, bore, length, shell)
    with b.at(0, -length / 2):
        b.box((0, 0, bore.height / 2), (bore.width + 1, 0.3, bore.height + 1), shell)
    if r.random() < 0.3:
        walking_person(b, (-0.2 * bore.width, 3), (0.2 * bore.width, 12))
    zone = Zone(
        (-0.32 * bore.width, 0.0, 0.3),
        (0.32 * bore.width, length, 0.75 * bore.height),
        (_ALONG - 0.6, _ALONG + 0.6) if r.random() < 0.85 else (-np.pi, np.pi),
        (-0.4, 0.3),
        (0.2, 1.5),
        (Carrier.HAND, Carrier.WHEELS, Carrier.WHEELS, Carrier.FLIGHT),
        (0.5, 1.1),
    )
    wide = max(bore.width, abs(x)) + 1
    return b.build(
        _dim(b, bore, lamps), (-wide, -length, -1.5), (wide, y + length, bore.height + 0.5)
    ), zone


def _bore_of(b: SceneBuilder, kind: str) -> Bore:
    r = b.rng
    if kind == 'platform':
        height = r.uniform(3.8, 6)
        return Bore(r.uniform(7, 13), height, height * r.uniform(0.3, 0.7))
    wide = r.uniform(1.6, 4.5) * (1.5 if kind == 'cellar' else 1.0)
    height = r.uniform(2.0, 3.4)
    flat = kind == 'service' and r.random() < 0.5
    return Bore(wide, height, height * (0.97 if flat else r.uniform(0.35, 0.7)))


def _linings(b: SceneBuilder, kind: str) -> tuple[Material, Material]:
    """Return what walls and floor are of."""
    r = b.rng
    walls = {
        'mine': ('stones', 'plaster', 'speckles', 'gravel'),
        'sewer': ('bricks', 'plaster'),
        'service': ('plain', 'plaster', 'panels', 'metal'),
        'platform': ('tiles', 'tiles', 'plain', 'panels'),
        'cellar': ('bricks', 'stones', 'plaster'),
    }[kind]
    shell = Material(
        f.pick(b, *walls),
        r.uniform(0.8, 2.5),
        wear=r.uniform(0.3, 1.0),
        gloss=r.uniform(0, 0.4) if kind == 'platform' else 0.0,
    )
    wet = r.uniform(0.4, 1.0) if r.random() < 0.5 else 0.0
    floor = Material(
        f.pick(b, 'plaster', 'gravel', 'stones', 'asphalt', 'tiles', 'speckles'),
        r.uniform(1, 2.5),
        gloss=wet,
        wear=0.8,
    )
    return (shell.painted(neutral(r, 0.4, 1)) if r.random() < 0.5 else shell), floor


def _slabs(
    b: SceneBuilder, bore: Bore, facets: int, length: float, shell: Material, floor: Material
) -> None:
    """Add one piece of tunnel about the origin, along y."""
    b.box((0, 0, -_THICK_M / 2), (bore.width + 0.6, length, _THICK_M), floor)
    outline = bore.outline(facets)
    tile = b.atlas.pick(shell.texture, b.rng)
    for (x0, z0), (x1, z1) in pairwise(outline):
        pitch = -float(np.arctan2(z1 - z0, x1 - x0))
        out = _THICK_M / 2
        b.box(
            ((x0 + x1) / 2 + out * np.sin(pitch), 0, (z0 + z1) / 2 + out * np.cos(pitch)),
            (float(np.hypot(x1 - x0, z1 - z0)) + 0.12, length, _THICK_M),
            shell,
            pitch=pitch,
            tile=tile,
        )


def _end(b: SceneBuilder, bore: Bore, length: float, shell: Material) -> None:
    """Add the far end: a wall with a door, or daylight with what stands outside."""
    r = b.rng
    near = -length / 2
    if r.random() < 0.7:
        b.box((0, near + 0.15, bore.height / 2), (bore.width + 1, 0.3, bore.height + 1), shell)
        with b.at(0, near, 0, -np.pi / 2):
            door(b, min(1.0, bore.width * 0.5), min(2.05, bore.height * 0.8))
        return
    b.box((0, near + 60, -0.2), (200, 120, 0.4), Material(f.pick(b, 'grass', 'gravel'), 2.5))
    for _ in range(int(r.integers(1, 6))):
        with b.at(r.uniform(-6, 6), near + r.uniform(3, 25)):
            rock(b, r.uniform(0.5, 4))


def _lamp(b: SceneBuilder, bore: Bore) -> tuple[float, float, float]:
    """Hang a lamp from the crown or the wall; return where it shines, in the map, metres."""
    r = b.rng
    side = float(r.choice([0, 0, -1, 1]))
    x, z = side * (bore.width / 2 - 0.15), bore.height - 0.15 if side == 0 else bore.wall * 0.9
    glow = Material('plain', glow=r.uniform(2, 7), wear=0).painted((1, 0.95, 0.85))
    if r.random() < 0.5:
        b.box((x, 0, z), (0.12, r.uniform(0.3, 1.3), 0.08), glow)
    else:
        b.ellipsoid((x, 0, z), (0.16, 0.16, 0.16), glow)
    spot = b.frame @ np.array([0.85 * x, 0.0, z - 0.25, 1.0])
    return float(spot[0]), float(spot[1]), float(spot[2])


def _dim(b: SceneBuilder, bore: Bore, spots: list[tuple[float, float, float]]) -> Lights:
    """Return few lamps in dim light, sometimes one beside the camera."""
    r = b.rng
    tint = np.array([1.0, r.uniform(0.8, 1.0), r.uniform(0.5, 1.05)])
    if not spots or r.random() < 0.25:
        spots = [(r.normal(0, 0.2), r.uniform(0, 3), 0.6 * bore.height), *spots[:2]]
    lamps = tuple(
        Lamp(
            spot,
            tuple(r.uniform(0.3, 2.0) * max(1.0, bore.width / 3) ** 2 * tint),
            k == 0 and r.random() < 0.7,
        )
        for k, spot in enumerate(spots[:4])
    )
    return Lights(
        tuple(r.uniform(0.04, 0.4) * tint),
        lamps=lamps,
        occlusion=r.uniform(0, 0.9),
        haze_m=1e9 if r.random() < 0.7 else r.uniform(15, 60),
        sky_horizon=(0.5, 0.55, 0.6),
        sky_zenith=(0.4, 0.5, 0.7),
    )


def _pieces(b: SceneBuilder, kind: str, bore: Bore) -> Callable[[float], None]:
    """Return a maker of what stands in each piece of a length; pipes run through all of them."""
    r = b.rng
    runs = _pipes(b, bore)
    makers = {
        'mine': _mine,
        'sewer': _sewer,
        'service': _service,
        'platform': _platform,
        'cellar': _cellar,
    }
    edge, left = r.uniform(0.05, 0.25) * bore.width, r.random() < 0.5

    def piece(length: float) -> None:
        for (x, z), radius, material in runs:
            b.rod((x, -length / 2 - 0.1, z), (x, length / 2 + 0.1, z), radius, material)
        makers[kind](b, bore, length, edge if left else -edge)

    return piece


def _pipes(b: SceneBuilder, bore: Bore) -> list[tuple[tuple[float, float], float, Material]]:
    r = b.rng
    runs = []
    for _ in range(int(r.integers(0, 7))):
        radius, side = r.uniform(0.015, 0.13), r.choice([-1, 1])
        z = r.uniform(0.2, max(bore.wall, 0.5))
        runs.append(((float(side * (bore.width / 2 - radius - 0.03)), z), radius, f.hard(b)))
    return runs


def _mine(b: SceneBuilder, bore: Bore, length: float, edge: float) -> None:
    """Add rough rock, timber props, rails and rubble."""
    r = b.rng
    stone = Material(f.pick(b, 'plaster', 'stones', 'speckles'), 1.5, wear=0.9)
    for _ in range(int(r.integers(4, 12))):
        side, size = r.choice([-1, 1]), r.uniform(0.3, 1.4, 3)
        b.ellipsoid(
            (
                side * bore.width / 2,
                r.uniform(-0.5, 0.5) * length,
                r.uniform(0, 0.85) * bore.height,
            ),
            size,
            stone,
            yaw=r.uniform(0, 3),
        )
    timber = Material('bark' if r.random() < 0.5 else 'grain', 0.8)
    for y in np.arange(-length / 2, length / 2, 1.8):
        for side in (-1, 1):
            x = side * (bore.width / 2 - 0.15)
            b.rod((x, y, 0), (x * 0.94, y, bore.wall), 0.09, timber)
        b.rod((-bore.width / 2, y, bore.wall), (bore.width / 2, y, bore.wall), 0.09, timber)
    for side in (-0.3, 0.3):
        b.box((edge + side, 0, 0.05), (0.05, length, 0.1), Material('metal', 0.5, gloss=0.5))
    for _ in range(int(r.integers(0, 3))):
        with b.at(r.uniform(-0.4, 0.4) * bore.width, r.uniform(-0.5, 0.5) * length):
            rock(b, r.uniform(0.15, 0.5))


def _sewer(b: SceneBuilder, bore: Bore, length: float, edge: float) -> None:
    """Add a channel of water between walks, with side pipes."""
    r = b.rng
    walk = Material('plaster', 1.5, gloss=0.3)
    for side in (-1, 1):
        wide = bore.width * 0.28
        b.box((side * (bore.width - wide) / 2, 0, 0.14), (wide, length + 0.1, 0.28), walk)
    water = Material('plain', gloss=0.95, wear=0.4).painted(muted(r) * 0.5)
    b.box((0, 0, 0.04), (bore.width * 0.5, length + 0.1, 0.04), water)
    if r.random() < 0.6:
        side = r.choice([-1, 1]) * bore.width / 2
        b.rod(
            (side * 1.3, 0, 0.9),
            (side * 0.93, 0, 0.85),
            r.uniform(0.15, 0.45),
            Material('plain').painted((0.05, 0.05, 0.05)),
        )
    if r.random() < 0.4:
        with b.at(abs(edge) + 0.1 * bore.width, -length / 2, 0.28, np.pi / 2):
            railing(b, length)


def _service(b: SceneBuilder, bore: Bore, length: float, edge: float) -> None:
    """Add cable trays on brackets, boxes, valves, doors and signs."""
    r = b.rng
    steel, side = Material('metal', 0.6, gloss=0.3), float(np.sign(edge))
    for z in np.linspace(0.5, 0.95, int(r.integers(1, 4))) * bore.wall:
        x = side * (bore.width / 2 - 0.2)
        b.box((x, 0, z), (0.32, length + 0.1, 0.02), steel)
        for k in range(int(r.integers(0, 4))):
            b.rod(
                (x - 0.1 + 0.07 * k, -length / 2, z + 0.03),
                (x - 0.1 + 0.07 * k, length / 2, z + 0.03),
                0.022,
                f.hard(b),
            )
        b.box((x + side * 0.05, 0, z - 0.1), (0.25, 0.04, 0.2), steel)
    for _ in range(int(r.integers(0, 4))):
        with b.at(
            -side * bore.width / 2, r.uniform(-0.45, 0.45) * length, 0, 0.0 if side > 0 else np.pi
        ):
            kind = int(r.integers(0, 4))
            if kind == 0:
                door(b, 0.85, min(2.0, bore.wall))
            elif kind == 1:
                f.cupboard(b, r.uniform(0.4, 1), 0.25, r.uniform(0.8, 1.7))
            elif kind == 2:
                b.rod((0.2, 0, 0), (0.2, 0, 1.0), 0.06, f.hard(b))
                b.ellipsoid((0.2, 0, 1.05), (0.12, 0.35, 0.35), f.hard(b).painted(vivid(r)))
            else:
                with b.at(0, 0, 1.4):
                    picture_on_wall(b)


def _platform(b: SceneBuilder, bore: Bore, length: float, edge: float) -> None:
    """Add a raised platform with columns and benches beside a track, at times with a train."""
    r = b.rng
    side = float(np.sign(edge))
    wide = bore.width / 2 - side * edge
    x = -side * (bore.width / 2 - wide / 2)
    top = Material(f.pick(b, 'tiles', 'speckles', 'plaster'), 1.5, gloss=0.4)
    b.box((x, 0, 0.3), (wide, length + 0.1, 0.62), top)
    lip = x + side * (wide / 2 - 0.35)
    b.box(
        (lip, 0, 0.613), (0.3, length + 0.1, 0.01), Material('dots', 0.3).painted((1, 0.85, 0.2))
    )
    for gauge in (0.3, 1.75):
        b.box(
            (edge + side * gauge, 0, 0.08),
            (0.07, length + 0.1, 0.15),
            Material('metal', 0.5, gloss=0.6),
        )
    for y in np.arange(-length / 2, length / 2, 0.7):
        b.box((edge + side * 1.0, y, 0.02), (2.2, 0.22, 0.08), Material('planks', 0.6))
    with b.at(x, r.uniform(-0.3, 0.3) * length, 0.61):
        kind = int(r.integers(0, 4))
        if kind == 0:
            b.rod((0, 0, 0), (0, 0, bore.height), r.uniform(0.12, 0.3), f.hard(b))
        elif kind == 1:
            b.box((0, 0, 0.44), (0.45, 1.6, 0.06), f.hard(b))
            b.box((0, 0, 0.2), (0.2, 1.2, 0.4), f.hard(b))
        elif kind == 2:
            b.box((0, 0, bore.height - 1.6), (2.0, 0.1, 0.4), Material('screen', None, glow=0.6))
            b.rod((0, 0, bore.height - 1.4), (0, 0, bore.height), 0.02, f.hard(b))
    with b.at(side * bore.width / 2, 0, 1.9, np.pi if side > 0 else 0.0):
        picture_on_wall(b)


def _cellar(b: SceneBuilder, bore: Bore, length: float, edge: float) -> None:
    """Add ribs and piers, barrels, crates and shelves."""
    r = b.rng
    pier = Material(f.pick(b, 'bricks', 'stones', 'plaster'), 1.0, wear=0.8)
    for side in (-1, 1):
        b.box(
            (side * (bore.width / 2 - 0.15), -length / 2, bore.wall / 2),
            (0.4, 0.5, bore.wall),
            pier,
        )
    for _ in range(int(r.integers(1, 5))):
        side = r.choice([-1, 1])
        with b.at(
            side * (bore.width / 2 - 0.05),
            r.uniform(-0.4, 0.4) * length,
            0,
            0.0 if side < 0 else np.pi,
        ):
            kind = int(r.integers(0, 4))
            if kind == 0:
                f.shelf(b, r.uniform(0.8, 1.8), min(bore.wall, 1.8))
            elif kind == 1:
                b.rod((0.4, -0.45, 0.35), (0.4, 0.45, 0.35), 0.35, Material('planks', 0.5))
            elif kind == 2:
                size = r.uniform(0.3, 0.8)
                b.box((0.45, 0, size / 2), (size, size, size), Material('planks', 0.6))
            else:
                b.rod((0.4, 0, 0), (0.4, 0, 0.9), 0.3, f.wooden(b))
