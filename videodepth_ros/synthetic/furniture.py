# SPDX-License-Identifier: Apache-2.0
"""Furniture and household things, each built at the origin of the builder's frame, front to +x."""

from __future__ import annotations

import numpy as np

from videodepth_ros.synthetic.noise import muted, neutral, vivid, wood
from videodepth_ros.synthetic.scene import Material, SceneBuilder


def pick(b: SceneBuilder, *choices: str) -> str:
    """Return one of the names."""
    return choices[int(b.rng.integers(0, len(choices)))]


def wooden(b: SceneBuilder) -> Material:
    """Return wood, or a painted or plain board."""
    gloss = b.rng.uniform(0, 0.5)
    if b.rng.random() < 0.65:
        return Material('grain', b.rng.uniform(0.5, 1.5), gloss=gloss)
    return Material('plain', 1.0, gloss=gloss).painted(
        wood(b.rng) if b.rng.random() < 0.5 else neutral(b.rng, 0.1, 0.98)
    )


def cloth(b: SceneBuilder) -> Material:
    """Return upholstery."""
    kind = pick(b, 'carpet', 'plaid', 'stripes', 'dots', 'plain', 'plain')
    material = Material(kind, b.rng.uniform(0.2, 0.6))
    return material.painted(muted(b.rng)) if kind == 'plain' else material


def hard(b: SceneBuilder) -> Material:
    """Return plastic, metal or lacquer in any colour."""
    kind = pick(b, 'plain', 'plain', 'metal', 'speckles')
    colour = vivid(b.rng) if b.rng.random() < 0.4 else neutral(b.rng, 0.03, 0.98)
    return Material(kind, 0.6, gloss=b.rng.uniform(0.1, 0.9), wear=0.2).painted(colour)


def legs(b: SceneBuilder, width: float, depth: float, height: float, material: Material) -> None:
    """Add four legs under a plate of width (y) and depth (x)."""
    thick = b.rng.uniform(0.02, 0.07)
    round_legs = b.rng.random() < 0.5
    for x in (-depth / 2 + thick, depth / 2 - thick):
        for y in (-width / 2 + thick, width / 2 - thick):
            if round_legs:
                b.rod((x * 1.03, y * 1.03, 0), (x, y, height), thick / 2, material)
            else:
                b.box((x, y, height / 2), (thick, thick, height), material)


def table(b: SceneBuilder, width: float, depth: float, height: float, things: int = 4) -> None:
    """Add a table with a load of small things."""
    top, leg = wooden(b), wooden(b)
    thick = b.rng.uniform(0.02, 0.06)
    if b.rng.random() < 0.2:
        b.rod((0, 0, height - thick), (0, 0, height), min(width, depth) / 2, top)
        b.rod((0, 0, 0.03), (0, 0, height), 0.04, leg)
        b.rod((0, 0, 0), (0, 0, 0.03), min(width, depth) / 4, leg)
        width = depth = min(width, depth) * 0.65
    else:
        b.box((0, 0, height - thick / 2), (depth, width, thick), top)
        legs(b, width, depth, height - thick, leg)
    with b.at(0, 0, height):
        clutter(b, depth * 0.9, width * 0.9, things)


def chair(b: SceneBuilder) -> None:
    """Add a chair with a slatted, padded or open back."""
    frame = wooden(b) if b.rng.random() < 0.6 else hard(b)
    seat = cloth(b) if b.rng.random() < 0.5 else frame
    height, width = b.rng.uniform(0.42, 0.48), b.rng.uniform(0.38, 0.5)
    legs(b, width, width, height, frame)
    b.box((0, 0, height), (width, width, 0.05), seat)
    top = height + b.rng.uniform(0.35, 0.6)
    for y in (-width / 2 + 0.02, width / 2 - 0.02):
        b.rod((-width / 2, y, height), (-width / 2 - 0.05, y, top), 0.018, frame)
    if b.rng.random() < 0.5:
        count = int(b.rng.integers(2, 5))
        for k in range(count):
            z = top - 0.04 - k * (top - height - 0.1) / count
            b.box((-width / 2 - 0.04, 0, z), (0.02, width, b.rng.uniform(0.04, 0.09)), frame)
    else:
        b.box(
            (-width / 2 - 0.03, 0, (top + height + 0.1) / 2),
            (0.04, width, top - height - 0.1),
            seat,
            pitch=-0.1,
        )


def sofa(b: SceneBuilder, width: float) -> None:
    """Add a sofa or armchair with cushions."""
    cover = cloth(b)
    b.box((0, 0, 0.22), (0.85, width, 0.36), cover)
    b.box((-0.35, 0, 0.5), (0.2, width, 0.6), cover, pitch=-0.12)
    for side in (-1, 1):
        b.box((0, side * (width / 2 - 0.08), 0.36), (0.85, 0.17, 0.5), cover)
        b.rod(
            (-0.42, side * (width / 2 - 0.08), 0.61),
            (0.42, side * (width / 2 - 0.08), 0.61),
            0.1,
            cover,
        )
    seats = max(1, round(width / 0.75))
    for k in range(seats):
        y = (k - (seats - 1) / 2) * (width - 0.34) / seats
        b.ellipsoid((0.05, y, 0.43), (0.75, (width - 0.34) / seats * 1.15, 0.16), cover)
    if b.rng.random() < 0.7:
        b.ellipsoid(
            (-0.15, b.rng.uniform(-0.3, 0.3) * width, 0.62),
            (0.14, 0.45, 0.42),
            cloth(b),
            pitch=-0.4,
        )


def shelf(b: SceneBuilder, width: float, height: float) -> None:
    """Add an open shelf filled with books, boxes and ornaments; its back is at x = 0."""
    board, depth = wooden(b), b.rng.uniform(0.25, 0.4)
    for side in (-1, 1):
        b.box((depth / 2, side * width / 2, height / 2), (depth, 0.025, height), board)
    b.box((0.01, 0, height / 2), (0.02, width, height), board)
    count = max(2, round(height / b.rng.uniform(0.3, 0.45)))
    for k in range(count + 1):
        z = k * height / count
        b.box((depth / 2, 0, z), (depth, width, 0.025), board)
        if k == count:
            break
        room = height / count - 0.04
        if b.rng.random() < 0.65:
            length = b.rng.uniform(0.4, 0.95) * width
            b.box(
                (depth / 2 - 0.03, b.rng.uniform(-1, 1) * (width - length) / 2, z + room * 0.45),
                (depth * 0.7, length, room * 0.88),
                Material('books', None),
            )
        else:
            with b.at(depth / 2, 0, z + 0.012):
                clutter(b, depth * 0.7, width * 0.85, 3, room)


def cupboard(b: SceneBuilder, width: float, depth: float, height: float) -> None:
    """Add a closed cupboard with doors and handles; its back is at x = 0."""
    body = wooden(b) if b.rng.random() < 0.5 else hard(b)
    front = Material('panels', None).painted(neutral(b.rng)) if b.rng.random() < 0.35 else body
    b.box((depth / 2, 0, height / 2), (depth, width, height), body)
    handle = Material('metal', 0.4, gloss=0.7)
    doors = max(1, round(width / b.rng.uniform(0.4, 0.7)))
    rows = 1 if height < 1 and b.rng.random() < 0.6 else int(b.rng.integers(1, 4))
    for column in range(doors):
        for row in range(rows):
            w, h = width / doors, height / rows
            y, z = (column + 0.5) * w - width / 2, (row + 0.5) * h
            b.box((depth + 0.008, y, z), (0.018, w - 0.012, h - 0.012), front)
            b.box((depth + 0.03, y, z + h * 0.36), (0.02, w * 0.4, 0.015), handle)


def bed(b: SceneBuilder) -> None:
    """Add a bed with pillows; its head is at x = 0."""
    width, cover = b.rng.uniform(0.9, 1.8), cloth(b)
    b.box((1.0, 0, 0.2), (2.0, width, 0.25), wooden(b))
    b.box((1.0, 0, 0.42), (1.95, width * 0.97, 0.2), Material('plain').painted((0.9, 0.9, 0.9)))
    b.box((1.2, 0, 0.45), (1.55, width * 1.02, 0.22), cover)
    b.box((0, 0, 0.5), (0.06, width * 1.05, 1.0), wooden(b))
    for y in np.linspace(-width / 4, width / 4, 2):
        b.ellipsoid((0.25, y, 0.58), (0.4, width * 0.45, 0.2), cloth(b))


def plant(b: SceneBuilder, height: float) -> None:
    """Add a potted plant: crowns of cut-out leaves over a stem."""
    b.rod((0, 0, 0), (0, 0, height * 0.25), height * 0.1, hard(b), taper=1.3)
    b.rod((0, 0, height * 0.25), (0, 0, height * 0.6), 0.012, Material('bark', 0.3))
    leaf = Material(
        'leaves',
        b.rng.uniform(0.2, 0.6),
        cutout='leaf',
        cutout_scale_m=b.rng.uniform(0.25, 0.6) * height,
    )
    for _ in range(int(b.rng.integers(3, 7))):
        spot = b.rng.uniform((-0.2, -0.2, 0.45), (0.2, 0.2, 0.9)) * height
        b.ellipsoid(spot, b.rng.uniform(0.25, 0.6, 3) * height, leaf, yaw=b.rng.uniform(0, 3))


def lamp(b: SceneBuilder, height: float) -> None:
    """Add a standing or table lamp."""
    metal = hard(b)
    b.rod((0, 0, 0), (0, 0, 0.02), 0.14 * min(height, 1), metal)
    b.rod((0, 0, 0), (0, 0, height), 0.012, metal)
    shade = Material('plain', glow=float(b.rng.choice([0.0, 1.5])), wear=0)
    shade = shade.painted(neutral(b.rng, 0.7, 1))
    b.rod((0, 0, height - 0.12), (0, 0, height + 0.14), 0.17, shade, taper=0.65)


def television(b: SceneBuilder, width: float) -> None:
    """Add a flat screen on a wall; its back is at x = 0, its centre at the origin."""
    b.box(
        (0.04, 0, 0),
        (0.05, width, width * 0.58),
        Material('plain', gloss=0.6).painted(neutral(b.rng, 0.02, 0.15)),
    )
    glow = b.rng.choice([0.0, 0.0, 0.8])
    face = Material('screen', None, gloss=0.5, glow=float(glow), wear=0.0)
    if b.rng.random() < 0.3:
        face = Material('plain', gloss=0.9, wear=0).painted((0.05, 0.05, 0.06))
    b.box((0.067, 0, 0), (0.004, width * 0.95, width * 0.53), face)


def clutter(b: SceneBuilder, depth: float, width: float, count: int, tallest: float = 0.4) -> None:
    """Add small things standing on a plate at z = 0 of depth (x) by width (y)."""
    for _ in range(count):
        x, y = b.rng.uniform(-0.5, 0.5, 2) * (depth, width)
        with b.at(float(x), float(y), 0.0, b.rng.uniform(-np.pi, np.pi)):
            _thing(b, min(tallest, b.rng.uniform(0.05, 0.35)))


def _thing(b: SceneBuilder, height: float) -> None:
    kind = b.rng.integers(0, 8)
    wide = height * b.rng.uniform(0.3, 0.8)
    if kind == 0:  # bottle
        glass = hard(b)
        b.rod((0, 0, 0), (0, 0, height * 0.65), height * 0.14, glass)
        b.rod((0, 0, height * 0.65), (0, 0, height), height * 0.13, glass, taper=0.3)
    elif kind == 1:  # mug
        b.rod((0, 0, 0), (0, 0, 0.1), 0.042, hard(b), taper=1.1)
        b.ellipsoid((0.05, 0, 0.05), (0.05, 0.015, 0.07), hard(b))
    elif kind == 2:  # carton
        b.box(
            (0, 0, height / 2),
            (wide * 0.5, wide, height),
            Material(pick(b, 'picture', 'document', 'stripes'), None, gloss=0.2),
        )
    elif kind == 3:  # stack of books or papers
        _stack(b)
    elif kind == 4:  # ball, fruit, bowl
        size = b.rng.uniform(0.06, 0.22)
        b.ellipsoid((0, 0, size * 0.4), (size, size, size * 0.8), hard(b))
    elif kind == 5:  # vase with a bunch
        b.rod((0, 0, 0), (0, 0, height * 0.5), height * 0.15, hard(b), taper=0.7)
        b.ellipsoid(
            (0, 0, height * 0.9),
            (height, height, height * 0.8),
            Material('leaves', 0.3, cutout='leaf', cutout_scale_m=0.4).painted(vivid(b.rng)),
        )
    elif kind == 6:  # monitor or frame
        b.box(
            (0, 0, 0.2),
            (0.02, 0.4, 0.26),
            Material(pick(b, 'screen', 'landscape'), None, gloss=0.4),
            pitch=0.1,
        )
        b.box((-0.03, 0, 0.04), (0.1, 0.14, 0.08), hard(b))
    else:  # tin or box of one colour
        b.box((0, 0, height / 2), (wide, wide * b.rng.uniform(0.6, 1.5), height), hard(b))


def _stack(b: SceneBuilder) -> None:
    z = 0.0
    for _ in range(int(b.rng.integers(1, 5))):
        thick = b.rng.uniform(0.002, 0.045)
        b.box(
            (0, 0, z + thick / 2),
            (0.2, 0.28, thick),
            Material(pick(b, 'document', 'picture'), None),
            yaw=b.rng.normal(0, 0.3),
        )
        z += thick
