# SPDX-License-Identifier: Apache-2.0
"""The head of DUSt3R: a dense prediction transformer that ends in a point and a confidence.

Wang et al. 2024 (arXiv 2312.14132, section 3.2) after Ranftl et al. 2021 (arXiv 2103.13413).
Attribute names are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from videodepth_ros.models.dpt import DPTConfig, FeatureFusion, resize_layer
from videodepth_ros.models.vit import Four

SMALLEST = 1e-8


class PointHead(nn.Module):
    """Four maps of a view, all at the grid of patches, to its points and their confidences.

    As in dpt.py, level i in 1..4 is a map at 2 ** (3 - i) times the size of the grid.
    """

    def __init__(self, channels: Four, config: DPTConfig) -> None:
        super().__init__()
        dim = config.dim
        self.act_postprocess = nn.ModuleList(
            nn.Sequential(nn.Conv2d(given, kept, 1), resize_layer(kept, factor))
            for given, kept, factor in zip(channels, config.channels, (4, 2, 1, 0.5), strict=True)
        )
        self.scratch = nn.ModuleDict()
        for i, kept in enumerate(config.channels, start=1):
            self.scratch[f'layer{i}_rn'] = nn.Conv2d(kept, dim, 3, padding=1, bias=False)
            self.scratch[f'refinenet{i}'] = FeatureFusion(dim)
        # The published checkpoints hold these four under two names.
        self.scratch['layer_rn'] = nn.ModuleList(
            self.scratch[f'layer{i}_rn'] for i in (1, 2, 3, 4)
        )
        self.head = nn.Sequential(
            nn.Conv2d(dim, dim // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True),
            nn.Conv2d(dim // 2, config.head_dim, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(config.head_dim, 4, 1),
        )

    def finest(self, encoded: Tensor) -> Tensor:
        """First map (B, C_1, h, w) to level 1 as the last stage adds it, (B, dim, 4 h, 4 w).

        A fifth of the head's work, and it knows of no other view.
        """
        refine = self.scratch['refinenet1'].get_submodule('resConfUnit1')
        return refine(self._level(1, encoded))

    def forward(self, finest: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute points (B, 16 h, 16 w, 3) and confidences (B, 16 h, 16 w) of a view.

        finest  what the method of that name made of the first map
        maps    the second to fourth map, (B, C_i, h, w)
        """
        level_2, level_3, level_4 = (self._level(i, x) for i, x in enumerate(maps, start=2))
        rows, columns = level_3.shape[-2:]
        # A grid with an odd side was halved upwards: its double is too long.
        path = self._stage(4, level_4, None)[..., :rows, :columns]
        path = self._stage(3, path, level_3)
        path = self._stage(2, path, level_2)
        return points_and_confidence(self.head(self._stage(1, path + finest, None)))

    def _level(self, i: int, x: Tensor) -> Tensor:
        """Bring the i-th map (B, C_i, h, w) to level i."""
        return self.scratch[f'layer{i}_rn'](self.act_postprocess[i - 1](x))

    def _stage(self, i: int, path: Tensor, skip: Tensor | None) -> Tensor:
        """Refine a path, and a skip where there is one, and double the size."""
        return self.scratch[f'refinenet{i}'](path, skip, [2 * n for n in path.shape[-2:]])


def points_and_confidence(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Last layer (B, 4, H, W) to points (B, H, W, 3) and confidences (B, H, W) from 1 up.

    The distance of a point is expm1 of the raw one; a confidence is 1 + exp of the raw one.
    """
    direction = raw[:, :3].movedim(1, -1)
    distance = direction.norm(dim=-1, keepdim=True)
    return direction / distance.clamp(min=SMALLEST) * distance.expm1(), 1 + raw[:, 3].exp()
