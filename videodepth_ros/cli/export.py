# SPDX-License-Identifier: Apache-2.0
"""``videodepth export``: a model as an ONNX graph, to build an engine elsewhere."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import describe, size
from videodepth_ros.cli.outcome import Outcome, outcome

if TYPE_CHECKING:
    from videodepth_ros.models.catalogue import ModelCard, WeightsCard


@dataclass(frozen=True)
class ExportFacts:
    """The exported graph; width and height of its input."""

    model: str
    path: str
    width: int
    height: int
    megabytes: float
    licence: str
    self_check: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'The graph of a streaming model is one step: image and state in, inverse depth and state\n'
        'out. That of a prior (depth-pro, depth-anything-v2-*) is the network alone. Opset 20.',
        'export nano nano.onnx',
        'export flashdepth-s s.onnx --size 924x518',
        'export flashdepth-s s.onnx --size 924x518 --fused fp16',
        'export depth-anything-v2-small prior.onnx',
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
        help='size of the camera image, from which that of the network input follows '
        '(default: 640x480)',
    )
    parser.add_argument(
        '--fused',
        default='plain',
        choices=('fp16', 'fp32'),
        help='export the whole step of a streaming model from image bytes to depth and cloud, for '
        'TensorRT, in this precision',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Export a model."""
    from videodepth_ros.models.catalogue import ModelCard, weights_card

    model, path = weights_card(args.model), Path(args.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f'.{path.name}.', dir=path.parent) as folder:
        part = Path(folder) / path.name  # a graph names the file of its weights
        width, height, self_check = (
            _export_step(model, part, args.size, args.fused)
            if isinstance(model, ModelCard)
            else _export_prior(model, part, args.size)
        )
        for file in Path(folder).iterdir():
            file.replace(path.with_name(file.name))
    files = (path, path.with_name(f'{path.name}.data'))  # the second if the graph exceeds one file
    megabytes = round(sum(file.stat().st_size for file in files if file.exists()) / 1e6, 3)
    facts = ExportFacts(args.model, str(path), width, height, megabytes, model.licence, self_check)
    print(
        f'{path}: {args.model} at {width}x{height}, {facts.megabytes} MB, '
        f'licence of the weights {model.licence}; {self_check}'
    )
    return outcome(facts)


def _export_step(
    model: ModelCard, path: Path, camera: tuple[int, int], kind: str
) -> tuple[int, int, str]:
    from videodepth_ros.engines.artefacts import export_graph

    width, height = model.input_size(*camera)
    return width, height, export_graph(model.name, path, width, height, kind)


def _export_prior(prior: WeightsCard, path: Path, camera: tuple[int, int]) -> tuple[int, int, str]:
    from videodepth_ros.core.errors import DeviceError
    from videodepth_ros.models.catalogue import INSTALL_PRIORS, weights_path

    weights_path(prior)  # raises ModelError if they are missing
    try:
        from videodepth_ros.engines.export_prior import export_prior
    except ImportError as error:
        raise DeviceError(
            f'{prior.name} cannot be exported here: {error}; {INSTALL_PRIORS}'
        ) from error
    graph = export_prior(prior.name, path, *camera)
    return graph.width, graph.height, f'differs from torch by {graph.difference:.1e}'
