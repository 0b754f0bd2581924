# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from training.measure import Memory, measure_all
from training.report import contact_sheet, page, panels
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.nano import NANO

pytestmark = pytest.mark.slow


class Ramp(FlashDepth):
    """A network that sees a floor: inverse depth grows down the image, less where it remembers."""

    def step(
        self, image: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = image.shape[-2:]
        ramp = torch.linspace(1, 40, height)[:, None].expand(height, width)
        return ramp[None] * (1.0 if state is None else 0.9), torch.zeros(1)


def test_the_report_has_a_line_of_bars_and_three_of_figures_for_each_sequence(sequences) -> None:
    model = Ramp(NANO)
    measured = list(measure_all(model, sequences))
    text = page(measured)
    for sequence in sequences:
        assert sum(line.startswith(f'| {sequence.name} |') for line in text.splitlines()) == 4
    assert 'Means over the 3 sequences' in text
    rows = [panels(model, *both) for both in zip(sequences, measured[:: len(Memory)], strict=True)]
    height, width = rows[0].shape[:2]
    sheet = contact_sheet(rows)
    assert sheet.shape == (2 * height, 2 * width, 3)
    assert np.all(sheet[height:, width:] == 0)
    assert sheet[:height, width // 3 : 2 * width // 3].std() > 10  # the truth has colours
