# SPDX-License-Identifier: Apache-2.0
"""Fine-tune nano to a site: `python -m training.distil FOLDER --teacher NAME SOURCE ...`.

Labels the frames of each SOURCE (a folder of images, a video, a ROS recording) with the depth of
a teacher, fine-tunes the bundled nano on them, and compares it with what it was on every tenth
clip. `FOLDER/nano.safetensors` is then ready for `videodepth weights import`. The teacher is
`bag`, the depth of a depth camera in the recordings; `refine`, the stereo of the moving camera
itself; or a network of `videodepth weights`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from training.export import export_weights
from training.generate import Take
from training.losses import LossWeights
from training.network import keep_memory, new_network
from training.pseudo_labels import clip_length, is_recording, source_frames, store_labels
from training.recipe import LARGE, MEDIUM, Phase, Recipe
from training.samples import BatchPlan, Data
from training.scenes import TRAINING_FAMILIES
from training.self_teacher import TEACHER as REFINED
from training.self_teacher import RefinedTeacher
from training.shards import find_clips, move_clip
from training.train import Run
from training.validate import Score, validate
from videodepth_ros.core.errors import InputError
from videodepth_ros.models.catalogue import card, weights_path
from videodepth_ros.models.checkpoint import read_state_dict
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.mono import MonoPrior
from videodepth_ros.models.variants import config_of
from videodepth_ros.refine.priors import PRIORS, open_prior

NETWORK = 'nano'
HELD_OUT_EVERY = 10
"""One clip of so many is validated on and not trained on."""
REHEARSED_FRAMES = 2
REHEARSED_SEED = 70_000_000
SITE_SHARE = 0.7
"""Of the samples; the others are rendered, so that what nano knew is not forgotten."""

_LOSS = LossWeights(structure=2.0, gradient=1.0, drift=1.0, scales=6)
_STEADY = replace(_LOSS, drift=3.0, flicker=2.0)
RECIPE = Recipe(
    NETWORK,
    backbone_rate=0.2,
    weight_decay=0.02,
    warm_up_steps=50,
    shipped=('clips',),
    phases=(
        Phase(
            'images',
            BatchPlan(16, 1, (MEDIUM, LARGE)),
            1500,
            2e-4,
            2e-5,
            _LOSS,
            freeze_norms=True,
            freeze_stages=3,
            average_decay=0.99,
        ),
        Phase(
            'clips',
            BatchPlan(3, 6, (MEDIUM, LARGE)),
            300,
            1e-4,
            1e-5,
            _STEADY,
            freeze_norms=True,
            freeze_stages=7,
            average_decay=0.99,
        ),
    ),
)


def site_data(folder: Path) -> Data:
    """Return where the clips of a fine-tuning lie."""
    return Data(folder / 'rehearsed', folder / 'held_out', folder / 'site', SITE_SHARE)


def label(
    folder: Path, sources: list[Path], teacher: str, every: int, focal: float | None
) -> None:
    """Write the clips of all sources, and set every tenth apart; a folder is labelled once.

    raises  InputError where the teacher knows no depth of any source
    """
    data = site_data(folder)
    assert data.recorded is not None
    if find_clips(data.recorded) or find_clips(data.held_out):
        return
    for place in (data.recorded, data.held_out):
        place.mkdir(parents=True, exist_ok=True)
    for number, source in enumerate(sources):
        prior = open_teacher(teacher, source, folder / 'refined' / str(number))
        try:
            count = _label_source(data.recorded, number, source, prior, every, focal)
        finally:
            prior.close()
        print(f'{source}: {count} clips labelled by {teacher}')
        if prior.notice:
            print(prior.notice)
    clips = find_clips(data.recorded)
    if not clips:
        raise InputError(
            f'the teacher {teacher} knows no depth of these sources: use other recordings (for '
            'refine, of a camera that moves sideways), or another teacher'
        )
    for clip in clips[:: min(HELD_OUT_EVERY, len(clips))]:
        move_clip(clip, data.held_out)


def open_teacher(name: str, source: Path, refined: Path) -> MonoPrior:
    """Open a teacher of one source.

    refined  folder for its refinement, of the teacher `refine`
    raises   InputError where that has no recording to refine, and see `open_prior`
    """
    if name != REFINED:
        return open_prior(name, bag=source if name == 'bag' else None)
    if not is_recording(source):
        raise InputError(
            f'the teacher {name} needs a recording, not {source}: '
            'make one with `videodepth import`'
        )
    refined.parent.mkdir(exist_ok=True)
    return RefinedTeacher(source, refined)


def _label_source(
    folder: Path, number: int, source: Path, prior: MonoPrior, every: int, focal: float | None
) -> int:
    name = f'site{number}'
    return store_labels(
        folder, name, source_frames(source, every, focal), clip_length(source), prior, bundled()
    )


def bundled() -> FlashDepth:
    """Return nano as it is, before rectification."""
    model = new_network(config_of(NETWORK), 0, imagenet=False)
    model.load_state_dict(read_state_dict(weights_path(card(NETWORK))))
    return model.eval()


def rehearse(folder: Path, clips: int) -> None:
    """Render clips of the training families."""
    families = tuple(TRAINING_FAMILIES.values())
    data = site_data(folder)
    data.rendered.mkdir(parents=True, exist_ok=True)
    for index in range(clips):
        Take(index, REHEARSED_SEED, families, REHEARSED_FRAMES).store(data.rendered)


def fine_tune(folder: Path, recipe: Recipe) -> tuple[Score, Score]:
    """Train, write ``nano.safetensors``, and return the scores before and after.

    They are means over the clips that were set apart: agreement with the teacher, not with truth.
    """
    data = site_data(folder)
    run = Run(recipe, data, folder / 'run', start=weights_path(card(NETWORK)))
    run.train()
    target = folder / f'{NETWORK}.safetensors'
    export_weights(folder / 'run', target)
    tuned = bundled()
    tuned.load_state_dict(read_state_dict(target))
    before, after = (list(validate(model, data.held_out))[-1] for model in (bundled(), tuned))
    return before, after


def summary(before: Score, after: Score) -> Iterator[str]:
    """Yield lines that compare the fine-tuned network with what it was."""
    yield f'{"on held-out clips, against the teacher":40} {"before":>8} {"after":>8}'
    for (name, was), (_, now) in zip(before.figures(), after.figures(), strict=True):
        yield f'{name:40} {was:8.3f} {now:8.3f}'


def main() -> int:
    """Parse the command line, label, train and compare; 1 where nothing was gained."""
    parser = argparse.ArgumentParser(prog='python -m training.distil', description=__doc__)
    parser.add_argument('folder', type=Path, help='of everything that this writes; resumed')
    parser.add_argument('sources', type=Path, nargs='+', metavar='SOURCE')
    parser.add_argument('--teacher', choices=(*PRIORS, REFINED), default='depth-anything-v2-small')
    parser.add_argument('--every', type=int, default=1, metavar='N', help='use one frame of N')
    parser.add_argument(
        '--focal', type=float, metavar='FX/WIDTH', help='of images and videos, for metric teachers'
    )
    parser.add_argument(
        '--steps', type=int, nargs=2, default=(1500, 300), help='with images, then with clips'
    )
    parser.add_argument('--rehearse', type=int, default=420, metavar='N', help='rendered clips')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_memory()
    label(arguments.folder, arguments.sources, arguments.teacher, arguments.every, arguments.focal)
    rehearse(arguments.folder, arguments.rehearse)
    phases = tuple(
        replace(phase, steps=n) for phase, n in zip(RECIPE.phases, arguments.steps, strict=True)
    )
    before, after = fine_tune(arguments.folder, replace(RECIPE, phases=phases))
    print('\n'.join(summary(before, after)))
    if after.abs_rel >= before.abs_rel:
        print('nothing was gained: use more material or steps', file=sys.stderr)
        return 1
    print(f'videodepth weights import {arguments.folder / f"{NETWORK}.safetensors"}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
