# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from videodepth_ros.models.dpt import DPTConfig
from videodepth_ros.models.point_head import PointHead, points_and_confidence

CHANNELS = (12, 8, 8, 8)
CONFIG = DPTConfig(dim=8, channels=(4, 6, 8, 10), head_dim=6)


def head() -> PointHead:
    torch.manual_seed(0)
    return PointHead(CHANNELS, CONFIG).eval()


def run(model: PointHead, encoded: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return model(model.finest(encoded[0]), encoded[1:])


def maps(rows: int, columns: int, batch: int = 1) -> list[torch.Tensor]:
    return [torch.randn(batch, c, rows, columns) for c in CHANNELS]


@pytest.mark.parametrize('grid', [(1, 1), (2, 4), (3, 5), (4, 3)])
def test_sizes(grid):
    rows, columns = 16 * grid[0], 16 * grid[1]
    points, confidence = run(head(), maps(*grid, batch=2))
    assert tuple(points.shape) == (2, rows, columns, 3)
    assert tuple(confidence.shape) == (2, rows, columns)


def test_distance_is_expm1_and_direction_stays():
    raw = torch.tensor([[3.0, -4.0, 0.0, 0.5], [0.0, 0.0, 0.0, -20.0], [0.0, 0.0, 1e-6, 0.0]])
    points, confidence = points_and_confidence(raw.T[None, :, None])
    reach = torch.tensor(5.0).expm1()
    torch.testing.assert_close(
        points[0, 0],
        torch.stack([torch.tensor([0.6, -0.8, 0.0]) * reach, torch.zeros(3), raw[2, :3]]),
    )
    torch.testing.assert_close(confidence[0, 0], 1 + torch.tensor([0.5, -20.0, 0.0]).exp())


def test_a_tensor_under_two_names_is_one():
    model = head()
    model.scratch['layer_rn'][2].weight.data.fill_(0.25)
    assert (model.state_dict()['scratch.layer3_rn.weight'] == 0.25).all()


def test_coarsest_stage_has_no_skip():
    model, given = head(), maps(3, 4)
    before = run(model, given)
    for parameter in model.scratch['refinenet4'].resConfUnit1.parameters():
        parameter.data.fill_(torch.nan)
    assert torch.equal(before[0], run(model, given)[0])
