# SPDX-License-Identifier: Apache-2.0
"""Write the averaged weights of a run: `python -m training.export RUN WEIGHTS.safetensors`."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor


def export_weights(run: Path, target: Path) -> str:
    """Write what ``load_flashdepth`` reads, and return its sha256.

    Weights are stored in half precision: that moves depth by a thousandth. Statistics of batch
    norms stay in single precision, for variances span more than halves can.
    """
    average = torch.load(run / 'checkpoint.pt', weights_only=True)['average']
    save_file({name: _stored(name, tensor) for name, tensor in average.items()}, target)
    target.chmod(0o644)   # safetensors leaves it to its owner, but a package is everybody's
    return hashlib.sha256(target.read_bytes()).hexdigest()


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
