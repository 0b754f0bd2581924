# SPDX-License-Identifier: Apache-2.0
"""People of any size and dress, who stand, sit or walk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.synthetic.furniture import cloth, hard, pick
from videodepth_ros.synthetic.noise import hsv, muted, neutral, vivid
from videodepth_ros.synthetic.scene import Material, Motion, SceneBuilder


@dataclass(frozen=True)
class Body:
    """A person's size and clothes: height in metres, girth 1 for the mean, kind of hair and dress.

    hair  'short', 'long', 'bun', 'bald', 'cap' or 'hood'; dress  'trousers', 'shorts', 'skirt' or
    'coat'
    """

    tall_m: float
    girth: float
    hair: str
    dress: str
    skin: Material
    top: Material
    bottom: Material
    shoe: Material
    head: Material


def random_body(b: SceneBuilder) -> Body:
    """Draw a grown-up, or now and then a child."""
    r = b.rng
    tall = r.uniform(1.0, 1.5) if r.random() < 0.12 else float(np.clip(r.normal(1.7, 0.1), 1.5, 2))
    skin = Material('plain', wear=0.15).painted(
        hsv(r.uniform(0.03, 0.08), r.uniform(0.25, 0.6), r.uniform(0.25, 0.95))
    )
    hair = pick(b, 'short', 'short', 'short', 'long', 'long', 'bun', 'bald', 'cap', 'hood')
    top, bottom = (
        Material('plain', 0.5, wear=0.4).painted(
            (muted, vivid, neutral)[int(r.choice(3, p=[0.5, 0.2, 0.3]))](r) * shade
        )
        if r.random() < 0.6
        else cloth(b)
        for shade in (1.0, 0.7)
    )
    colour = (
        muted(r)
        if hair in ('cap', 'hood')
        else hsv(r.uniform(0.04, 0.12), r.uniform(0, 0.65), r.uniform(0.03, 0.8) ** 1.5)
    )
    return Body(
        tall,
        float(np.clip(r.normal(1.05, 0.18), 0.78, 1.6)),
        hair,
        pick(b, 'trousers', 'trousers', 'trousers', 'shorts', 'skirt', 'coat'),
        skin,
        top,
        bottom,
        hard(b),
        Material('carpet', 0.25).painted(colour),
    )


def standing_person(b: SceneBuilder, body: Body) -> None:
    """Add a person who stands at the origin of the current frame and looks along +x."""
    r, tall = b.rng, body.tall_m
    with b.matched():
        hip = np.array([0.0, 0.0, 0.51 * tall])
        shoulders = _trunk(b, body, hip, r.normal(0, 0.06) + 0.02)
        wide = r.uniform(0.045, 0.1)
        for side in (-1, 1):
            ankle = np.array([r.normal(0, 0.04), side * wide * tall, 0.04 * tall])
            _leg(
                b,
                body,
                hip + _xyz(0, side * 0.05 * tall, 0),
                (hip + ankle) / 2 + _xyz(0.02, 0, 0),
                ankle,
            )
            _arm(b, body, shoulders, side, pick(b, 'down', 'down', 'down', 'front', 'up'))


def seated_person(b: SceneBuilder, body: Body, seat_m: float = 0.45) -> None:
    """Add a person who sits at the origin of the current frame, on a seat, and looks along +x."""
    r, tall = b.rng, body.tall_m
    with b.matched():
        hip = np.array([-0.06, 0.0, seat_m + 0.06 * tall])
        shoulders = _trunk(b, body, hip, r.normal(0.1, 0.14))
        wide, stretch = r.uniform(0.05, 0.11), r.uniform(-0.06, 0.14)
        for side in (-1, 1):
            knee = np.array([0.23 * tall, side * wide * tall, seat_m + 0.06 * tall])
            ankle = np.array([(0.23 + stretch) * tall, side * wide * tall, 0.045 * tall])
            _leg(b, body, hip + _xyz(0, side * 0.05 * tall, 0), knee, ankle)
            _arm(b, body, shoulders, side, pick(b, 'front', 'front', 'front', 'up', 'lap'))


def striding_person(
    b: SceneBuilder, body: Body, position: tuple[float, float], heading: float, speed: float
) -> None:
    """Add a person who walks from a position (x, y) along the heading, arms and legs swinging."""
    r, tall = b.rng, body.tall_m
    start, turn, phase = (position[0], position[1], 0.0), r.normal(0, 0.25), r.uniform(0, 6.28)

    def part(pivot: float, swing: float, shift: float) -> Motion:
        return Motion(
            start, heading, speed, turn, (0, 0, pivot * tall), swing, 0.9 * speed, phase + shift
        )

    with b.matched():
        hip = np.array([0.0, 0.0, 0.51 * tall])
        with b.moving(part(0, 0, 0)):
            shoulders = _trunk(b, body, hip, r.normal(0.05, 0.03))
        carries = r.random() < 0.2
        for side in (-1, 1):
            with b.moving(part(0.51, 0.45, side * np.pi / 2)):
                ankle = np.array([0, side * 0.05 * tall, 0.04 * tall])
                _leg(
                    b,
                    body,
                    hip + _xyz(0, side * 0.05 * tall, 0),
                    (hip + ankle) / 2 + _xyz(0.02, 0, 0),
                    ankle,
                )
            with b.moving(part(0.8, 0.0 if carries else 0.35, -side * np.pi / 2)):
                _arm(b, body, shoulders, side, 'front' if carries else 'down')


def _xyz(x: float, y: float, z: float) -> Float64Array:
    return np.array([x, y, z])


def _trunk(b: SceneBuilder, body: Body, hip: Float64Array, lean: float) -> Float64Array:
    """Return pelvis, chest, neck and head on the hip's middle (3,); return the shoulders'."""
    r, tall, girth = b.rng, body.tall_m, body.girth
    lean = lean if abs(lean) > 0.01 else 0.01
    up = np.array([np.sin(lean), 0, np.cos(lean)])
    waist, neck = hip + 0.03 * tall * up, hip + 0.31 * tall * up
    wide = 0.095 * tall * girth
    b.ellipsoid(hip, np.array([0.13, 0.195, 0.15]) * tall * girth, body.bottom, pitch=lean)
    b.rod(waist, neck - 0.045 * tall * up, wide, body.top, 1.16 / girth**0.4, 0.6)
    b.ellipsoid(
        neck - 0.04 * tall * up,
        np.array([0.135, 0.245, 0.11]) * tall * girth**0.5,
        body.top,
        pitch=lean,
    )
    if girth > 1.15:
        b.ellipsoid(
            waist + 0.06 * tall * up + _xyz(0.02, 0, 0),
            np.array([0.155, 0.19, 0.21]) * tall * girth,
            body.top,
            pitch=lean,
        )
    b.rod(neck, neck + 0.07 * tall * up, 0.031 * tall, body.skin)
    head = neck + 0.118 * tall * up + _xyz(0.012 * tall, 0, 0)
    yaw = r.normal(0, 0.5)
    with b.at(head[0], head[1], head[2], yaw):
        _head(b, body)
    if r.random() < 0.15:
        b.ellipsoid(
            hip + 0.2 * tall * up - _xyz(0.13 * tall, 0, 0),
            np.array([0.12, 0.19, 0.26]) * tall,
            cloth(b),
            pitch=lean,
        )
    return neck - 0.035 * tall * up


def _head(b: SceneBuilder, body: Body) -> None:
    """Add a head about the origin of the current frame, its face to +x."""
    s = 0.13 * body.tall_m**0.5 * 1.75**0.5
    b.ellipsoid((0, 0, 0), np.array([0.84, 0.68, 1.0]) * s, body.skin)
    b.ellipsoid((0.41 * s, 0, -0.05 * s), np.array([0.16, 0.13, 0.25]) * s, body.skin)
    dark = Material('plain').painted((0.1, 0.08, 0.07))
    for side in (-1, 1):
        b.ellipsoid((0.36 * s, side * 0.15 * s, 0.08 * s), np.array([0.1, 0.14, 0.07]) * s, dark)
    if body.hair == 'bald':
        return
    b.ellipsoid((-0.08 * s, 0, 0.13 * s), np.array([0.84, 0.76, 0.86]) * s, body.head)
    if body.hair == 'long':
        b.ellipsoid((-0.2 * s, 0, -0.22 * s), np.array([0.55, 0.84, 1.35]) * s, body.head)
    elif body.hair == 'bun':
        b.ellipsoid((-0.42 * s, 0, 0.35 * s), np.array([0.4, 0.4, 0.4]) * s, body.head)
    elif body.hair == 'cap':
        b.ellipsoid((0.36 * s, 0, 0.26 * s), np.array([0.6, 0.6, 0.1]) * s, body.head)
    elif body.hair == 'hood':
        b.ellipsoid((-0.14 * s, 0, -0.05 * s), np.array([0.95, 0.92, 1.25]) * s, body.head)


def _leg(
    b: SceneBuilder, body: Body, hip: Float64Array, knee: Float64Array, ankle: Float64Array
) -> None:
    """Add a leg through three joints (3,) with a shoe that points along +x."""
    tall, thick = body.tall_m, 0.046 * body.tall_m * body.girth**0.7
    shin = body.skin if body.dress in ('shorts', 'skirt') else body.bottom
    b.rod(hip, knee, thick * 1.15, body.bottom, 0.68)
    b.ellipsoid(knee, np.full(3, 1.66 * thick), body.bottom)
    b.rod(knee, ankle, thick * 0.74, shin, 0.62)
    b.ellipsoid(
        ankle + _xyz(0.045 * tall, 0, -0.012 * tall),
        np.array([0.145, 0.056, 0.055]) * tall,
        body.shoe,
    )
    if body.dress in ('skirt', 'coat'):
        b.rod(
            hip + _xyz(0, 0, 0.02),
            hip + 0.85 * (knee - hip),
            0.075 * tall * body.girth,
            body.bottom if body.dress == 'skirt' else body.top,
            1.15,
        )


def _arm(b: SceneBuilder, body: Body, shoulders: Float64Array, side: int, how: str) -> None:
    """Add an arm that hangs ('down'), reaches to the 'front', rests in the 'lap' or bends 'up'."""
    r, tall = b.rng, body.tall_m
    shoulder = shoulders + _xyz(0, side * 0.118 * tall * body.girth**0.5, 0)
    out = side * r.uniform(0.01, 0.05) * tall
    elbow = shoulder + _xyz(
        (r.uniform(0.03, 0.09) if how != 'down' else 0.0) * tall, out, -0.165 * tall
    )
    reach = {
        'down': (0.02, 0.1 * out / tall, -0.15),
        'lap': (0.11, -1.5 * out / tall, -0.1),
        'front': (0.15, -side * r.uniform(0, 0.08), r.uniform(-0.03, 0.05)),
        'up': (0.06, -1.2 * out / tall, 0.14),
    }[how]
    hand, thick = elbow + np.array(reach) * tall, 0.03 * tall * body.girth**0.5
    b.rod(shoulder, elbow, thick * 1.1, body.top, 0.8)
    b.ellipsoid(elbow, np.full(3, 1.85 * thick), body.top)
    b.rod(elbow, hand, thick * 0.88, body.skin if body.dress == 'shorts' else body.top, 0.7)
    b.ellipsoid(hand + 0.25 * (hand - elbow), np.array([0.055, 0.045, 0.06]) * tall, body.skin)
    if how in ('front', 'up') and r.random() < 0.3:
        b.box(
            hand + _xyz(0.05, -side * 0.01, 0.04),
            r.uniform((0.01, 0.05, 0.06), (0.09, 0.12, 0.16)),
            Material(pick(b, 'plain', 'screen', 'document'), None).painted(neutral(r, 0.05, 1)),
        )
