# SPDX-License-Identifier: Apache-2.0
"""Styles of scenes: richly textured, plainly painted, or lit flatly as in simulators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.synthetic.noise import muted, neutral, vivid, wood
from videodepth_ros.synthetic.scene import Lights, Material, Scene, SceneBuilder, Shape

PATTERNS = frozenset(
    {
        'plaster',
        'grain',
        'planks',
        'tiles',
        'bricks',
        'carpet',
        'stripes',
        'checker',
        'plaid',
        'dots',
        'marble',
        'speckles',
        'metal',
        'panels',
        'asphalt',
        'stones',
        'gravel',
    }
)
"""Textures that a plain style may replace by paint."""


@dataclass(frozen=True)
class Style:
    """The look of a scene.

    plain  share of patterned materials that give way to one colour
    wear   factor on stains: 0 is brand-new
    flat   light comes from everywhere alike and nothing throws a shadow, as in simulators
    """

    plain: float = 0.0
    wear: float = 1.0
    flat: bool = False

    def apply(self, material: Material, rng: np.random.Generator) -> Material:
        """Return the material in this style."""
        if material.texture in PATTERNS and rng.random() < self.plain:
            material = replace(material, texture='plain').painted(_colour(rng))
        return replace(material, wear=material.wear * self.wear)

    def apply_to_lights(self, lights: Lights, rng: np.random.Generator) -> Lights:
        """Return the lights in this style."""
        if not self.flat:
            return lights
        level = rng.uniform(0.5, 1.1)
        lamps = tuple(replace(lamp, casts_shadow=False) for lamp in lights.lamps[:1])
        return replace(
            lights,
            ambient=(level, level, level),
            sun=(0.0, 0.0, 0.0),
            lamps=lamps if rng.random() < 0.5 else (),
            occlusion=0.0,
        )


RICH = Style()


def random_style(rng: np.random.Generator) -> Style:
    """Draw a style: half rich, the rest plain, and of that some as simulators show it."""
    kind = rng.random()
    if kind < 0.45:
        return RICH
    if kind < 0.82:
        return Style(rng.uniform(0.4, 1.0), rng.uniform(0.0, 0.5))
    return Style(rng.uniform(0.2, 0.9), 0.0, flat=True)


def _colour(rng: np.random.Generator) -> Float32Array:
    draw = rng.random()
    if draw < 0.5:
        return neutral(rng, 0.3, 1.0)
    if draw < 0.7:
        return muted(rng)
    return wood(rng) if draw < 0.85 else vivid(rng)


@dataclass
class StyledBuilder(SceneBuilder):
    """Builder that applies a style; equal materials of a scene stay equal.

    style_rng  random numbers of the style, so that layouts do not depend on it
    """

    style: Style = RICH
    style_rng: np.random.Generator = field(default_factory=np.random.default_rng)
    styled: dict[Material, Material] = field(default_factory=dict)

    def solid(
        self,
        shape: Shape,
        pose: Float64Array,
        material: Material,
        taper: float = 1.0,
        tile: int | None = None,
    ) -> None:
        """Add a unit shape under ``pose`` (4, 4), given in the current frame."""
        if material not in self.styled:
            self.styled[material] = self.style.apply(material, self.style_rng)
        styled = self.styled[material]
        super().solid(
            shape, pose, styled, taper, tile if styled.texture == material.texture else None
        )

    def build(self, lights: Lights, low_m: Sequence[float], high_m: Sequence[float]) -> Scene:
        """Return the scene; low_m and high_m bound what light and shadow are computed for."""
        return super().build(self.style.apply_to_lights(lights, self.style_rng), low_m, high_m)
