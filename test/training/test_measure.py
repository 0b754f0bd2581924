# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.measure import Stream, measure_all, of_clip, of_folder, predicted_pairs
from training.shards import find_clips
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.nano import NANO


class FlatWorld(FlashDepth):
    """A network that sees canonical inverse depth 25 everywhere, a little less in each frame."""

    def step(self, image: torch.Tensor, state: torch.Tensor | None = None,
             ) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.zeros(1) if state is None else state + 1
        return torch.full(image.shape[-2:], 25.0)[None] - state, state


def recorded(folder: Path) -> Path:
    (folder / 'rgb').mkdir(parents=True)
    (folder / 'depth').mkdir()
    for k in range(4):
        cv2.imwrite(str(folder / f'rgb/{k}.png'), np.full((60, 80, 3), 40 * k, np.uint8))
        cv2.imwrite(str(folder / f'depth/{k}.png'), np.full((60, 80), 3000, np.uint16))
    (folder / 'intrinsics.json').write_text(
        json.dumps({'width': 80, 'fx': 60.0, 'depth_png_scale_m': 0.001}))
    return folder


def test_recorded_sequences_are_metric_through_their_intrinsics(tmp_path: Path) -> None:
    sequence = of_folder(recorded(tmp_path / 'room'), stride=2)
    torch.manual_seed(0)
    pairs = predicted_pairs(Stream(FlatWorld(NANO), keep_state=False), sequence)
    assert len(pairs) == 2
    assert np.allclose(pairs[0].truth_m, 3.0)
    assert np.allclose(pairs[0].predicted_m, 3.0)   # 100 * 60 / 80 / 25


@pytest.mark.parametrize('keep_state', [True, False])
def test_the_table_tells_kept_state_from_reset(clips: Path, keep_state: bool) -> None:
    both = measure_all(FlatWorld(NANO), [of_clip(find_clips(clips)[0])])
    kept, reset = ([cell.strip() for cell in measured.line().split('|')] for measured in both)
    assert kept[1:4] == ['meadow-00000000', 'kept', '6']
    assert reset[2] == 'reset'
    static = kept[-2] if keep_state else reset[-2]
    assert (static == '0.00 %') is not keep_state
