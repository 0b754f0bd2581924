# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.augment import View, random_look, random_view
from training.shards import canonical_inverse_depth

WIDTH, HEIGHT, FX = 80, 60, 70.0


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_a_view_is_metric_with_its_own_intrinsics(seed: int) -> None:
    """Depth from the view's canonical inverse depth and the view's own fx is the scene's."""
    rng = np.random.default_rng(seed)
    view = random_view(rng, WIDTH, HEIGHT, (48, 32))
    depth_m = rng.uniform(1, 20, (HEIGHT, WIDTH)).astype(np.float32)
    inverse_depth = view.inverse_depth(canonical_inverse_depth(depth_m, FX))
    fx = FX * 48 / view.width
    seen_m = 100 * fx / 48 / inverse_depth
    assert inverse_depth.shape == (32, 48)
    known_m = seen_m[np.isfinite(seen_m)]
    assert known_m.size > (0.6 if view.roll_deg else 0.999) * seen_m.size
    assert np.abs(known_m[:, None] / depth_m.ravel() - 1).min(axis=-1).max() < 2e-3


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_views_stay_inside_and_keep_the_aspect(seed: int) -> None:
    view = random_view(np.random.default_rng(seed), WIDTH, HEIGHT, (48, 32))
    assert view.left >= 0
    assert view.left + view.width <= WIDTH
    assert view.top >= 0
    assert view.top + view.height <= HEIGHT
    assert view.width / view.height == pytest.approx(48 / 32, rel=0.12)


@pytest.mark.parametrize('mirrored', [False, True])
def test_image_and_depth_show_the_same_pixels(mirrored: bool) -> None:
    ramp = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.float16)
    image = np.repeat(ramp[..., None].astype(np.uint8), 3, axis=2)
    view = View(10, 5, 40, 30, (40, 30), mirrored)
    assert np.array_equal(view.image(image)[..., 0], view.inverse_depth(ramp) * 40 / WIDTH)


def test_a_rolled_view_turns_image_and_depth_alike_and_knows_nothing_outside() -> None:
    ramp = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.float16)
    image = np.repeat(ramp[..., None].astype(np.uint8), 3, axis=2)
    view = View(0, 0, WIDTH, HEIGHT, (WIDTH, HEIGHT), mirrored=False, roll_deg=10.0)
    seen, truth = view.image(image)[..., 0].astype(float), view.inverse_depth(ramp)
    known = np.isfinite(truth)
    assert 0.8 < known.mean() < 0.95
    assert not known[0, 0]
    assert np.abs(seen - truth)[known].max() <= 1.5
    angle = np.radians(10)  # anticlockwise: what was to the right of the centre is above it
    right = 20 * np.array([np.cos(angle), -np.sin(angle)]) + (WIDTH / 2, HEIGHT / 2)
    x, y = right.round().astype(int)
    assert truth[y, x] == pytest.approx(ramp[HEIGHT // 2, WIDTH // 2 + 20], abs=2)


def test_looks_keep_shape_and_type_and_follow_the_seed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    for seed in range(30):
        once, again = (
            random_look(rng).jittered(rng).apply(image, rng)
            for rng in (np.random.default_rng(seed), np.random.default_rng(seed))
        )
        assert once.shape == image.shape
        assert once.dtype == np.uint8
        assert np.array_equal(once, again)
