# SPDX-License-Identifier: Apache-2.0
"""Bars and trusses, and what is built of them: bridges, scaffolds, stands, climbing frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.noise import hsv, neutral, vivid
from videodepth_ros.synthetic.open_air import building
from videodepth_ros.synthetic.scene import Material, SceneBuilder, Shape


def steel_paint(b: SceneBuilder) -> Material:
    """Paint, zinc, rust, or timber."""
    r = b.rng
    kind = r.random()
    if kind < 0.15:
        return Material('grain', r.uniform(0.6, 2), wear=0.6)
    if kind < 0.4:
        return Material('plain', gloss=r.uniform(0.1, 0.7), wear=0.3).painted(vivid(r))
    if kind < 0.5:
        return Material('speckles', 1.0).painted(hsv(0.05, 0.6, r.uniform(0.3, 0.6)))
    return Material(
        f.pick(b, 'metal', 'plain'), r.uniform(0.5, 2), gloss=r.uniform(0, 0.7), wear=0.4
    ).painted(neutral(r, 0.05, 1.0))


def bar(
    b: SceneBuilder,
    start: Float64Array,
    end: Float64Array,
    thick: float,
    steel: Material,
    square: bool,
) -> None:
    """Add a round or square bar from start to end (3,), metres."""
    if np.linalg.norm(end - start) < 1e-3:
        return
    if not square:
        b.rod(start, end, thick / 2, steel)
        return
    axis = (end - start) / 2
    across = np.cross(axis, [0.0, 0.0, 1.0])
    across = across if np.linalg.norm(across) > 1e-9 else np.array([1.0, 0.0, 0.0])
    other = np.cross(axis, across)
    pose = np.eye(4)
    pose[:3] = np.column_stack(
        [
            across / np.linalg.norm(across) * thick / 2,
            other / np.linalg.norm(other) * thick / 2,
            axis,
            (start + end) / 2,
        ]
    )
    b.solid(Shape.BOX, pose, steel)


def laced(
    b: SceneBuilder, rings: Float64Array, thick: float, steel: Material, web: str = 'zig'
) -> None:
    """Add chords through corners of rings (K, M, 3), and a web of half their thickness.

    web  'zig' one diagonal a field, 'cross' two, 'ladder' none
    """
    square = b.rng.random() < 0.5
    bays, corners = len(rings) - 1, rings.shape[1]
    thin = thick * b.rng.uniform(0.35, 0.8)
    for m in range(corners):
        chord = rings[:, m]
        ways = np.diff(chord, axis=0)
        bent = np.linalg.norm(np.cross(ways, chord[-1] - chord[0]), axis=1).max()
        stops = range(bays + 1) if bent > 1e-3 else (0, bays)
        for k, after in pairwise(stops):
            bar(b, chord[k], chord[after], thick, steel, square)
    sides = corners if corners > 2 else 1
    for k in range(bays + 1):
        for m in range(sides):
            n = (m + 1) % corners
            bar(b, rings[k, m], rings[k, n], thin, steel, square)
            if k < bays and web != 'ladder':
                a, c = (m, n) if (k + m) % 2 else (n, m)
                bar(b, rings[k, a], rings[k + 1, c], thin, steel, square)
                if web == 'cross':
                    bar(b, rings[k, c], rings[k + 1, a], thin, steel, square)


def level_square(centre: Float64Array, wide: float, deep: float) -> Float64Array:
    """Return four corners (4, 3) of a level rectangle."""
    return (
        centre
        + np.array([[-wide, -deep, 0], [wide, -deep, 0], [wide, deep, 0], [-wide, deep, 0]]) / 2
    )


def mast(
    b: SceneBuilder, high: float, foot: float, head: float, thick: float, steel: Material
) -> None:
    """Add a laced tower on the origin whose sides are straight or bend inwards."""
    r = b.rng
    bays = int(r.integers(4, 11))
    waist = r.choice([1.0, r.uniform(1.2, 2.5)])
    rise = np.linspace(0, 1, bays + 1) ** r.uniform(0.75, 1.0)
    sides = head + (foot - head) * (1 - rise) ** waist
    laced(
        b,
        np.stack(
            [
                level_square(np.array([0, 0, z * high]), s, s)
                for z, s in zip(rise, sides, strict=True)
            ]
        ),
        thick,
        steel,
        f.pick(b, 'zig', 'zig', 'cross'),
    )


def bridge(b: SceneBuilder) -> tuple[float, float]:
    """Return a girder or arch bridge; the camera stands on it or beneath."""
    r = b.rng
    steel, long, wide = steel_paint(b), r.uniform(16, 50), r.uniform(3, 9)
    tall, deck = r.uniform(2.5, 7), r.choice([0.0, r.uniform(3, 10)])
    arch = r.choice([0.0, r.uniform(0.3, 1.0)])
    x = np.linspace(-long / 2, long / 2, int(r.integers(7, 15)))
    crown = tall * (1 - arch * (2 * x / long) ** 2)
    thick = r.uniform(0.15, 0.5)
    b.box(
        (0, 0, deck - 0.15),
        (long, wide, 0.3),
        Material(f.pick(b, 'asphalt', 'planks', 'plaster'), 2.0),
    )
    for y in (-wide / 2, wide / 2):
        laced(
            b,
            np.stack(
                [
                    np.stack([x, 0 * x + y, 0 * x + deck], axis=1),
                    np.stack([x, 0 * x + y, deck + crown], axis=1),
                ],
                axis=1,
            ),
            thick,
            steel,
            f.pick(b, 'zig', 'cross'),
        )
    for k in range(1, len(x) - 1):
        if tall > 3:
            b.box((x[k], 0, deck + crown[k]), (0.6 * thick, wide, 0.6 * thick), steel)
        b.box((x[k], 0, deck - 0.5), (0.2, wide, 0.5), steel)
    for end in (-1, 1) if deck else ():
        b.box((end * long / 2, 0, deck / 2), (1.5, wide, deck), Material('stones', 2.0))
    return deck + tall, max(wide, 0.35 * long)


def scaffolds(b: SceneBuilder) -> tuple[float, float]:
    """Return scaffolds, one perhaps before a house."""
    r = b.rng
    high, long = r.uniform(4, 14), r.uniform(5, 16)
    if r.random() < 0.6:
        with b.at(-1.2, 0):
            building(b, long, 8, high * r.uniform(0.5, 1))
    scaffold(b, long, high)
    if r.random() < 0.5:
        with b.at(r.uniform(4, 9), r.normal(0, 4), 0, r.uniform(0, 6)):
            scaffold(b, r.uniform(2, 6), r.uniform(2, 6))
    return high, r.uniform(0.5, 1.2) * max(high, 0.5 * long)


def scaffold(b: SceneBuilder, long: float, high: float) -> None:
    """Add standards, ledgers, planks and braces along y."""
    r = b.rng
    steel, board = steel_paint(b), f.wooden(b)
    deep, lift, radius = r.uniform(0.7, 1.3), r.uniform(1.7, 2.2), r.uniform(0.022, 0.045)
    posts, levels = (
        np.linspace(-long / 2, long / 2, 2 + int(long / 2.4)),
        np.arange(lift, high, lift),
    )
    for x in (0.0, deep):
        for y in posts:
            b.rod((x, y, 0), (x, y, high), radius, steel)
        for z in levels:
            b.rod((x, -long / 2, z), (x, long / 2, z), radius, steel)
            b.rod((x, -long / 2, z + 1), (x, long / 2, z + 1), 0.8 * radius, steel)
    for k, z in enumerate(levels):
        if r.random() < 0.8:
            b.box((deep / 2, 0, z + 0.04), (deep * 0.9, long, 0.05), board)
        for y, after in pairwise(posts):
            if r.random() < 0.4:
                ends = (y, after) if k % 2 else (after, y)
                b.rod((deep, ends[0], z - lift), (deep, ends[1], z), radius, steel)


def stand(b: SceneBuilder) -> tuple[float, float]:
    """Return a grandstand: steps of seats on frames, under a laced roof."""
    r = b.rng
    steel, long, rows = steel_paint(b), r.uniform(8, 22), int(r.integers(5, 12))
    run, rise = r.uniform(0.7, 1.0), r.uniform(0.35, 0.55)
    seat = Material('plain', wear=0.4).painted(vivid(r))
    for k in range(rows):
        x, z = -k * run, 0.4 + k * rise
        b.box((x, 0, z), (run, long, 0.08), f.wooden(b))
        b.box((x - 0.2, 0, z + 0.42), (0.4, long, 0.05), seat)
    deep, high = rows * run, 0.4 + rows * rise
    for y in np.linspace(-long / 2, long / 2, int(r.integers(3, 7))):
        rings = np.stack(
            [
                np.array([[-u * deep, y, 0.0], [-u * deep, y, 0.2 + u * (high - 0.4)]])
                for u in np.linspace(0, 1, 5)
            ]
        )
        laced(b, rings, r.uniform(0.06, 0.15), steel)
        if r.random() < 0.85:
            rings = np.stack(
                [
                    np.array([[-u * deep, y, high + 2.6], [-u * deep, y, high + 3.6 - u]])
                    for u in np.linspace(0, 1, 6)
                ]
            )
            laced(b, rings, 0.1, steel)
            b.rod((-deep, y, 0), (-deep, y, high + 2.8), 0.12, steel)
    if r.random() < 0.7:
        b.box(
            (-deep / 2, 0, high + 3.4),
            (deep + 1, long, 0.06),
            Material('metal', 1.5),
            pitch=-float(np.arctan(1 / deep)),
        )
    return high + 3.5, r.uniform(0.6, 1.2) * deep + 2


def climbing_frames(b: SceneBuilder) -> tuple[float, float]:
    """Add frames of a playground: cubes, a dome, a rope pyramid, a bridge, swings."""
    r = b.rng
    reach = r.uniform(2.5, 6)
    for k in range(int(r.integers(1, 5))):
        x, y = r.uniform(-0.6, 0.6, 2) * reach * (k > 0)
        with b.at(float(x), float(y), 0, r.uniform(0, 3)):
            (_cubes, _dome, _pyramid, _ladders)[int(r.integers(0, 4))](b)
    return 2.6, reach


def _cubes(b: SceneBuilder) -> None:
    r, steel = b.rng, steel_paint(b)
    counts, side, radius = r.integers((1, 1, 2), (4, 4, 6)), r.uniform(0.45, 0.8), 0.02
    size = counts * side
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        for u in range(counts[i] + 1):
            for v in range(counts[j] + 1):
                start = np.zeros(3)
                start[i], start[j] = u * side, v * side
                end = start.copy()
                end[axis] = size[axis]
                b.rod(start, end, radius, steel)


def _dome(b: SceneBuilder) -> None:
    r, steel = b.rng, steel_paint(b)
    radius, count, rows = r.uniform(1.2, 2.4), int(r.integers(6, 11)), int(r.integers(3, 5))
    heights = np.linspace(0, np.pi / 2, rows + 1)[:-1]
    ring = [
        np.array(
            [
                [np.cos(a) * np.cos(h), np.sin(a) * np.cos(h), np.sin(h)]
                for a in (np.arange(count) + 0.5 * k) * 2 * np.pi / count
            ]
        )
        * radius
        for k, h in enumerate(heights)
    ]
    for k in range(rows):
        for m in range(count):
            bar(b, ring[k][m], ring[k][(m + 1) % count], 0.045, steel, False)
            for n in (m, m - 1 if k % 2 == 0 else (m + 1) % count):
                above = ring[k + 1][n] if k + 1 < rows else np.array([0, 0, radius])
                bar(b, ring[k][m], above, 0.045, steel, False)


def _pyramid(b: SceneBuilder) -> None:
    """Add a net of ropes round a pole."""
    r, rope = b.rng, Material('plain', wear=0.2).painted(vivid(b.rng))
    high, wide, thick = r.uniform(2.5, 5), r.uniform(1.5, 3), r.uniform(0.015, 0.03)
    b.rod((0, 0, 0), (0, 0, high), 0.06, steel_paint(b))
    feet = [np.array([np.cos(a), np.sin(a), 0]) * wide for a in np.arange(6) * np.pi / 3]
    top = np.array([0, 0, high])
    for k, foot in enumerate(feet):
        bar(b, foot, top, 1.6 * thick, rope, False)
        for u in np.linspace(0.05, 0.9, int(r.integers(4, 8))):
            bar(
                b,
                foot + u * (top - foot),
                feet[k - 1] + u * (top - feet[k - 1]),
                thick,
                rope,
                False,
            )


def _ladders(b: SceneBuilder) -> None:
    """Add monkey bars, and swings beside them."""
    r, steel = b.rng, steel_paint(b)
    long, high, wide = r.uniform(2, 4), r.uniform(1.8, 2.4), r.uniform(0.7, 1.2)
    x = np.linspace(0, long, int(r.integers(7, 13)))
    laced(
        b,
        np.stack(
            [np.stack([x, 0 * x + s * wide / 2, 0 * x + high], axis=1) for s in (-1, 1)], axis=1
        ),
        0.06,
        steel,
        'ladder',
    )
    z = np.linspace(0, high, int(r.integers(5, 9)))
    for end in (0.0, long):
        laced(
            b,
            np.stack(
                [np.stack([0 * z + end, 0 * z + s * wide / 2, z], axis=1) for s in (-1, 1)], axis=1
            ),
            0.06,
            steel,
            'ladder',
        )
    for y in np.arange(1, 1 + int(r.integers(0, 3))):
        b.rod((0, 0, high), (0, 1.5 * y, high), 0.04, steel)
        b.box((0, 1.5 * y - 0.5, 0.45), (0.2, 0.45, 0.04), f.wooden(b))
        for s in (-0.2, 0.2):
            b.rod((0, 1.5 * y - 0.5 + s, 0.45), (0, 1.5 * y - 0.5 + s, high), 0.012, steel)
