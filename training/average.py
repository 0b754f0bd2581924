# SPDX-License-Identifier: Apache-2.0
"""Write the mean of weights: `python -m training.average TARGET.safetensors WEIGHTS WEIGHTS ...`.

The mean of a network and of what fine-tuning made of it keeps most of what the second gained and
of what it forgot (Wortsman et al. 2022, arXiv 2109.01903).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file

from training.export import save_mean


def main() -> None:
    """Parse the command line and average."""
    parser = argparse.ArgumentParser(prog='python -m training.average', description=__doc__)
    parser.add_argument('target', type=Path, help='the .safetensors file to write')
    parser.add_argument('weights', type=Path, nargs='+', help='of the same network')
    arguments = parser.parse_args()
    print(save_mean([load_file(path) for path in arguments.weights], arguments.target))


if __name__ == '__main__':
    main()
