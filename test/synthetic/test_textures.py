# SPDX-License-Identifier: Apache-2.0
"""Textures tile, stay in range, and are read back where they were written."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.synthetic.atlas import (
    LEVELS,
    TILE_HEIGHT,
    TILE_WIDTH,
    Atlas,
    _write_tile,
    load_atlas,
)
from videodepth_ros.synthetic.noise import SIZE, cells, hsv, spectral_noise
from videodepth_ros.synthetic.prints import PRINTS
from videodepth_ros.synthetic.textures import SURFACES


@pytest.mark.parametrize('name', [*SURFACES, *PRINTS])
def test_every_painter_stays_in_range_and_varies(name):
    paint = {**SURFACES, **PRINTS}[name]
    first, second = (paint(np.random.default_rng(seed)) for seed in (1, 2))
    for image in (first, second):
        assert image.shape == (SIZE, SIZE, 3)
        assert np.isfinite(image).all()
        assert image.min() > -0.01
        assert image.max() < 1.01
    assert not np.array_equal(first, second)


def test_noise_is_normalised_and_tiles():
    noise = spectral_noise(np.random.default_rng(0), 1.5)
    assert abs(noise.mean()) < 1e-4
    assert noise.std() == pytest.approx(1, abs=1e-3)
    inside = np.abs(np.diff(noise, axis=1)).mean()
    assert np.abs(noise[:, 0] - noise[:, -1]).mean() < 2 * inside


def test_cells_are_counted_and_hollow_at_their_borders():
    labels, depth = cells(np.random.default_rng(0), 50)
    assert labels.min() >= 0
    assert labels.max() < 50
    assert depth.min() == 0
    assert depth.max() == 1


def test_a_pure_hue_is_pure():
    np.testing.assert_allclose(hsv(0.0, 1.0, 1.0), (1, 0, 0), atol=1e-6)
    np.testing.assert_allclose(hsv(1 / 3, 1.0, 0.5), (0, 0.5, 0), atol=1e-6)


@pytest.mark.parametrize('level', range(LEVELS))
def test_a_tile_is_read_where_it_was_written_at_every_level(level):
    sheet = np.zeros((TILE_HEIGHT, 2 * TILE_WIDTH, 3), np.uint8)
    ramp = np.linspace(0, 1, SIZE, dtype=np.float32)
    image = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None], 0.5), axis=-1)
    _write_tile(sheet, 1, image.astype(np.float32))
    u, v = (a.ravel().astype(np.float32) for a in np.meshgrid([0.25, 0.5, 0.7], [0.3, 0.6]))
    tile, depth = np.ones(u.size, np.int32), np.full(u.size, level, np.float32)
    colour = Atlas(sheet, ()).sample(tile, u + 3, v - 2, depth)
    np.testing.assert_allclose(colour[:, 0], 255 * u, atol=2)
    np.testing.assert_allclose(colour[:, 1], 255 * v, atol=2)


def test_a_pool_is_the_same_every_time():
    assert load_atlas(0) is load_atlas(0)
    again = load_atlas.__wrapped__(0)
    np.testing.assert_array_equal(load_atlas(0).image, again.image)
