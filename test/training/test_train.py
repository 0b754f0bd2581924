# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training.export import export_weights
from training.losses import LossWeights
from training.network import network_input, new_network
from training.recipe import Phase, Recipe
from training.samples import BatchPlan
from training.train import Run, average_path
from training.validate import predict_clip
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.nano import NANO

SIZES = ((96, 80),)
LOSS = LossWeights(structure=0.5, gradient=0.5, drift=0.5, scales=3)
RECIPE = Recipe(
    warm_up_steps=5,
    shipped=('images', 'clips'),
    phases=(
        Phase('images', BatchPlan(3, 1, SIZES), 40, 2e-3, 1e-3, LOSS, average_decay=0.8),
        Phase(
            'clips',
            BatchPlan(1, 3, SIZES),
            2,
            1e-3,
            1e-4,
            LOSS,
            freeze_norms=True,
            muon=True,
            average_decay=0.8,
        ),
    ),
)


@pytest.fixture(scope='module')
def run_folder(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('run')
    torch.set_num_threads(1)
    Run(RECIPE, clips, clips, folder).train()
    return folder


def test_training_learns_logs_and_can_be_shipped(run_folder: Path, clips: Path) -> None:
    lines = [json.loads(line) for line in (run_folder / 'log.jsonl').read_text().splitlines()]
    learnt = next(line for line in lines if line.get('held_out') == 'all')
    untaught = new_network(0)
    image = np.array(np.load(next(clips.glob('*.image.npy'))))[:, :80, :96]
    target = run_folder / 'nano.safetensors'
    assert len(export_weights(run_folder, target)) == 64
    shipped = load_flashdepth(NANO, target)
    assert predict_clip(untaught, image).std() < 1.5
    assert learnt['abs_rel'] < 1.0
    with torch.no_grad():
        inverse_depth, _ = shipped.sequence(network_input(torch.from_numpy(image)[None]))
    sky, floor = inverse_depth[0, :, :15].mean(), inverse_depth[0, :, -10:].mean()
    assert floor > 2 * sky


def test_a_run_goes_on_where_it_was_stopped(run_folder: Path, clips: Path) -> None:
    longer = replace(RECIPE, phases=(RECIPE.phases[0], replace(RECIPE.phases[1], steps=3)))
    run = Run(longer, clips, clips, run_folder)
    assert run.step == 42
    run.train()
    assert run.step == 43


def test_the_same_seed_and_clips_give_the_same_weights(clips: Path, tmp_path: Path) -> None:
    short = replace(RECIPE, phases=(replace(RECIPE.phases[0], steps=3), RECIPE.phases[1]))
    torch.set_num_threads(1)
    for name in ('once', 'again'):
        Run(short, clips, tmp_path / 'none', tmp_path / name).train()
    assert export_weights(tmp_path / 'once', tmp_path / 'once.safetensors') == export_weights(
        tmp_path / 'again', tmp_path / 'again.safetensors'
    )


def test_the_mean_of_the_averages_is_shipped(run_folder: Path, tmp_path: Path) -> None:
    export_weights(run_folder, tmp_path / 'nano.safetensors')
    shipped = load_file(tmp_path / 'nano.safetensors')
    images, clips = (
        torch.load(average_path(run_folder, phase), weights_only=True)
        for phase in ('images', 'clips')
    )
    name = 'pretrained.blocks.0.qkv.weight'
    assert not torch.equal(images[name], clips[name])
    torch.testing.assert_close(
        shipped[name].float(), (images[name] + clips[name]) / 2, atol=1e-4, rtol=1e-3
    )


def test_what_is_trained_has_the_names_of_what_is_shipped() -> None:
    trained, shipped = new_network(0).state_dict(), FlashDepth(NANO).state_dict()
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in shipped.items()}
