# SPDX-License-Identifier: Apache-2.0
"""Export Depth Pro or a Depth Anything V2 as an ONNX graph for other engines.

The graph is the network alone at one static size. Its pre- and postprocessing (resizing, and Depth
Pro's focal length) are in ``models/depth_pro.py`` and ``models/depth_anything.py``.
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
from videodepth_ros.engines.options import PriorExportOptions
from videodepth_ros.models.depth_anything import DepthAnything
from videodepth_ros.models.depth_pro import DepthPro
from videodepth_ros.models.mono import open_mono_prior
from videodepth_ros.models.pretrained import ExportableNetwork

DEFAULTS = PriorExportOptions()


@dataclass(frozen=True)
class PriorGraph:
    """Input size of an exported prior [px], and its relative difference from torch."""

    width: int
    height: int
    difference: float


def export_prior(name: str, path: Path, width: int, height: int) -> PriorGraph:
    """Export a prior and compare its outputs with torch.

    The input ``image`` is (1, 3, h, w) float32, normalised with the mean and standard deviation in
    the file's metadata.

    width, height  of the camera's images [px]
    raises  what `open_mono_prior` raises; ModelError where graph and network differ
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
    assert program is not None  # None is for the TorchScript exporter
    program.model.metadata_props.update(
        {'model': name, 'mean': json.dumps(alone.mean), 'std': json.dumps(alone.std)}
    )
    size_bytes = sum(each.nbytes for each in alone.network.state_dict().values())
    program.save(path, external_data=size_bytes > DEFAULTS.max_inline_bytes)
    difference = _difference(alone, path)
    if not difference <= DEFAULTS.max_relative_error:
        raise ModelError(
            f'the graph of {name} differs from torch by {difference:.1e}, allowed '
            f'{DEFAULTS.max_relative_error:g}; '
            'install the versions in requirements/'
        )
    rows, columns = alone.example.shape[2:]
    return PriorGraph(columns, rows, difference)


def _difference(alone: ExportableNetwork, path: Path) -> float:
    """Return the largest difference on white noise, over the largest value."""
    image = torch.randn(alone.example.shape, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    found = session.run(None, {'image': image.numpy()})
    with torch.inference_mode():
        answer = alone.network(image)
    expected = answer if isinstance(answer, tuple) else (answer,)
    return max(
        float(np.abs(a - b.numpy()).max() / b.abs().max())
        for a, b in zip(found, expected, strict=True)
    )
