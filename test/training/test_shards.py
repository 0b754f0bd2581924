# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np

from training.shards import canonical_inverse_depth, find_clips, write_clip


def test_a_clip_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    inverse_depth = rng.random((2, 6, 8)).astype(np.float16)
    write_clip(tmp_path, 'two-word', 7, image, inverse_depth)
    (clip,) = find_clips(tmp_path)
    assert clip.family == 'two-word'
    assert np.array_equal(clip.image, image)
    assert np.array_equal(clip.inverse_depth, inverse_depth)


def test_a_clip_without_its_images_is_not_there_yet(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path, 'a', 0, np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2), np.float16)
    )
    clip.image_path.rename(clip.image_path.with_suffix('.part'))
    assert find_clips(tmp_path) == []


def test_canonical_inverse_depth_is_that_of_depth_pro_times_100() -> None:
    depth_m = np.array([[2.0, np.inf]], np.float32)
    # C = fx / (width Z) = 1.6 / (2 * 2) for fx = 1.6 and a width of 2
    assert np.allclose(canonical_inverse_depth(depth_m, 1.6), [[40.0, 0.0]], rtol=1e-3)
