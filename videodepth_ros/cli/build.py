# SPDX-License-Identifier: Apache-2.0
"""``videodepth build``: make what an engine needs ahead, so that a robot starts at once."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import add_command, size
from videodepth_ros.cli.outcome import Outcome, outcome

if TYPE_CHECKING:
    from videodepth_ros.cli.options import Commands


@dataclass(frozen=True)
class BuildFacts:
    """What was made, or found in the cache; width and height are those of the network's input."""

    model: str
    engine: str
    precision: str
    device: str
    width: int
    height: int
    seconds: float
    notes: tuple[str, ...]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        'build',
        'build the engine of a model ahead of time',
        'A TensorRT plan takes minutes, and fits one GPU, driver and version only. It is checked\n'
        'against answers of the network before it is stored, in $XDG_CACHE_HOME/videodepth or\n'
        '~/.cache/videodepth. Where there is no GPU the graph for the CPU is built.',
        ('build nano', 'build flashdepth-s --size 1280x720 --precision fp32'),
    )
    from videodepth_ros.models.catalogue import cards

    parser.add_argument(
        'model', metavar='MODEL', choices=[card.name for card in cards()], help='name of the model'
    )
    parser.add_argument(
        '--size',
        type=size,
        default=(640, 480),
        metavar='WxH',
        help='size of the camera image (default: 640x480)',
    )
    parser.add_argument(
        '--max-pixels',
        type=int,
        default=0,
        metavar='N',
        help="budget of the network's pixels, as the parameter of the live node "
        "(default: 0, the model's own)",
    )
    parser.add_argument(
        '--engine',
        default='auto',
        choices=('auto', 'tensorrt', 'onnx'),
        help='what will run it (default: auto)',
    )
    parser.add_argument(
        '--precision',
        default='fp16',
        choices=('fp16', 'fp32'),
        help='of a TensorRT plan; where fp16 fails its check, fp32 is tried (default: fp16)',
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
    from videodepth_ros.engines.open import open_engine
    from videodepth_ros.models.catalogue import card
    from videodepth_ros.models.preprocess import budget_size

    known = card(args.model)
    budget = args.max_pixels or known.max_pixels
    width, height = budget_size(args.size[0], args.size[1], budget, known.patch)
    began_s = time.monotonic()
    engine = open_engine(
        args.model, args.engine, width, height, precision=args.precision, report=tell
    )
    spec = engine.spec
    engine.close()
    facts = BuildFacts(
        spec.model,
        spec.engine,
        spec.precision,
        spec.device,
        width,
        height,
        round(time.monotonic() - began_s, 1),
        spec.notes,
    )
    print('\n'.join(spec.notes))
    print(
        f'{facts.model} runs as {facts.engine} {facts.precision} on {facts.device} at '
        f'{width}x{height}, ready in {facts.seconds} s'
    )
    return outcome(facts)


def tell(phase: str, fraction: float) -> None:
    """Show how far a build is, in one line that changes."""
    if sys.stderr.isatty():
        print(f'\r{phase:<60.60} {fraction:4.0%}', end='', file=sys.stderr, flush=True)
