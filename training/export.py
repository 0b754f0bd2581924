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
    """Write the mean of the averages that the run's recipe names, as `save_mean`."""
    phases = json.loads((run / 'recipe.json').read_text())['shipped']
    averages = [torch.load(average_path(run, phase), weights_only=True) for phase in phases]
    return save_mean(averages, target)


def save_mean(weights: list[dict[str, Tensor]], target: Path) -> str:
    """Write the mean of the weights of one network, by name, and return the file's sha256.

    `load_flashdepth` reads it. Weights are stored in half precision: that moves depth by a
    thousandth. Statistics of batch norms stay in single precision, for variances span more than
    halves can.
    """
    means = {name: _mean([each[name] for each in weights]) for name in weights[0]}
    save_file({name: _stored(name, mean) for name, mean in means.items()}, target)
    target.chmod(0o644)  # safetensors leaves it to its owner, but a package is everybody's
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _mean(tensors: list[Tensor]) -> Tensor:
    """Return the mean; of counts, the last."""
    is_count = not tensors[0].is_floating_point()
    return tensors[-1] if is_count else torch.stack([each.float() for each in tensors]).mean(0)


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
