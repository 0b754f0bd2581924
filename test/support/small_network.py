# SPDX-License-Identifier: Apache-2.0
"""Single-image networks of one convolution, exported to ONNX, and their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import yaml
from onnx import TensorProto, helper
from torch import Tensor, nn

WIDTH, HEIGHT = 64, 48
MULTIPLE = 16
GAIN, OFFSET = 3.0, 0.5


class Brightness(nn.Module):
    """Return a map that grows with red, so that channel order and normalisation matter."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 1, 1)
        with torch.no_grad():
            self.mix.weight.copy_(torch.tensor([GAIN, 0.0, 0.25]).reshape(1, 3, 1, 1))
            self.mix.bias.fill_(OFFSET)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) to values (B, 1, H, W)."""
        return self.mix(image)


def expected_values(image: np.ndarray, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """Return the network's output (H, W) for an image (H, W, 3) uint8."""
    red, _, blue = ((image.astype(np.float64) / 255 - mean) / std).transpose(2, 0, 1)
    return GAIN * red + 0.25 * blue + OFFSET


def export_network(path: Path, *, dynamic: bool = False, external: bool = False) -> Path:
    """Export the network to ``path``."""
    sides = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC} if dynamic else None
    program = torch.onnx.export(
        Brightness().eval(),
        (torch.zeros(1, 3, HEIGHT, WIDTH),),
        dynamo=True,
        verbose=False,
        opset_version=20,
        input_names=['image'],
        output_names=['depth'],
        dynamic_shapes=(sides,) if dynamic else None,
    )
    assert program is not None
    program.save(path)
    if external:
        onnx.save_model(
            onnx.load(path),
            path,
            save_as_external_data=True,
            location=f'{path.name}.data',
            size_threshold=0,
        )
    return path


def write_graph(
    path: Path,
    shape: tuple[int | str, ...] = (1, 3, HEIGHT, WIDTH),
    out: tuple[int | str, ...] = (1, 3, HEIGHT, WIDTH),
    kind: int = TensorProto.FLOAT,
    inputs: int = 1,
    outputs: int = 1,
    operator: str = '::Identity',
) -> Path:
    """Write a graph of any tensors and of an operator DOMAIN::NAME; no runtime need accept it."""
    domain, _, name = operator.partition('::')
    graph = helper.make_graph(
        [helper.make_node(name, ['in0'], [f'out{k}'], domain=domain) for k in range(outputs)],
        'graph',
        [helper.make_tensor_value_info(f'in{k}', kind, shape) for k in range(inputs)],
        [helper.make_tensor_value_info(f'out{k}', kind, out) for k in range(outputs)],
    )
    onnx.save(helper.make_model(graph), path)
    return path


def write_card(folder: Path, **entries: Any) -> str:
    """Write a card in a folder and return its path; entries of None are left out."""
    card = folder / 'card.yaml'
    written = {'file': 'net.onnx', 'output': 'depth in metres', 'licence': 'MIT'} | entries
    card.write_text(yaml.safe_dump({k: v for k, v in written.items() if v is not None}))
    return str(card)
