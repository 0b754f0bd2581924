# SPDX-License-Identifier: Apache-2.0
"""Train `nano`: `python -m training.train --data CLIPS --held-out CLIPS --run FOLDER`.

`--recorded CLIPS` are drawn beside the rendered ones (recorded.py). Resumes what FOLDER holds.
`FOLDER/log.jsonl` has one line for each stretch of steps and for each validation,
`FOLDER/checkpoint.pt` everything to resume from, `FOLDER/PHASE.pt` the average at the end of a
phase, `FOLDER/start.pt` what it began with.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.losses import Losses, depth_loss
from training.network import Average, freeze, keep_memory, network_input, new_network, predict
from training.optimiser import new_optimisers
from training.recipe import RECIPES, START, Phase, Recipe, save_recipe
from training.samples import Batch, BatchPlan, Data, open_batches
from training.validate import validate
from training.warm_start import warm_start
from videodepth_ros.models.checkpoint import describe_mismatch, read_state_dict, shapes_of
from videodepth_ros.models.flashdepth import load_flashdepth
from videodepth_ros.models.nano import NANO_1
from videodepth_ros.models.variants import config_of

LOG_STEPS = 50
CHECKPOINT_S = 180.0
VALIDATE_STEPS = 500
WARM_START = BatchPlan(64, 1, ((256, 192),))
"""The images on which the second generation takes over from the first."""


def average_path(run: Path, phase: str) -> Path:
    """Return where a run keeps the average that it had at the end of a phase."""
    return run / f'{phase}.pt'


class Run:
    """A training run and its folder."""

    def __init__(
        self, recipe: Recipe, data: Data, folder: Path, start: Path | None = None
    ) -> None:
        """Begin a run, or resume the one of the folder.

        start  weights to begin with: of the recipe's network, or of nano-1 for nano
        """
        self.recipe, self.data, self.folder = recipe, data, folder
        folder.mkdir(parents=True, exist_ok=True)
        save_recipe(recipe, folder / 'recipe.json')
        self.model = new_network(config_of(recipe.network), recipe.seed, recipe.imagenet)
        self.step = 0
        self.muon = False
        if start is not None:
            self._start_from(start)
            torch.save(self.model.state_dict(), average_path(folder, START))
        self.average = Average(self.model)
        self.optimisers = self._new_optimisers()
        self._resume()

    def _start_from(self, path: Path) -> None:
        weights = read_state_dict(path)
        if describe_mismatch(shapes_of(self.model.state_dict()), shapes_of(weights)) is None:
            self.model.load_state_dict(weights)
            return
        images = next(self._batches(WARM_START)).images
        warm_start(self.model, load_flashdepth(NANO_1, path), network_input(images)[:, 0])

    def _new_optimisers(self) -> list[torch.optim.Optimizer]:
        return new_optimisers(
            self.model, self.recipe.weight_decay, self.muon, self.recipe.backbone_rate
        )

    def _batches(self, plan: BatchPlan) -> Iterator[Batch]:
        return open_batches(self.data, plan, self.recipe.seed, self.step)

    def train(self) -> None:
        """Go through the phases that are left."""
        while self.step < self.recipe.steps:
            phase, done = self.recipe.at(self.step)
            if phase.muon != self.muon:
                self.muon = phase.muon
                self.optimisers = self._new_optimisers()
            freeze(self.model, phase.freeze_norms, phase.freeze_stages)
            self._train_phase(phase, done, self._batches(phase.batch))
            torch.save(self.average.model.state_dict(), average_path(self.folder, phase.name))
        self._save()
        self._validate()

    def _train_phase(self, phase: Phase, done: int, batches: Iterator[Batch]) -> None:
        started, saved = time.monotonic(), time.monotonic()
        sums: dict[str, float] = {}
        logged = self.step
        for k in range(done, phase.steps):
            losses = self._take_step(next(batches), phase, self._learning_rate(phase, k))
            for name, value in vars(losses).items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if self.step % LOG_STEPS == 0:
                steps, logged = self.step - logged, self.step  # fewer where a run was resumed
                seconds = (time.monotonic() - started) / steps
                means = {name: round(value / steps, 4) for name, value in sums.items()}
                self._log(phase=phase.name, **means, s_per_step=round(seconds, 3))
                started, sums = time.monotonic(), {}
            if self.step % VALIDATE_STEPS == 0:
                self._validate()
            if time.monotonic() - saved > CHECKPOINT_S:
                self._save()
                saved = time.monotonic()

    def _take_step(self, batch: Batch, phase: Phase, learning_rate: float) -> Losses:
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group['lr'] = learning_rate * group.get('rate', 1.0)
        u, _ = predict(self.model, batch.images)
        losses = depth_loss(u, batch.inverse_depth, phase.loss)
        losses.total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        for optimiser in self.optimisers:
            if torch.isfinite(norm):
                optimiser.step()
            optimiser.zero_grad()
        self.step += 1
        self.average.update(self.model, phase.average_decay, self.step)
        return losses

    def _learning_rate(self, phase: Phase, k: int) -> float:
        fallen = 0.5 - 0.5 * math.cos(math.pi * k / phase.steps)
        rate = phase.lr_first + (phase.lr_last - phase.lr_first) * fallen
        return rate * min(1.0, (self.step + 1) / self.recipe.warm_up_steps)

    def _validate(self) -> None:
        for score in validate(self.average.model, self.data.held_out):
            self._log(held_out=score.family, **{k: round(v, 4) for k, v in score.figures()})

    def _log(self, **facts: Any) -> None:
        line = json.dumps({'step': self.step, 'time_s': round(time.time()), **facts})
        with (self.folder / 'log.jsonl').open('a') as file:
            file.write(line + '\n')
        print(line, flush=True)

    def _save(self) -> None:
        content = {
            'step': self.step,
            'model': self.model.state_dict(),
            'average': self.average.model.state_dict(),
            'muon': self.muon,
            'optimisers': [optimiser.state_dict() for optimiser in self.optimisers],
        }
        unfinished = self.folder / 'checkpoint.part'
        torch.save(content, unfinished)
        os.replace(unfinished, self.folder / 'checkpoint.pt')

    def _resume(self) -> None:
        path = self.folder / 'checkpoint.pt'
        if not path.exists():
            return
        content = torch.load(path, weights_only=True)
        self.step = content['step']
        self.model.load_state_dict(content['model'])
        self.average.model.load_state_dict(content['average'])
        self.muon = content['muon']
        self.optimisers = self._new_optimisers()
        for optimiser, state in zip(self.optimisers, content['optimisers'], strict=True):
            optimiser.load_state_dict(state)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog='python -m training.train', description=__doc__)
    parser.add_argument('--data', type=Path, required=True, help='folder of clips')
    parser.add_argument('--held-out', type=Path, required=True, help='folder of clips to judge by')
    parser.add_argument('--run', type=Path, required=True, help='folder of this run')
    parser.add_argument('--recorded', type=Path, help='folder of recorded clips')
    parser.add_argument(
        '--recorded-share',
        type=float,
        default=Data.recorded_share,
        help='of the samples (default: %(default)s)',
    )
    parser.add_argument('--recipe', choices=list(RECIPES), default='nano')
    parser.add_argument(
        '--start',
        type=Path,
        metavar='WEIGHTS',
        help='begin with these weights; nano takes those of nano-1',
    )
    parser.add_argument('--steps', help='steps of each phase, one number for each, with commas')
    parser.add_argument('--threads', type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_memory()
    recipe = RECIPES[arguments.recipe]
    if arguments.steps:
        steps = [int(n) for n in arguments.steps.split(',')]
        recipe = replace(
            recipe,
            phases=tuple(
                replace(phase, steps=n) for phase, n in zip(recipe.phases, steps, strict=True)
            ),
        )
    data = Data(arguments.data, arguments.held_out, arguments.recorded, arguments.recorded_share)
    Run(recipe, data, arguments.run, arguments.start).train()


if __name__ == '__main__':
    main()
