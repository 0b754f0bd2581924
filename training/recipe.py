# SPDX-License-Identifier: Apache-2.0
"""The recipe of the bundled weights, by value."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from training.losses import LossWeights
from training.samples import BatchPlan

Size = tuple[int, int]


@dataclass(frozen=True)
class Phase:
    """One stretch of training.

    lr_first, lr_last  the learning rate falls from one to the other along a half cosine
    loss               shares of the parts of the loss
    freeze_norms       batch norms keep their statistics: those of a few clips say too little
    freeze_stages      stages of the backbone that are not trained: network.py
    muon               matrices are trained by Muon: optimiser.py
    average_decay      of the average that is shipped: a short phase needs a short one
    """

    name: str
    batch: BatchPlan
    steps: int
    lr_first: float
    lr_last: float
    loss: LossWeights
    freeze_norms: bool = False
    freeze_stages: int = 0
    muon: bool = False
    average_decay: float = 0.999


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, beside the data.

    network   what is trained, by its name in the catalogue
    imagenet  whether its backbone starts from ImageNet; that then learns at a lower rate
    backbone_rate  learning rate of the backbone as a fraction of that of the rest
    shipped   the phases whose averages are shipped, as their mean: a phase of clips steadies what
             an earlier one saw in more scenes, and forgets some of it (Wortsman et al. 2022,
             arXiv 2203.05482). ``START`` stands for the weights that the run began with
    """

    network: str
    phases: tuple[Phase, ...]
    shipped: tuple[str, ...]
    imagenet: bool = False
    seed: int = 0
    warm_up_steps: int = 150
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    backbone_rate: float = 1.0

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[Phase, int]:
        """Return the phase that ``step`` falls in, and the steps of that phase before it."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        return self.phases[-1], self.phases[-1].steps


START = 'start'
"""In ``Recipe.shipped``: what the run began with."""

SMALL: Size = (176, 128)
MEDIUM: Size = (208, 160)
LARGE: Size = (256, 192)

SCALE_FIRST = LossWeights(structure=0.5, gradient=0.5, drift=0.5, scales=4)
SHAPE_FIRST = LossWeights(structure=2.0, gradient=1.0, drift=1.0, scales=6)
"""Once scale is learnt: an error of scale pulls all pixels one way and drowns those of shape."""
STEADY = LossWeights(structure=2.0, gradient=1.0, drift=3.0, scales=6, flicker=2.0)
"""For the recurrent part, which alone can make frames agree."""

NANO_1_RECIPE = Recipe(
    'nano-1',
    shipped=('more scenes', 'final clips'),
    phases=(
        Phase(
            'small images', BatchPlan(16, 1, (SMALL, SMALL, MEDIUM)), 4000, 1e-3, 8e-4, SCALE_FIRST
        ),
        Phase('large images', BatchPlan(16, 1, (LARGE,)), 1800, 7e-4, 6e-4, SCALE_FIRST),
        Phase(
            'images',
            BatchPlan(16, 1, (SMALL, MEDIUM, MEDIUM, LARGE)),
            3000,
            6e-4,
            2.2e-4,
            SCALE_FIRST,
        ),
        Phase(
            'shapes',
            BatchPlan(16, 1, (SMALL, MEDIUM, MEDIUM, LARGE)),
            2200,
            6e-4,
            1.5e-4,
            SHAPE_FIRST,
        ),
        Phase(
            'clips',
            BatchPlan(4, 5, (MEDIUM, LARGE)),
            1500,
            2e-4,
            5e-6,
            SHAPE_FIRST,
            freeze_norms=True,
        ),
        Phase('more shapes', BatchPlan(16, 1, (MEDIUM, LARGE)), 1700, 5e-4, 1e-4, SHAPE_FIRST),
        Phase(
            'more clips',
            BatchPlan(4, 5, (MEDIUM, LARGE)),
            700,
            2e-4,
            5e-6,
            SHAPE_FIRST,
            freeze_norms=True,
        ),
        Phase(
            'long shapes',
            BatchPlan(16, 1, (MEDIUM, LARGE)),
            4860,
            7e-4,
            6e-4,
            SHAPE_FIRST,
            muon=True,
        ),
        Phase(
            'steady clips',
            BatchPlan(4, 5, (MEDIUM, LARGE)),
            2000,
            5e-4,
            1e-5,
            STEADY,
            freeze_norms=True,
            muon=True,
            average_decay=0.995,
        ),
        Phase(
            'new scenes',
            BatchPlan(16, 1, (MEDIUM, LARGE)),
            10500,
            7e-4,
            4e-5,
            SHAPE_FIRST,
            muon=True,
        ),
        Phase(
            'last clips',
            BatchPlan(3, 8, (MEDIUM, LARGE)),
            1400,
            4e-4,
            1e-5,
            STEADY,
            freeze_norms=True,
            muon=True,
            average_decay=0.995,
        ),
        Phase(
            'more scenes',
            BatchPlan(16, 1, (MEDIUM, LARGE)),
            16700,
            7e-4,
            3e-5,
            SHAPE_FIRST,
            muon=True,
        ),
        Phase(
            'final clips',
            BatchPlan(3, 8, (MEDIUM, LARGE)),
            900,
            4e-4,
            1e-5,
            STEADY,
            freeze_norms=True,
            muon=True,
            average_decay=0.995,
        ),
    ),
)

NANO_RECIPE = Recipe(
    'nano',
    imagenet=True,
    backbone_rate=0.2,
    seed=2,
    weight_decay=0.02,
    shipped=('clips', 'quiet clips'),
    phases=(
        Phase(
            'decoder',
            BatchPlan(16, 1, (SMALL, MEDIUM)),
            1100,
            6e-4,
            4e-4,
            SHAPE_FIRST,
            freeze_norms=True,
            freeze_stages=7,
            muon=True,
        ),
        Phase(
            'images',
            BatchPlan(16, 1, (SMALL, MEDIUM, LARGE)),
            2400,
            5e-4,
            3e-5,
            SHAPE_FIRST,
            freeze_norms=True,
            freeze_stages=3,
            muon=True,
        ),
        Phase(
            'clips',
            BatchPlan(3, 6, (MEDIUM, LARGE)),
            600,
            2e-4,
            1e-5,
            STEADY,
            freeze_norms=True,
            freeze_stages=7,
            muon=True,
            average_decay=0.995,
        ),
        Phase(
            'quiet clips',
            BatchPlan(3, 6, (MEDIUM, LARGE), still=0.4),
            250,
            3e-4,
            1e-5,
            replace(STEADY, flicker=6.0),
            freeze_norms=True,
            freeze_stages=7,
            muon=True,
            average_decay=0.99,
        ),
    ),
)
"""The first generation's transformer, decoder and temporal module go on: warm_start.py."""

METRES = replace(SHAPE_FIRST, absolute=2.0, plane=1.0)
MORE_RECIPE = Recipe(
    'nano',
    backbone_rate=0.2,
    seed=5,
    weight_decay=0.02,
    shipped=(START, 'more images', 'more clips'),
    phases=(
        Phase(
            'more images',
            BatchPlan(16, 1, (MEDIUM, LARGE, LARGE)),
            4300,
            4e-4,
            3e-5,
            METRES,
            freeze_norms=True,
            freeze_stages=3,
            muon=True,
        ),
        Phase(
            'more clips',
            BatchPlan(3, 6, (MEDIUM, LARGE), still=0.35),
            330,
            1e-4,
            1e-5,
            replace(STEADY, flicker=6.0, absolute=2.0, plane=1.0),
            freeze_norms=True,
            freeze_stages=7,
            muon=True,
            average_decay=0.99,
        ),
    ),
)
"""Continues from the weights of `NANO_RECIPE`, on other clips, and keeps a third of them."""

ABLATION = Phase('images', BatchPlan(8, 1, (SMALL,)), 600, 1e-3, 5e-5, SHAPE_FIRST)
"""What ImageNet is worth: everything else starts at random, and all of it is trained."""

RECIPES = {
    'nano': NANO_RECIPE,
    'nano-more': MORE_RECIPE,
    'nano-1': NANO_1_RECIPE,
    'pretrained': Recipe('nano', (ABLATION,), ('images',), imagenet=True),
    'scratch': Recipe('nano', (ABLATION,), ('images',)),
}
"""By what `python -m training.train --recipe` calls them."""


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write the recipe beside what it makes."""
    path.write_text(json.dumps(asdict(recipe), indent=1))
