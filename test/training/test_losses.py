# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from training.losses import LossWeights, depth_loss

WEIGHTS = LossWeights(structure=0.5, gradient=0.5, drift=0.5, scales=3, flicker=0.5)


def scene() -> torch.Tensor:
    """(2, 3, 16, 24) canonical inverse depth with sky above."""
    torch.manual_seed(0)
    inverse_depth = 1 + 50 * torch.rand(2, 3, 16, 24)
    inverse_depth[:, :, :4] = 0
    return inverse_depth


def test_the_truth_costs_nothing() -> None:
    losses = depth_loss(torch.log1p(scene()), scene(), WEIGHTS)
    assert losses.total.item() == pytest.approx(0, abs=1e-6)


def test_any_value_below_zero_says_sky() -> None:
    u = torch.log1p(scene())
    u[:, :, :4] = -3.0
    assert depth_loss(u, scene(), WEIGHTS).total.item() == pytest.approx(0, abs=1e-6)


def test_structure_and_drift_do_not_see_what_all_frames_share() -> None:
    solid = scene() + 1
    losses = depth_loss(torch.log1p(solid) + 0.3, solid, WEIGHTS)
    assert losses.absolute.item() == pytest.approx(0.3, rel=1e-4)
    for part in (losses.structure, losses.gradient, losses.drift):
        assert part.item() == pytest.approx(0, abs=1e-5)


def test_drift_is_what_frames_do_not_share() -> None:
    solid = scene() + 1
    wander = torch.tensor([-0.1, 0.0, 0.1])[None, :, None, None]
    losses = depth_loss(torch.log1p(solid) + wander, solid, WEIGHTS)
    assert losses.drift.item() == pytest.approx(0.2 / 3, rel=1e-3)
    assert losses.structure.item() == pytest.approx(0, abs=1e-5)


def test_blurred_edges_cost_gradient() -> None:
    step = torch.ones(1, 1, 16, 16)
    step[..., 8:] = 20
    blurred = torch.log1p(torch.nn.functional.avg_pool2d(step, 5, 1, 2, count_include_pad=False))
    assert depth_loss(blurred, step, WEIGHTS).gradient.item() > 0.05


def test_flicker_is_what_changes_where_the_truth_stands_still() -> None:
    still = (scene()[:, :1] + 1).expand(-1, 3, -1, -1)
    blinking = torch.tensor([0.0, 0.1, 0.0])[None, :, None, None]
    assert depth_loss(torch.log1p(still) + blinking, still, WEIGHTS).flicker.item() == (
        pytest.approx(0.1, rel=1e-3)
    )
    moved = still * torch.tensor([1.0, 1.5, 1.0])[None, :, None, None]
    assert depth_loss(torch.log1p(moved) + blinking, moved, WEIGHTS).flicker.item() == 0
    assert depth_loss(torch.log1p(still[:, :1]), still[:, :1], WEIGHTS).flicker.item() == 0


def test_what_is_unknown_costs_nothing() -> None:
    torch.manual_seed(1)
    truth = scene()
    unknown = torch.rand(truth.shape) < 0.3
    holed = torch.where(unknown, torch.nan, truth)
    u = torch.log1p(truth) + 0.1
    u[:, :, :4] = -1.0
    wild = torch.where(unknown, 100.0, u)
    losses, wild_losses = depth_loss(u, holed, WEIGHTS), depth_loss(wild, holed, WEIGHTS)
    assert losses.total.isfinite()
    assert wild_losses.total.item() == pytest.approx(losses.total.item(), rel=1e-5)
    assert losses.absolute.item() == pytest.approx(0.1 * 12 / 16, rel=0.1)  # sky is exact
    wild.requires_grad_()
    depth_loss(wild, torch.full_like(truth, torch.nan), WEIGHTS).total.backward()
    assert wild.grad.abs().sum() == 0


def slanted() -> torch.Tensor:
    """(1, 1, 32, 48) canonical inverse depth of a plane."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing='ij')
    return (5 + 0.2 * rows + 0.3 * columns)[None, None]


def test_a_plane_costs_nothing_at_any_scale_and_shift_and_a_dent_does() -> None:
    plane = slanted()
    for scale, shift in ((1.0, 0.0), (1.4, 0.0), (0.8, 2.0)):
        flat = torch.log1p(scale * plane + shift)
        assert depth_loss(flat, plane, WEIGHTS).plane.item() == pytest.approx(0, abs=1e-5)
    dented = torch.log1p(plane)
    dented[..., 14:18, 22:26] += 0.1
    assert depth_loss(dented, plane, WEIGHTS).plane.item() > 1e-3


def test_no_plane_is_asked_for_where_the_truth_bends_or_is_unknown() -> None:
    bent = (0.3 * slanted()).exp()
    assert depth_loss(torch.log1p(bent) + bent.sin(), bent, WEIGHTS).plane.item() == 0
    unknown = torch.full_like(bent, torch.nan)
    assert depth_loss(torch.log1p(bent), unknown, WEIGHTS).plane.item() == 0


def test_the_gradient_of_a_bend_is_bounded_where_the_prediction_is_far_off() -> None:
    u = torch.log1p(slanted()).clone()
    u[..., ::5, ::7] += 50
    u.requires_grad_(True)
    depth_loss(u, slanted(), WEIGHTS).plane.backward()
    assert u.grad is not None
    assert u.grad.isfinite().all()
    assert u.grad.abs().max() < 1
