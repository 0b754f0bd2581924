# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from videodepth_ros.frames import Frame
from videodepth_ros.models.catalogue import card
from videodepth_ros.stream.steady import SteadyScale, follow, is_steadied
from videodepth_ros.synthetic.scenes import render_scene

FRAMES = 24


@cache
def scene():
    return tuple(render_scene('living_room', 0, FRAMES, 320, 240, 10.0))


def frame(seen, k=0):
    return Frame(k * 100_000_000, 'camera', seen.image, seen.camera)


def factors(scales, images=None):
    """Return what a stream makes of true depth times a scale of each frame."""
    steady = SteadyScale()
    return np.array([
        steady.factor(images[k] if images else frame(seen, k), seen.depth_m * np.float32(scale))
        for k, (seen, scale) in enumerate(zip(scene(), scales, strict=True))])


def wandering(spread=0.15):
    return np.exp(np.random.default_rng(3).normal(0, spread, FRAMES).cumsum() / 2)


def unrest(scales):
    """Return how much a scale changes from frame to frame."""
    return np.diff(np.log(scales)).std()


def test_a_scale_that_wanders_is_kept():
    scales = wandering()
    kept = scales * factors(scales)
    assert unrest(scales) > 0.05
    assert unrest(kept[3:]) < 0.2 * unrest(scales)


def test_depth_of_a_wrong_shape_is_kept_too():
    # What lies far is seen too near, as small networks do, and more so in every other frame.
    steady, ratios = SteadyScale(), []
    for k, seen in enumerate(scene()):
        wrong_m = 2 * (seen.depth_m / 2) ** (0.8 if k % 2 else 0.6)
        factor = steady.factor(frame(seen, k), wrong_m)
        ratios.append((np.median(seen.depth_m / wrong_m), np.median(seen.depth_m / wrong_m)
                       / factor))
    before, after = np.log(ratios[4:]).T
    assert after.std() < 0.5 * before.std()


def test_the_mean_over_the_stream_is_that_of_the_network():
    assert factors(np.full(FRAMES, 1.3)) == pytest.approx(np.ones(FRAMES), abs=0.03)


def test_a_first_frame_that_is_wrong_is_outvoted():
    scales = np.ones(FRAMES)
    scales[0] = 2.0
    kept = scales * factors(scales)
    assert kept[0] == 2.0
    assert abs(np.log(kept[-1])) < 0.1


def test_it_starts_anew_where_nothing_is_found_again():
    images = [frame(seen, k) for k, seen in enumerate(scene())]
    images[10] = replace(images[10], image=np.zeros_like(images[10].image))
    told = factors(wandering(), images)
    assert told[10] == 1.0
    assert told[9] != 1.0
    assert np.isfinite(told).all()


def test_a_restart_forgets():
    steady = SteadyScale()
    seen = scene()
    steady.factor(frame(seen[0]), seen[0].depth_m)
    steady.restart()
    assert steady.factor(frame(seen[1], 1), 3 * seen[1].depth_m) == 1.0


@pytest.mark.parametrize('fill', [np.nan, np.inf, 0.0])
def test_depth_that_says_nothing_changes_nothing(fill):
    steady = SteadyScale()
    for k, seen in enumerate(scene()[:3]):
        assert steady.factor(frame(seen, k), np.full((24, 32), fill, np.float32)) == 1.0


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (9, 400), (480, 854)])
def test_images_of_any_size_are_taken(size):
    rng = np.random.default_rng(0)
    steady = SteadyScale()
    for k in range(3):
        image = rng.integers(0, 255, (*size, 3), np.uint8)
        told = steady.factor(Frame(k * 10**8, 'c', image), np.ones((48, 64), np.float32))
        assert told > 0


def test_another_size_begins_another_keyframe():
    steady = SteadyScale()
    seen = scene()[0]
    steady.factor(frame(seen), seen.depth_m)
    smaller = Frame(10**8, 'camera', np.ascontiguousarray(seen.image[::2, ::2]),
                    seen.camera.strided(2))
    assert steady.factor(smaller, 2 * seen.depth_m) == 1.0


def test_an_unknown_camera_will_do():
    images = [replace(frame(seen, k), camera=None) for k, seen in enumerate(scene())]
    scales = wandering()
    assert unrest((scales * factors(scales, images))[3:]) < 0.3 * unrest(scales)


def test_the_same_stream_gets_the_same_factors():
    scales = wandering()
    np.testing.assert_array_equal(factors(scales), factors(scales))


def test_corners_that_leave_the_image_are_given_up():
    steady = SteadyScale()
    seen = scene()[0]
    steady.factor(frame(seen), seen.depth_m)
    corners = steady._last.corners
    grey = steady._last.grey
    moved = np.roll(grey, 12, axis=1)
    left = follow(corners, grey, moved)
    assert LEAST < len(left) < len(corners)
    assert (left.pixels[:, 0] < grey.shape[1]).all()


LEAST = 50


def test_auto_steadies_what_drifts():
    nano, flashdepth = card('nano'), card('flashdepth')
    assert [is_steadied(wanted, nano) for wanted in ('auto', 'always', 'never')] == [
        True, True, False]
    assert [is_steadied(wanted, flashdepth) for wanted in ('auto', 'always', 'never')] == [
        False, True, False]
