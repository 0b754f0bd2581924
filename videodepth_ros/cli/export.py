# SPDX-License-Identifier: Apache-2.0
"""``videodepth export``: a model as an ONNX graph, to build an engine from elsewhere."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import add_command, size
from videodepth_ros.cli.outcome import Outcome, outcome

if TYPE_CHECKING:
    from videodepth_ros.cli.options import Commands


@dataclass(frozen=True)
class ExportFacts:
    """What was written; width and height are those of the network's input."""

    model: str
    path: str
    width: int
    height: int
    megabytes: float
    licence: str
    self_check: str


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, 'export', 'write a model as an ONNX graph of one static size',
        'One step of the stream: image and state in, inverse depth and state out (opset 20).',
        ('export nano nano.onnx', 'export flashdepth-s s.onnx --size 924x518'))
    from videodepth_ros.models.catalogue import cards
    parser.add_argument('model', metavar='MODEL', choices=[card.name for card in cards()],
                        help='name of the model')
    parser.add_argument('output', metavar='OUT.onnx', help='file to write')
    parser.add_argument('--size', type=size, default=(640, 480), metavar='WxH',
                        help='size of the camera image; the network works at what its budget of '
                             'pixels makes of it (default: 640x480)')
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
    from videodepth_ros.engines.open import export_graph
    from videodepth_ros.models.catalogue import card
    from videodepth_ros.models.preprocess import budget_size
    known = card(args.model)
    width, height = budget_size(args.size[0], args.size[1], known.max_pixels, known.patch)
    path = Path(args.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    finding = export_graph(args.model, path, width, height)
    facts = ExportFacts(args.model, str(path), width, height,
                        round(path.stat().st_size / 1e6, 3), known.licence, finding)
    print(f'{path}: {args.model} at {width}x{height}, {facts.megabytes} MB, '
          f'licence of the weights {known.licence}; {finding}')
    return outcome(facts)
