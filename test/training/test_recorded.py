# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from training.recorded import CLIP_FRAMES, store_sequence
from training.shards import find_clips


def test_a_recording_becomes_clips_with_unknown_depth(tmp_path: Path) -> None:
    """Twice as wide as what is stored: fx shrinks with it, depth stays."""
    sequence, clips = tmp_path / 'office', tmp_path / 'clips'
    clips.mkdir()
    (sequence / 'rgb').mkdir(parents=True)
    (sequence / 'depth').mkdir()
    depth = np.full((480, 640), 4000, np.uint16)
    depth[:, :320] = 0
    for k in range(CLIP_FRAMES + 1):
        cv2.imwrite(str(sequence / f'rgb/{k}.png'), np.full((480, 640, 3), (9, 0, 0), np.uint8))
        cv2.imwrite(str(sequence / f'depth/{k}.png'), depth)
    about = {'width': 640, 'fx': 512.0, 'depth_png_scale_m': 0.0005}
    (sequence / 'intrinsics.json').write_text(json.dumps(about))
    assert store_sequence(clips, sequence) == 2
    first, last = find_clips(clips)
    assert (len(first.image), len(last.image)) == (CLIP_FRAMES, 1)
    assert first.image[0, 0, 0].tolist() == [0, 0, 9]
    assert np.isnan(first.inverse_depth[:, :, :160]).all()
    np.testing.assert_allclose(first.inverse_depth[:, :, 160:], 100 * 0.8 / 2, rtol=1e-3)
