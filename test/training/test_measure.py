# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.measure import Memory, held_out, measure_all, of_folder, predicted_pairs
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.nano import NANO

pytestmark = pytest.mark.slow


class FlatWorld(FlashDepth):
    """A network that sees canonical inverse depth 25 everywhere, a little less in each frame."""

    def step(
        self, image: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.zeros(1) if state is None else state + 1
        return torch.full(image.shape[-2:], 25.0)[None] / (1 + 0.02 * state), state


def recorded(folder: Path) -> Path:
    (folder / 'rgb').mkdir(parents=True)
    (folder / 'depth').mkdir()
    for k in range(4):
        cv2.imwrite(str(folder / f'rgb/{k}.png'), np.full((60, 80, 3), 40 * k, np.uint8))
        cv2.imwrite(str(folder / f'depth/{k}.png'), np.full((60, 80), 3000, np.uint16))
    (folder / 'intrinsics.json').write_text(
        json.dumps({'width': 80, 'fx': 60.0, 'fps': 10, 'depth_png_scale_m': 0.001})
    )
    return folder


def test_recorded_sequences_are_metric_through_their_intrinsics(tmp_path: Path) -> None:
    sequence = of_folder(recorded(tmp_path / 'room'), stride=2)
    torch.manual_seed(0)
    pairs = predicted_pairs(FlatWorld(NANO), sequence, Memory.RESET)
    assert len(pairs) == 2
    assert np.allclose(pairs[0].truth_m, 3.0)
    assert np.allclose(pairs[0].predicted_m, 3.0)  # 100 * 60 / 80 / 25


def test_the_table_tells_what_is_remembered(sequences) -> None:
    rows = [
        [cell.strip() for cell in measured.line().split('|')]
        for measured in measure_all(FlatWorld(NANO), sequences[:1])
    ]
    assert [row[1:4] for row in rows] == [
        ['meadow-00000000', memory, '6'] for memory in ('steadied', 'kept', 'reset')
    ]
    steadied, kept, reset = (float(row[-3].split()[0]) for row in rows)
    assert reset == 0
    assert kept > 5  # the network answers with less and less
    assert steadied < 0.7 * kept  # what is left is the mean over the stream, which it keeps


def test_a_held_out_sequence_can_be_read_again() -> None:
    (sequence,) = held_out(1)
    assert sequence.name == 'studios-0'
    first, again = (next(iter(sequence.frames())) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    assert len(list(sequence.frames())) == 50
