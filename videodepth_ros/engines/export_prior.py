# SPDX-License-Identifier: Apache-2.0
"""Write Depth Pro or a Depth Anything V2 as an ONNX graph, for engines elsewhere.

The graph is the network alone, of one static size. What stands around it (resizing, and for Depth
Pro the focal length) is in ``models/depth_pro.py`` and ``models/depth_anything.py``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.export import OPSET
from videodepth_ros.models.depth_anything import DepthAnything
from videodepth_ros.models.depth_pro import DepthPro
from videodepth_ros.models.mono import open_mono_prior
from videodepth_ros.models.pretrained import ExportableNetwork

TOLERANCE = 1e-4
"""Relative to the greatest value, of ONNX Runtime against torch, both in float32."""

MOST_INLINE_BYTES = 1_500_000_000
"""A graph of more than 2 GB keeps its weights in a file beside it: protobuf takes no more."""


@dataclass(frozen=True)
class PriorGraph:
    """What was written: the size of the network's input, and how far it is from torch."""

    width: int
    height: int
    difference: float


def export_prior(name: str, path: Path, width: int, height: int) -> PriorGraph:
    """Write a prior as a graph and compare what it answers with torch.

    Its input ``image`` is (1, 3, h, w) float32, normalised with the mean and standard deviation
    in the file's metadata.
    width, height  of the camera's images
    raises  what `open_mono_prior` raises; ModelError where graph and network disagree
    """
    prior = open_mono_prior(name, device='cpu', precision='fp32')
    assert isinstance(prior, DepthPro | DepthAnything)
    alone = prior.exportable() if isinstance(prior, DepthPro) else prior.exportable(width, height)
    with torch.no_grad():
        program = torch.onnx.export(
            alone.network.eval(),
            (alone.example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=['image'],
            output_names=alone.outputs,
        )
    assert program is not None  # it is for the exporter of old, which writes the file itself
    program.model.metadata_props.update(
        {'model': name, 'mean': json.dumps(alone.mean), 'std': json.dumps(alone.std)}
    )
    size_bytes = sum(each.nbytes for each in alone.network.state_dict().values())
    program.save(path, external_data=size_bytes > MOST_INLINE_BYTES)
    difference = _difference(alone, path)
    if not difference <= TOLERANCE:
        raise ModelError(
            f'the graph of {name} is {difference:.1e} from torch, not {TOLERANCE:g}; '
            'install the versions in requirements/'
        )
    rows, columns = alone.example.shape[2:]
    return PriorGraph(columns, rows, difference)


def _difference(alone: ExportableNetwork, path: Path) -> float:
    """Return the greatest difference on noise, relative to the greatest value."""
    image = torch.randn(alone.example.shape, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    found = session.run(None, {'image': image.numpy()})
    with torch.inference_mode():
        answer = alone.network(image)
    wanted = answer if isinstance(answer, tuple) else (answer,)
    return max(
        float(np.abs(a - b.numpy()).max() / b.abs().max())
        for a, b in zip(found, wanted, strict=True)
    )
