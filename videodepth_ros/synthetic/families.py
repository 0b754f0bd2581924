# SPDX-License-Identifier: Apache-2.0
"""Families of scenes: distributions from which a seed draws one scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from videodepth_ros.synthetic import held_out, homes, indoor, outdoor
from videodepth_ros.synthetic.atlas import load_atlas
from videodepth_ros.synthetic.camera_path import Zone
from videodepth_ros.synthetic.scene import Scene, SceneBuilder
from videodepth_ros.synthetic.style import RICH, Style, StyledBuilder, random_style

SEEDS_PER_POOL = 128  # consecutive seeds that share one pool of textures; a pool takes seconds


@dataclass(frozen=True)
class Family:
    """A distribution of scenes: each seed draws a layout, materials and lights.

    number    part of every scene's random seed: unique, and never changed once published
    build     draws a scene and the zone that its camera may move in
    held_out  whether the family is kept out of training; its style is then the same for all seeds
    """

    name: str
    number: int
    build: Callable[[SceneBuilder], tuple[Scene, Zone]]
    held_out: bool = False

    def scene(self, seed: int, style: Style | None = None) -> tuple[Scene, Zone]:
        """Build the scene of ``seed``, in ``style`` or else in that which the seed draws."""
        atlas = load_atlas(2 * (seed // SEEDS_PER_POOL) + self.held_out)
        builder = StyledBuilder(
            atlas,
            np.random.default_rng([7, self.number, seed]),
            style=style or self._style(seed),
            style_rng=np.random.default_rng([19, self.number, seed]),
        )
        return self.build(builder)

    def _style(self, seed: int) -> Style:
        return RICH if self.held_out else random_style(np.random.default_rng([11, seed]))


FAMILIES = {
    family.name: family
    for family in (
        Family('rooms', 0, indoor.living),
        Family('kitchens', 1, indoor.kitchen),
        Family('corridors', 2, indoor.corridor),
        Family('offices', 3, indoor.office),
        Family('halls', 4, indoor.hall),
        Family('desks', 5, homes.desks),
        Family('homes', 6, homes.homes),
        Family('streets', 8, outdoor.street),
        Family('courtyards', 9, outdoor.courtyard),
        Family('wilds', 10, outdoor.terrain),
        Family('aerials', 11, outdoor.aerial),
        Family('studios', 12, held_out.studio, held_out=True),
        Family('car_parks', 13, held_out.car_park, held_out=True),
        Family('alleys', 14, held_out.alley, held_out=True),
    )
}
"""Families that are installed, by name; ``training.scenes`` has the numbers 7 and 15 to 24."""

HELD_OUT_FAMILIES = tuple(family.name for family in FAMILIES.values() if family.held_out)
