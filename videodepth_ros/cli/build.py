# SPDX-License-Identifier: Apache-2.0
"""``videodepth build``: build an engine ahead of time, so that a robot starts without delay."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

from videodepth_ros.cli.console import ProgressDisplay
from videodepth_ros.cli.flags import add_flags
from videodepth_ros.cli.options import describe, size
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.core.progress import Progress
from videodepth_ros.models.catalogue import card, cards
from videodepth_ros.stream.parameters import StreamParameters


@dataclass(frozen=True)
class BuildFacts:
    """The engine that was built, or found in the cache; width and height of its input."""

    model: str
    engine: str
    precision: str
    device: str
    width: int
    height: int
    seconds: float
    notes: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'A TensorRT plan takes minutes to build and fits one GPU, driver and version. It is\n'
        'compared with outputs of the network before it is stored in\n'
        '$XDG_CACHE_HOME/videodepth or ~/.cache/videodepth. Without a GPU the graph for the CPU\n'
        'is built.',
        'build nano',
        'build flashdepth-s --size 1280x720 --precision fp32',
    )
    parser.add_argument(
        'model', metavar='MODEL', choices=[each.name for each in cards()], help='name of the model'
    )
    parser.add_argument(
        '--size',
        type=size,
        default=(640, 480),
        metavar='WxH',
        help='size of the camera image (default: 640x480)',
    )
    add_flags(parser, StreamParameters, only=('max_pixels',))
    parser.add_argument(
        '--engine',
        default='auto',
        choices=('auto', 'tensorrt', 'onnx'),
        help='engine to build for (default: %(default)s)',
    )
    parser.add_argument(
        '--precision',
        default='fp16',
        choices=('fp16', 'fp32'),
        help='precision of a TensorRT plan; a plan in fp16 that fails the comparison is built in '
        'fp32 (default: %(default)s)',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Build the engine of a model, or open it from the cache."""
    from videodepth_ros.engines.open import open_engine

    model = card(args.model)
    camera_width, camera_height = args.size
    width, height = model.input_size(camera_width, camera_height, args.max_pixels)
    begin_s = time.monotonic()
    with ProgressDisplay() as display:
        engine = open_engine(
            args.model,
            args.engine,
            width,
            height,
            precision=args.precision,
            report=lambda phase, fraction: display.show(Progress(phase, fraction, None)),
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
        round(time.monotonic() - begin_s, 1),
        spec.notes,
    )
    print('\n'.join(spec.notes))
    print(
        f'{facts.model} runs on {facts.engine} {facts.precision}, {facts.device}, at '
        f'{width}x{height}; ready in {facts.seconds} s'
    )
    return outcome(facts)
