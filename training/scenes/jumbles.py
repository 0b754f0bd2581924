# SPDX-License-Identifier: Apache-2.0
"""Domain randomisation (Tobin et al. 2017): solids of any size anywhere, under any texture."""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.atlas import MASKS
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.noise import muted, neutral, vivid
from videodepth_ros.synthetic.open_air import daylight
from videodepth_ros.synthetic.scene import Lamp, Lights, Material, Motion, SceneBuilder

SIZES_M = (1.0, 40.0)  # half the side of a scene: a table-top to a yard
DECADES = 2.0  # between the smallest solid and the largest


def jumble(b: SceneBuilder) -> Stage:
    """Build solids that lie, stand or float: in the void, on ground, by a wall or in a box."""
    r = b.rng
    size = float(np.exp(r.uniform(*np.log(SIZES_M))))
    palette = [_material(b, size) for _ in range(int(r.integers(3, 30)))]
    setting = f.pick(b, 'void', 'slab', 'ground', 'ground', 'wall', 'room', 'room')
    height = size * r.uniform(0.5, 1.2)
    _surround(b, setting, size, height, palette)
    resting = 0.0 if setting == 'void' else r.choice([0.3, 0.7, 1.0])
    for _ in range(int(r.integers(30, 110))):
        _put(b, size, height, palette, r.random() < resting)
    for _ in range(int(r.integers(0, 3))):
        _row(b, size, palette)
    for _ in range(int(r.integers(0, 4))):
        x, y = r.uniform(-0.6, 0.6, 2) * size
        start = (float(x), float(y), r.uniform(0.05, 0.5) * height)
        with b.moving(
            Motion(start, r.uniform(-np.pi, np.pi), size * r.uniform(0.02, 0.2), r.normal(0, 0.5))
        ):
            _solid(b, (0, 0, 0), _extent(b, 0.5 * size), palette)
    reach, low = 0.85 * size, -0.3 * height if setting == 'void' else 0.06 * height
    lights = _lamplight(b, size, height) if setting == 'room' else daylight(b, 1500 + 20 * size)
    zone = Zone(
        (-reach, -reach, low),
        (reach, reach, 0.85 * height),
        (-0.6, 0.6),
        (-0.5, 0.4),
        (0.03 * size, 0.25 * size),
        (Carrier.HAND, Carrier.FLIGHT, Carrier.FLIGHT),
        (0.5, 1.25),
        (0.0, 0.0, r.uniform(0.1, 0.5) * height),
    )
    return b.build(
        lights, (-1.1 * size, -1.1 * size, -0.1 * size), (1.1 * size, 1.1 * size, 1.1 * height)
    ), zone


def _material(b: SceneBuilder, size: float) -> Material:
    """Draw a material: any texture at any scale, sometimes with holes or glowing."""
    r = b.rng
    kind = f.pick(b, *(name for name, _, _ in b.atlas.kinds)) if r.random() < 0.75 else 'plain'
    scale = None if r.random() < 0.25 else size * float(np.exp(r.uniform(np.log(0.04), 0)))
    holes = f.pick(b, *MASKS) if r.random() < 0.1 else None
    material = Material(
        kind,
        scale,
        gloss=r.choice([0.0, r.uniform(0, 1)]),
        glow=r.choice([0.0, r.uniform(0.2, 1.5)], p=[0.96, 0.04]),
        wear=r.uniform(0, 1),
        cutout=holes,
        cutout_scale_m=size * r.uniform(0.05, 0.4),
    )
    if kind != 'plain' and r.random() < 0.5:
        return material
    return material.painted((muted, vivid, neutral)[int(r.integers(0, 3))](r))


def _extent(b: SceneBuilder, size: float) -> Float64Array:
    """Draw edge lengths (3,) over two decades: of a lump, a plate or a stick."""
    r = b.rng
    scale = size * 0.8 * 10 ** (-DECADES * r.beta(1.0, 1.2))
    kind = r.random()
    if kind < 0.5:
        return scale * r.uniform(0.3, 1.0, 3)
    thin = r.uniform(0.01, 0.15)
    return scale * r.permutation([1.0, r.uniform(0.3, 1.0) if kind < 0.75 else thin, thin])


def _solid(
    b: SceneBuilder,
    centre: tuple[float, float, float],
    extent: Float64Array,
    palette: list[Material],
    upright: bool = False,
) -> None:
    r = b.rng
    material = palette[int(r.integers(0, len(palette)))]
    yaw = r.uniform(-np.pi, np.pi)
    pitch = 0.0 if upright or r.random() < 0.2 else r.uniform(-np.pi / 2, np.pi / 2)
    kind = r.random()
    if kind < 0.45:
        b.box(centre, extent, material, yaw, pitch)
    elif kind < 0.7:
        b.ellipsoid(centre, extent, material, yaw, pitch)
    else:
        lean = np.array([np.cos(yaw) * np.sin(pitch), np.sin(yaw) * np.sin(pitch), np.cos(pitch)])
        half = lean * extent[2] / 2
        b.rod(
            centre - half,
            centre + half,
            extent[0] / 2,
            material,
            float(r.choice([1.0, r.uniform(0.02, 1.0), r.uniform(1.0, 3.0)])),
            float(np.clip(extent[1] / extent[0], 0.05, 4)),
        )


def _put(
    b: SceneBuilder, size: float, height: float, palette: list[Material], resting: bool
) -> None:
    """Add one solid, sometimes with smaller ones on top of it."""
    r = b.rng
    extent = _extent(b, size)
    x, y = r.uniform(-0.95, 0.95, 2) * size
    if not resting:
        _solid(b, (float(x), float(y), r.uniform(0, 1) * height), extent, palette)
        return
    z = 0.0
    for _ in range(1 + int(r.integers(0, 4)) * (r.random() < 0.3)):
        _solid(b, (float(x), float(y), z + extent[2] / 2), extent, palette, r.random() < 0.8)
        z += float(extent[2])
        extent = extent * r.uniform(0.4, 1.0, 3)


def _row(b: SceneBuilder, size: float, palette: list[Material]) -> None:
    """Add equal solids at equal distances, as in a fence or a flight of steps."""
    r = b.rng
    extent = _extent(b, 0.5 * size)
    material = palette[int(r.integers(0, len(palette)))]
    step = float(extent.max()) * r.uniform(1.1, 2.5) * np.array([1.0, 0.0, r.choice([0, 0.4])])
    place = b.box if r.random() < 0.7 else b.ellipsoid
    x, y = r.uniform(-0.7, 0.7, 2) * size
    with b.at(float(x), float(y), float(extent[2] / 2), r.uniform(-np.pi, np.pi)):
        for k in range(int(r.integers(3, 12))):
            place(k * step, extent, material)


def _surround(
    b: SceneBuilder, setting: str, size: float, height: float, palette: list[Material]
) -> None:
    """Add surroundings: far plates, a slab, ground, a wall on it, or a closed box."""
    r = b.rng

    def face() -> Material:
        choice = (
            palette[int(r.integers(0, len(palette)))] if r.random() < 0.3 else _material(b, size)
        )
        return Material(choice.texture, choice.scale_m or size, choice.tint, choice.gloss)

    if setting == 'void':
        for yaw in r.uniform(-np.pi, np.pi, int(r.integers(0, 5))):
            with b.at(0, 0, 0, yaw):
                b.box(
                    (r.uniform(1.5, 6) * size, 0, 0),
                    size * r.uniform((0.1, 1, 1), (1, 6, 6)),
                    face(),
                    pitch=r.normal(0, 0.4),
                )
        return
    thick = 0.1 * size
    wide = {'slab': 2.2 * size, 'room': 2.4 * size}.get(setting, 40 * size + 200)
    b.box((0, 0, -thick / 2), (wide, wide, thick), face())
    if setting == 'wall':
        b.box(
            (1.15 * size, 0, size),
            (thick, r.uniform(1.5, 12) * size, 6 * size),
            face(),
            yaw=r.normal(0, 0.15),
        )
    if setting == 'room':
        wall = face()
        for k in range(4):
            with b.at(0, 0, 0, k * np.pi / 2):
                b.box(
                    (1.1 * size + thick / 2, 0, height / 2),
                    (thick, 2.4 * size, 1.1 * height),
                    wall if r.random() < 0.7 else face(),
                )
        b.box((0, 0, 1.02 * height + thick / 2), (2.4 * size, 2.4 * size, thick), face())


def _lamplight(b: SceneBuilder, size: float, height: float) -> Lights:
    """Return lamps of any colour in a closed box, and what comes from all sides."""
    r = b.rng
    lamps = []
    for k in range(int(r.integers(0, 4))):
        power = (0.5 * height) ** 2 * r.uniform(0.3, 3.0)
        x, y = r.uniform(-0.7, 0.7, 2) * size
        lamps.append(
            Lamp(
                (float(x), float(y), r.uniform(0.6, 0.95) * height),
                tuple(power * r.uniform(0.6, 1.0, 3)),
                k == 0,
            )
        )
    return Lights(
        tuple(r.uniform(0.15, 1.0) * r.uniform(0.8, 1.0, 3)),
        lamps=tuple(lamps),
        occlusion=r.uniform(0.0, 1.2),
    )
