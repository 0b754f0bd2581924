# SPDX-License-Identifier: Apache-2.0
"""Open roads of the training set: bends between verges, tree lines, barriers and traffic."""

from __future__ import annotations

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.nature import bush, hill, tree
from videodepth_ros.synthetic.open_air import building, daylight
from videodepth_ros.synthetic.people import car
from videodepth_ros.synthetic.scene import Material, Motion, Scene, SceneBuilder

PIECE_M = 8.0
CAR_CAMERA_M = 1.1, 1.7
"""Heights of cameras behind windscreens and on roofs."""


def road(b: SceneBuilder) -> Stage:
    """Build a country road, track or motorway that bends, seen by a car or robot on it."""
    scene, half = _road(b)
    zone = Zone(
        (-6, -half * 0.6, 0.4),
        (20, half * 0.6, 1.9),
        (-0.25, 0.25),
        (-0.15, 0.06),
        (2, 16),
        (Carrier.WHEELS, Carrier.WHEELS, Carrier.WHEELS, Carrier.FLIGHT),
        (0.55, 1.3),
    )
    return scene, zone


def drive(b: SceneBuilder) -> Stage:
    """Build such a road, seen by the camera of a car in its lane: the height teaches metres."""
    scene, half = _road(b)
    low_m, high_m = CAR_CAMERA_M
    zone = Zone(
        (-6, -half * 0.5, low_m),
        (60, half * 0.5, high_m),
        (-0.12, 0.12),
        (-0.1, 0.03),
        (4, 25),
        (Carrier.WHEELS,),
        (0.5, 1.3),
    )
    return scene, zone


def _road(b: SceneBuilder) -> tuple[Scene, float]:
    """Build the scene; return it with half the width of the road in metres."""
    r = b.rng
    half, bend = r.uniform(2.5, 8), r.normal(0, 0.006)
    b.box(
        (0, 0, -0.6),
        (2000, 2000, 1.0),
        Material(f.pick(b, 'grass', 'grass', 'gravel', 'plaster'), r.uniform(2, 6)),
    )
    surface = Material(f.pick(b, 'asphalt', 'asphalt', 'plaster', 'gravel'), r.uniform(2, 4))
    tile = b.atlas.pick(surface.texture, r)
    edge = _edge(b)
    verge = Material(f.pick(b, 'grass', 'gravel', 'leaves', 'plaster'), 2.5)
    dash = Material('plain', wear=0.8).painted((0.9, 0.9, 0.88))
    lined, fenced, margin = r.random() < 0.7, r.random(2) < 0.35, r.uniform(1, 5)
    heading, x, y = 0.0, -20.0, 0.0
    for k in range(26):
        with b.at(x, y, 0, heading):
            b.box((0, 0, -0.12), (PIECE_M + 0.6, half * 2, 0.2), surface, tile=tile)
            for n, side in enumerate((-1, 1)):
                b.box((0, side * (half + margin / 2), -0.14), (PIECE_M + 0.5, margin, 0.2), verge)
                if lined:
                    b.box((0, side * (half - 0.15), -0.02), (PIECE_M + 0.4, 0.15, 0.012), edge)
                if fenced[n]:
                    _barrier(b, side * (half + margin * 0.7))
            if lined:
                b.box((0, 0, -0.02), (PIECE_M * 0.4, 0.13, 0.012), dash)
            if k > 2:
                _beside(b, half + margin)
        x, y = x + PIECE_M * np.cos(heading), y + PIECE_M * np.sin(heading)
        heading += bend * PIECE_M
    _horizon(b)
    _cars(b, half, bend)
    return b.build(daylight(b, 900), (-25, -25, -0.5), (55, 25, 10)), half


def _edge(b: SceneBuilder) -> Material:
    if b.rng.random() < 0.3:
        return Material('stripes', 2.0)
    return Material('plain', wear=0.8).painted((0.9, 0.9, 0.88))


def _barrier(b: SceneBuilder, y: float) -> None:
    metal = Material('metal', 1.0, gloss=0.3)
    b.box((0, y, 0.6), (PIECE_M + 0.3, 0.06, 0.3), metal)
    for x in (-PIECE_M / 4, PIECE_M / 4):
        b.rod((x, y, -0.1), (x, y, 0.65), 0.05, metal)


def _beside(b: SceneBuilder, free: float) -> None:
    r = b.rng
    for side in (-1, 1):
        with b.at(r.uniform(-3, 3), side * (free + r.exponential(6)), -0.1, -side * np.pi / 2):
            kind = r.random()
            if kind < 0.35:
                tree(b, r.uniform(3, 12))
            elif kind < 0.5:
                bush(b, r.uniform(0.6, 2.5))
            elif kind < 0.57:
                building(b, r.uniform(7, 16), 9, r.uniform(3.5, 9))
            elif kind < 0.7:
                b.rod((0, 0, 0), (0, 0, 6.5), 0.1, f.hard(b), taper=0.7)
            elif kind < 0.78:
                wide = r.uniform(2, 9)
                b.box((0, 0, 2.2), (0.2, wide, 2.2), Material('picture', None))
                for y in (-wide * 0.4, wide * 0.4):
                    b.rod((0, y, 0), (0, y, 1.2), 0.07, f.hard(b))


def _horizon(b: SceneBuilder) -> None:
    """Add woods as ragged walls of leaves, and hills, far around."""
    r = b.rng
    leaf = Material('leaves', 7.0, cutout='leaf', cutout_scale_m=18.0)
    solid = Material('leaves', 9.0, wear=0.9)
    for _ in range(int(r.integers(4, 14))):
        angle, away = r.uniform(-np.pi, np.pi), r.uniform(40, 220)
        with b.at(away * np.cos(angle), away * np.sin(angle), 0, angle):
            tall, wide = r.uniform(5, 16), r.uniform(25, 90)
            b.box((3, 0, tall * 0.4), (4, wide, tall * 0.8), solid)
            for y in np.arange(-wide / 2, wide / 2, tall * 0.8):
                b.ellipsoid(
                    (0, y, tall * 0.6),
                    (6, tall * r.uniform(0.9, 1.4), tall * r.uniform(0.7, 1.1)),
                    leaf,
                )
    soil = Material(f.pick(b, 'grass', 'leaves'), 12.0)
    for _ in range(int(r.integers(0, 5))):
        hill(b, r.uniform(100, 400), soil)


def _cars(b: SceneBuilder, half: float, bend: float) -> None:
    r = b.rng
    for _ in range(int(r.integers(0, 5))):
        distance, lane, speed = r.uniform(8, 70), r.choice([-1, 1]), r.uniform(0, 18)
        away = bend * distance
        heading = away if lane < 0 else away + np.pi
        x = distance * float(np.sinc(away / 2 / np.pi)) * np.cos(away / 2) - 20
        y = distance * np.sin(away / 2) + lane * half * 0.45
        with b.moving(
            Motion(
                (float(x) + 20, float(y), -0.02),
                float(heading),
                speed,
                speed * bend * (1 if lane < 0 else -1),
            )
        ):
            car(b)
