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
    from videodepth_ros.models.catalogue import ModelCard, WeightsCard


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
        commands,
        'export',
        'write a model as an ONNX graph of one static size',
        'Of a streaming model one step: image and state in, inverse depth and state out. Of a\n'
        'prior (depth-pro, depth-anything-v2-*) the network alone. Opset 20.',
        (
            'export nano nano.onnx',
            'export flashdepth-s s.onnx --size 924x518',
            'export flashdepth-s s.onnx --size 924x518 --fused fp16',
            'export depth-anything-v2-small prior.onnx',
        ),
    )
    from videodepth_ros.models.catalogue import PRIOR_CARDS, cards

    parser.add_argument(
        'model',
        metavar='MODEL',
        help='name of the model',
        choices=[card.name for card in (*cards(), *PRIOR_CARDS)],
    )
    parser.add_argument('output', metavar='OUT.onnx', help='file to write')
    parser.add_argument(
        '--size',
        type=size,
        default=(640, 480),
        metavar='WxH',
        help='size of the camera image; the network works at what its budget of '
        'pixels makes of it (default: 640x480)',
    )
    parser.add_argument(
        '--fused',
        default='plain',
        choices=('fp16', 'fp32'),
        help="of a streaming model the whole step from an image's bytes to depth "
        'and cloud, for TensorRT, in this precision',
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
    from videodepth_ros.models.catalogue import ModelCard, weights_card

    known, path = weights_card(args.model), Path(args.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height, finding = (
        _export_step(known, path, args.size, args.fused)
        if isinstance(known, ModelCard)
        else _export_prior(known, path, args.size)
    )
    files = (path, path.with_name(f'{path.name}.data'))  # the second where one cannot hold all
    megabytes = round(sum(file.stat().st_size for file in files if file.exists()) / 1e6, 3)
    facts = ExportFacts(args.model, str(path), width, height, megabytes, known.licence, finding)
    print(
        f'{path}: {args.model} at {width}x{height}, {facts.megabytes} MB, '
        f'licence of the weights {known.licence}; {finding}'
    )
    return outcome(facts)


def _export_step(
    model: ModelCard, path: Path, camera: tuple[int, int], kind: str
) -> tuple[int, int, str]:
    from videodepth_ros.engines.artefacts import export_graph
    from videodepth_ros.models.preprocess import budget_size

    width, height = budget_size(*camera, model.max_pixels, model.patch)
    return width, height, export_graph(model.name, path, width, height, kind)


def _export_prior(prior: WeightsCard, path: Path, camera: tuple[int, int]) -> tuple[int, int, str]:
    from videodepth_ros.core.errors import DeviceError
    from videodepth_ros.models.catalogue import INSTALL_PRIORS, weights_path

    weights_path(prior)  # raises now where they are not here
    try:
        from videodepth_ros.engines.export_prior import export_prior
    except ImportError as error:
        raise DeviceError(
            f'{prior.name} cannot be exported here: {error}; {INSTALL_PRIORS}'
        ) from error
    graph = export_prior(prior.name, path, *camera)
    return graph.width, graph.height, f'differs from torch by {graph.difference:.1e}'
