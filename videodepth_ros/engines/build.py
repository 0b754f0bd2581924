# SPDX-License-Identifier: Apache-2.0
"""Export a model of the catalogue and check the graph: a program of its own, run by open.py.

Its own process, so that a node which runs a graph never holds torch (some 400 MB) and goes on
serving while a graph is built.
"""

from __future__ import annotations

import sys
from pathlib import Path

from videodepth_ros.engines.check import FP32_TOLERANCE, require_agreement, rollout_difference
from videodepth_ros.engines.export import export_onnx
from videodepth_ros.engines.graph import Origin
from videodepth_ros.engines.onnx_engine import OnnxEngine
from videodepth_ros.engines.store import sha256_of
from videodepth_ros.engines.torch_engine import TorchEngine
from videodepth_ros.errors import VideoDepthError
from videodepth_ros.models.catalogue import ModelCard, card, weights_path
from videodepth_ros.models.flashdepth import load_flashdepth
from videodepth_ros.models.variants import config_of


def build_graph(model_card: ModelCard, path: Path, width: int, height: int) -> str:
    """Write the graph of a model, run it beside the model, and say how far they differ.

    raises  ModelError if the weights are missing or wrong, or the graph computes something else
    """
    weights = weights_path(model_card)
    model = load_flashdepth(config_of(model_card.name), weights)
    export_onnx(model, path, width, height, Origin(
        model_card.name, model_card.unit.value, model_card.licence, sha256_of(weights)))
    difference = rollout_difference(
        OnnxEngine(path), TorchEngine(model, model_card.name, width, height))
    require_agreement(difference, FP32_TOLERANCE, f'the exported graph of {model_card.name}')
    return str(difference)


def main(arguments: list[str]) -> int:
    """Build from the words MODEL PATH WIDTH HEIGHT; the last line printed is the finding."""
    name, path, width, height = arguments
    try:
        print(build_graph(card(name), Path(path), int(width), int(height)))
    except (VideoDepthError, OSError) as error:
        print(error)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
