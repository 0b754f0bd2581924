# SPDX-License-Identifier: Apache-2.0
"""Write the averaged weights of a run: `python -m training.export RUN WEIGHTS.safetensors`."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from training.train import average_path


def export_weights(run: Path, target: Path) -> str:
    """Write what ``load_flashdepth`` reads, and return its sha256.

    It is the mean of the averages that the run's recipe names. Weights are stored in half
    precision: that moves depth by a thousandth. Statistics of batch norms stay in single
    precision, for variances span more than halves can.
    """
    phases = json.loads((run / 'recipe.json').read_text())['shipped']
    averages = [torch.load(average_path(run, phase), weights_only=True) for phase in phases]
    save_file(
        {
            name: _stored(name, _mean([average[name] for average in averages]))
            for name in averages[0]
        },
        target,
    )
    target.chmod(0o644)  # safetensors leaves it to its owner, but a package is everybody's
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _mean(tensors: list[Tensor]) -> Tensor:
    """Return the mean; of counts, the last."""
    return torch.stack(tensors).mean(0) if tensors[0].is_floating_point() else tensors[-1]


def _stored(name: str, tensor: Tensor) -> Tensor:
    half = tensor.is_floating_point() and 'running' not in name
    return (tensor.half() if half else tensor).contiguous()


def main() -> None:
    """Parse the command line and export."""
    parser = argparse.ArgumentParser(prog='python -m training.export', description=__doc__)
    parser.add_argument('run', type=Path, help='folder of a training run')
    parser.add_argument('target', type=Path, help='the .safetensors file to write')
    arguments = parser.parse_args()
    print(export_weights(arguments.run, arguments.target))


if __name__ == '__main__':
    main()
