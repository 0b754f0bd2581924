# SPDX-License-Identifier: Apache-2.0
"""Build an artefact of a model; the child process of artefacts.py.

A process of its own: a node that runs a graph never loads torch (400 MB), and goes on running
while a graph is built.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from videodepth_ros.core.errors import VideoDepthError
from videodepth_ros.engines.artefacts import PLAIN, REFERENCE
from videodepth_ros.engines.check import require_agreement, rollout_difference
from videodepth_ros.engines.child_process import exit_with_parent
from videodepth_ros.engines.export import export_fused, export_onnx
from videodepth_ros.engines.fused import FusedStep
from videodepth_ros.engines.graph import FrameParameters, Layout, Origin
from videodepth_ros.engines.lowering import lower_network
from videodepth_ros.engines.onnx_engine import OnnxEngine
from videodepth_ros.engines.options import SelfCheckOptions
from videodepth_ros.engines.reference import ReferenceOutputs, reference_frames
from videodepth_ros.engines.store import sha256_of
from videodepth_ros.engines.torch_engine import TorchEngine
from videodepth_ros.models.catalogue import ModelCard, card, weights_path
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.variants import config_of


def build_graph(
    model_card: ModelCard, path: Path, width: int, height: int, kind: str = PLAIN
) -> str:
    """Write an artefact of a model; return the result of its self-check.

    kind    see ``artefacts.export_graph``
    raises  ModelError if the weights are missing or wrong, or the self-check fails
    """
    weights = weights_path(model_card)
    model = load_flashdepth(config_of(model_card.name), weights)
    layout = Layout(width, height, width, height)
    if kind == REFERENCE:
        reference_outputs(model, layout).save(path)
        return 'outputs of the network in float32'
    origin = Origin(model_card.name, model_card.unit.value, model_card.licence, sha256_of(weights))
    if kind != PLAIN:
        export_fused(model, path, layout, kind, origin)
        return 'checked when compiled'
    export_onnx(model, path, width, height, origin)
    difference = rollout_difference(
        OnnxEngine(path), TorchEngine(model, model_card.name, width, height)
    )
    require_agreement(
        difference,
        SelfCheckOptions().max_relative_error,
        f'the exported graph of {model_card.name}',
    )
    return str(difference)


def reference_outputs(model: FlashDepth, layout: Layout) -> ReferenceOutputs:
    """Return the float32 network's outputs for the reference frames."""
    step = FusedStep(lower_network(model, layout.width, layout.height), layout)
    parameters = torch.from_numpy(FrameParameters(1, 1, 0, 0).values())
    state = model.zero_state()
    found = []
    with torch.inference_mode():
        for image in reference_frames(layout.camera_width, layout.camera_height):
            inverse_depth, *_, state = step(torch.from_numpy(image), state, parameters)
            found.append(inverse_depth.numpy())
    return ReferenceOutputs(np.stack(found), state.numpy())


def main(arguments: list[str]) -> int:
    """Build from the arguments KIND MODEL PATH WIDTH HEIGHT; print the result as last line."""
    kind, name, path, width, height = arguments
    exit_with_parent()
    try:
        print(build_graph(card(name), Path(path), int(width), int(height), kind))
    except (VideoDepthError, OSError) as error:
        print(' '.join(str(error).split()))
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
