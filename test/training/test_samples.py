# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.samples import (
    BatchPlan,
    Data,
    Pool,
    clips_by_family,
    draw_batch,
    draw_order,
    draw_sample,
    open_batches,
)
from training.shards import write_clip

PLAN = BatchPlan(clips=2, frames=4, sizes=((64, 48),))


def test_batches_have_the_shape_of_their_plan(clips: Path) -> None:
    batch = draw_batch(Pool.of(Data(clips, clips)), PLAN, np.random.default_rng(0))
    assert batch.images.shape == (2, 4, 48, 64, 3)
    assert batch.images.dtype == torch.uint8
    assert batch.inverse_depth.shape == (2, 4, 48, 64)
    assert (batch.inverse_depth == 0).any()
    assert batch.inverse_depth.isfinite().float().mean() > 0.8  # a rolled view has bare corners


def test_the_stream_follows_the_seed_and_starts_where_it_is_told(clips: Path) -> None:
    stream = open_batches(Data(clips, clips), PLAN, 5, start=0)
    next(stream)
    second = next(stream)
    resumed = next(open_batches(Data(clips, clips), PLAN, 5, start=1))
    assert torch.equal(second.images, resumed.images)
    torch.testing.assert_close(
        second.inverse_depth, resumed.inverse_depth, rtol=0, atol=0, equal_nan=True
    )


def test_no_clips_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'training\.generate'):
        clips_by_family(tmp_path)


def test_orders_are_walks_that_turn_at_the_ends_or_stand() -> None:
    steps = set()
    for seed in range(200):
        order = draw_order(6, 8, np.random.default_rng(seed))
        assert len(order) == 8
        assert min(order) >= 0
        assert max(order) < 6
        steps |= set(np.diff(order).tolist())
    assert {-2, -1, 0, 1, 2} >= steps >= {-1, 0, 1}


def test_a_camera_that_stands_still_has_noise(clips: Path) -> None:
    clip = clips_by_family(clips)[0][0]
    for seed in range(40):
        images, truth = draw_sample(clip, PLAN, (64, 48), np.random.default_rng(seed))
        if np.array_equal(truth, np.broadcast_to(truth[0], truth.shape), equal_nan=True):
            steps = np.abs(np.diff(images.astype(int), axis=0))
            assert (steps.mean((1, 2, 3)) > 0.3).all()
            return
    pytest.fail('no sample of forty stood still')


def test_recorded_clips_have_their_share(clips: Path, tmp_path: Path) -> None:
    image = np.zeros((2, 96, 128, 3), np.uint8)
    write_clip(tmp_path, 'office', 0, image, np.full((2, 96, 128), np.nan, np.float16))
    pool, rng = Pool.of(Data(clips, clips, tmp_path, 0.3)), np.random.default_rng(0)
    drawn = [pool.draw(rng).family for _ in range(400)]
    assert drawn.count('office') / 400 == pytest.approx(0.3, abs=0.07)
    batch = draw_batch(Pool.of(Data(tmp_path, tmp_path)), PLAN, rng)
    assert batch.inverse_depth.isnan().all()
