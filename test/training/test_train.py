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
from training.recipe import START, Phase, Recipe
from training.samples import BatchPlan, Data
from training.train import Run, average_path
from training.validate import predict_clip
from training.warm_start import warm_start
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.nano import NANO, NANO_1

pytestmark = pytest.mark.slow

SIZES = ((96, 80),)
LOSS = LossWeights(structure=0.5, gradient=0.5, drift=0.5, scales=3)
RECIPE = Recipe(
    'nano-1',
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
    Run(RECIPE, Data(clips, clips), folder).train()
    return folder


def test_training_learns_logs_and_can_be_shipped(run_folder: Path, clips: Path) -> None:
    lines = [json.loads(line) for line in (run_folder / 'log.jsonl').read_text().splitlines()]
    learnt = next(line for line in lines if line.get('held_out') == 'all')
    untaught = new_network(NANO_1, 0, imagenet=False)
    image = np.array(np.load(next(clips.glob('*.image.npy'))))[:, :80, :96]
    target = run_folder / 'nano.safetensors'
    assert len(export_weights(run_folder, target)) == 64
    shipped = load_flashdepth(NANO_1, target)
    assert predict_clip(untaught, image).std() < 1.5
    assert learnt['abs_rel'] < 1.0
    with torch.no_grad():
        inverse_depth, _ = shipped.sequence(network_input(torch.from_numpy(image)[None]))
    sky, floor = inverse_depth[0, :, :15].mean(), inverse_depth[0, :, -10:].mean()
    assert floor > 2 * sky


def test_a_run_goes_on_where_it_was_stopped(run_folder: Path, clips: Path) -> None:
    longer = replace(RECIPE, phases=(RECIPE.phases[0], replace(RECIPE.phases[1], steps=3)))
    run = Run(longer, Data(clips, clips), run_folder)
    assert run.step == 42
    run.train()
    assert run.step == 43


def test_the_same_seed_and_clips_give_the_same_weights(clips: Path, tmp_path: Path) -> None:
    short = replace(RECIPE, phases=(replace(RECIPE.phases[0], steps=3), RECIPE.phases[1]))
    torch.set_num_threads(1)
    for name in ('once', 'again'):
        Run(short, Data(clips, tmp_path / 'none'), tmp_path / name).train()
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
    trained, shipped = (
        new_network(NANO_1, 0, imagenet=False).state_dict(),
        FlashDepth(NANO_1).state_dict(),
    )
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in shipped.items()}


def second_generation(clips: Path, folder: Path, first: Path | None) -> Run:
    """A run of one step of the second generation, from random weights of the backbone."""
    frozen = Phase(
        'images', BatchPlan(1, 1, SIZES), 1, 1e-3, 1e-3, LOSS, freeze_norms=True, freeze_stages=7
    )
    recipe = Recipe('nano', (frozen,), ('images',), backbone_rate=0.1, warm_up_steps=1)
    return Run(recipe, Data(clips, clips / 'none'), folder, first)


def test_the_second_generation_goes_on_from_the_first(
    run_folder: Path, clips: Path, tmp_path: Path
) -> None:
    export_weights(run_folder, tmp_path / 'first.safetensors')
    first = load_flashdepth(NANO_1, tmp_path / 'first.safetensors')
    run = second_generation(clips, tmp_path / 'run', tmp_path / 'first.safetensors')
    name = 'pretrained.blocks.0.qkv.weight'
    assert torch.equal(run.model.state_dict()[name], first.state_dict()[name])
    start = torch.load(average_path(tmp_path / 'run', START), weights_only=True)
    assert torch.equal(start[name], first.state_dict()[name])
    assert sum(p.numel() for p in run.model.parameters()) > 4e6


def test_frozen_stages_stay_as_they_are(clips: Path, tmp_path: Path) -> None:
    run = second_generation(clips, tmp_path / 'run', None)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.train()
    after = run.model.state_dict()
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    assert 'pretrained.embed.weight' in changed
    assert not any('backbone' in name for name in changed)


def test_projections_start_as_the_fit_of_the_maps_of_the_first() -> None:
    torch.manual_seed(0)
    first, model = FlashDepth(NANO_1).eval(), FlashDepth(NANO).eval()
    images = torch.randn(8, 3, 96, 128)

    def misfit() -> float:
        with torch.no_grad():
            tokens, wanted = (m.pretrained.convolve(images)[2] for m in (model, first))
        return float((tokens - wanted).square().mean() / wanted.var())

    before = misfit()
    warm_start(model, first, images)
    assert misfit() < min(before, 1.0)
