# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from test.support.small_flashdepth import DECODER, ENCODER, SMALL_HYBRID, clip, small_model
from videodepth_ros.models.flashdepth import FLASHDEPTH_FULL
from videodepth_ros.models.fusion import HybridConfig, HybridFusion, teacher_size


@pytest.mark.parametrize(
    'size,wanted',
    [
        ((2044, 1148), (868, 490)),
        ((924, 518), (868, 490)),
        ((1932, 1092), (854, 490)),
        ((1092, 1932), (266, 490)),
        ((378, 1246), (140, 490)),  # the height decides, upright too
        ((784, 518), (728, 490)),  # 741.6, rounded down
        ((700, 700), (476, 490)),  # (490 / 700) * 700 = 489.99...
        ((1246, 378), (1246, 378)),
        ((644, 490), (644, 490)),  # not above 490 rows: as it is
        ((812, 602), (658, 490)),
        ((1036, 770), (658, 490)),
        ((2044, 1162), (854, 490)),
    ],
)
def test_what_the_teacher_sees(size, wanted):
    assert teacher_size(*size, 490, 14) == wanted


def test_released_teacher_has_490_rows():
    """The paper's figure shows 518; the released configuration has 490."""
    assert FLASHDEPTH_FULL.hybrid is not None
    assert FLASHDEPTH_FULL.hybrid.height == 490


def test_only_a_large_image_is_made_smaller_for_the_teacher():
    model = small_model(SMALL_HYBRID)
    seen = []
    model.teacher_model.pretrained.register_forward_hook(
        lambda _, inputs, output: seen.append(inputs[0])
    )
    small, large = clip(1, 70, 140)[:, 0], clip(1, 84, 112)[:, 0]
    model.step(small)
    model.step(large)
    assert seen[0] is small
    assert tuple(seen[1].shape) == (1, 3, 70, 84)
    corners = (0, 0, -1, -1), (0, -1, 0, -1)
    torch.testing.assert_close(
        seen[1][:, :, corners[0], corners[1]], large[:, :, corners[0], corners[1]]
    )


def random_fusion() -> HybridFusion:
    torch.manual_seed(0)
    fusion = HybridFusion(16, HybridConfig(ENCODER, DECODER, layers=3))
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return fusion


def test_fusion_is_the_formula():
    fusion = random_fusion().double()
    student = torch.randn(1, 16, 3, 4).double()
    teacher = torch.randn(1, DECODER.dim, 2, 5).double()

    def norm(v, layer):
        return torch.nn.functional.layer_norm(v, (16,), layer.weight, layer.bias, 1e-5)

    x = student.flatten(2)[0].T
    context = fusion.blocks[0][0].context_proj(teacher.flatten(2)[0].T)
    for block in fusion.blocks[0]:
        q = block.attention.q(norm(x, block.norm1))
        k, v = block.attention.kv(norm(context, block.context_norm)).split(16, dim=-1)
        heads = [
            (q[:, h] @ k[:, h].T / 8**0.5).softmax(-1) @ v[:, h]
            for h in (slice(0, 8), slice(8, 16))
        ]
        x = x + block.attention.proj(torch.cat(heads, -1))
        hidden = block.mlp[0](norm(x, block.norm2))
        x = x + block.mlp[2](hidden * (1 + torch.erf(hidden / 2**0.5)) / 2)
    torch.testing.assert_close(fusion(student, teacher)[0].flatten(1).T, x)


def test_context_is_projected_once():
    fusion = random_fusion()
    maps = torch.randn(1, 16, 3, 4), torch.randn(1, DECODER.dim, 2, 5)
    before = fusion(*maps)
    for block in list(fusion.blocks[0])[1:]:
        block.context_proj.weight.data.fill_(torch.nan)
    assert torch.equal(fusion(*maps), before)


def test_training_starts_from_the_student():
    fusion = HybridFusion(16, HybridConfig(ENCODER, DECODER))
    student = torch.randn(1, 16, 3, 4)
    torch.testing.assert_close(fusion(student, torch.randn(1, DECODER.dim, 2, 5)), student)
