# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from videodepth_ros.frames import Frame
from videodepth_ros.stream.corner_tracking import IDENTITY_POSE, Corners, PoseEstimate
from videodepth_ros.stream.stabilization import DepthStabilizer, residual_field
from videodepth_ros.synthetic.scenes import render_scene

pytestmark = pytest.mark.slow

FRAMES = 24


@cache
def scene():
    return tuple(render_scene('living_room', 0, FRAMES, 320, 240, 10.0))


def frame(seen, k=0):
    return Frame(k * 100_000_000, 'camera', seen.image, seen.camera)


def factors(scales, images=None):
    """Return what a stream makes, in the median, of true depth times a scale of each frame."""
    steady = DepthStabilizer()
    return np.array(
        [
            np.median(
                steady.track(
                    images[k] if images else frame(seen, k), seen.depth_m * np.float32(scale)
                ).factor
            )
            for k, (seen, scale) in enumerate(zip(scene(), scales, strict=True))
        ]
    )


def tilted(depth_m, slope=0.5):
    """Return depth (h, w) that is seen too near on the left and too far on the right."""
    across = np.linspace(-0.5, 0.5, depth_m.shape[1], dtype=np.float32)
    return depth_m * np.exp(slope * across)


def error(seen, depth_m):
    """Return the mean of how far a depth is off, but for its scale, as a logarithm."""
    log_ratio = np.log(depth_m / seen.depth_m)
    return np.abs(log_ratio - np.median(log_ratio)).mean()


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
    steady, ratios = DepthStabilizer(), []
    for k, seen in enumerate(scene()):
        wrong_m = 2 * (seen.depth_m / 2) ** (0.8 if k % 2 else 0.6)
        steadied_m = wrong_m * steady.track(frame(seen, k), wrong_m).factor
        ratios.append((np.median(seen.depth_m / wrong_m), np.median(seen.depth_m / steadied_m)))
    before, after = np.log(ratios[4:]).T
    assert after.std() < 0.5 * before.std()


def test_regions_that_are_seen_too_near_or_too_far_are_put_right():
    steady = DepthStabilizer()
    for k, seen in enumerate(scene()):
        wrong_m = tilted(seen.depth_m)
        steadied_m = wrong_m * steady.track(frame(seen, k), wrong_m).factor
    assert error(seen, steadied_m) < 0.7 * error(seen, wrong_m)


@pytest.mark.parametrize(('share', 'told'), [(0.3, 0.0), (0.55, 0.5), (0.8, 1.0)])
def test_regions_are_put_right_as_far_as_corners_agree(share, told):
    def field(agreeing):
        inliers = np.arange(200) < 200 * agreeing
        corners = Corners(
            np.tile(np.float32([[160, 120]]), (200, 1)), *np.zeros((2, 200, 3)), np.zeros(200)
        )
        located = PoseEstimate(corners, IDENTITY_POSE, inliers, np.ones(200), np.full(200, 1e-4))
        return residual_field(located, np.full(200, 0.1), (240, 320), (48, 64))

    assert field(1.0)[24, 32] > 0.08
    assert field(share)[24, 32] == pytest.approx(told * field(1.0)[24, 32], abs=0.01)


def test_a_camera_that_stands_still_is_told_nothing_of_regions():
    steady, seen = DepthStabilizer(), scene()[0]
    for k in range(8):
        correction = steady.track(frame(seen, k), tilted(seen.depth_m)).factor
        np.testing.assert_allclose(correction, 1, atol=0.01)


def test_a_camera_that_turns_on_the_spot_is_told_nothing_of_regions():
    # A plane far away, seen at another part of one picture: no point comes nearer or goes.
    seen = scene()[0]
    picture = np.tile(seen.image, (1, 2, 1))
    steady, depth_m = DepthStabilizer(), tilted(np.full((240, 320), 5, np.float32))
    narrow = replace(seen.camera, fx=4000.0, fy=4000.0)
    for k in range(8):
        view = np.ascontiguousarray(picture[:, 4 * k : 4 * k + 320])
        correction = steady.track(Frame(k * 10**8, 'camera', view, narrow), depth_m).factor
        np.testing.assert_allclose(correction, 1, atol=0.03)


def test_regions_that_flicker_are_calmed():
    # Nothing moves but what the network sees: left and right by turns too near.
    steady, seen, after = DepthStabilizer(), scene()[0], []
    for k in range(10):
        wrong_m = tilted(seen.depth_m, 0.2 if k % 2 else -0.2)
        after.append(wrong_m * steady.track(frame(seen, k), wrong_m).factor)
    steps = np.abs(np.diff(np.log(np.stack(after)), axis=0)).mean(axis=(1, 2))
    assert steps[-3:].max() < 0.6 * np.abs(np.log(tilted(seen.depth_m, 0.4) / seen.depth_m)).mean()


def test_a_first_frame_of_another_shape_is_forgotten():
    steady, seen = DepthStabilizer(), scene()[0]
    steady.track(frame(seen), tilted(seen.depth_m))
    early, *_, late = (steady.track(frame(seen, k), seen.depth_m).factor for k in range(1, 200))
    assert np.abs(np.log(late)).mean() < 0.2 * np.abs(np.log(early)).mean()


def test_a_blank_wall_is_left_as_it_is():
    steady, seen = DepthStabilizer(), scene()[0]
    wall = replace(frame(seen), raw=np.full_like(seen.image, 128))
    for k in range(3):
        told = steady.track(replace(wall, stamp_ns=k * 10**8), (k + 1) * seen.depth_m).factor
        assert (told == 1).all()


def test_what_moves_by_itself_does_not_count():
    # A fifth of the image slides over the scene, as a vehicle that passes by would.
    scales, images = wandering(), []
    patch = np.random.default_rng(5).integers(0, 255, (100, 160, 3), np.uint8)
    for k, seen in enumerate(scene()):
        image = seen.image.copy()
        image[70:170, 6 * k : 6 * k + 160] = patch
        images.append(Frame(k * 10**8, 'camera', image, seen.camera))
    kept = scales * factors(scales, images)
    assert unrest(kept[3:]) < 0.4 * unrest(scales)


def test_the_mean_over_the_stream_is_that_of_the_network():
    assert factors(np.full(FRAMES, 1.3)) == pytest.approx(np.ones(FRAMES), abs=0.03)


def test_a_network_that_changes_its_mind_for_good_is_followed():
    steady, seen, told = DepthStabilizer(), scene()[0], []
    for k in range(60):
        scale = 1.5 if k >= 20 else 1.0
        told.append(np.median(steady.track(frame(seen, 10 * k), scale * seen.depth_m).factor))
    assert told[20] < 0.75
    assert told[-1] == pytest.approx(1, abs=0.02)


def test_a_first_frame_that_is_wrong_is_outvoted():
    scales = np.ones(FRAMES)
    scales[0] = 2.0
    kept = scales * factors(scales)
    assert kept[0] == 2.0
    assert abs(np.log(kept[-1])) < 0.1


def test_it_starts_anew_where_nothing_is_found_again():
    images = [frame(seen, k) for k, seen in enumerate(scene())]
    images[10] = replace(images[10], raw=np.zeros_like(images[10].image))
    told = factors(wandering(), images)
    assert told[10] == 1.0
    assert told[9] != 1.0
    assert np.isfinite(told).all()


def test_a_restart_forgets():
    steady = DepthStabilizer()
    seen = scene()
    steady.track(frame(seen[0]), seen[0].depth_m)
    steady.restart()
    assert (steady.track(frame(seen[1], 1), 3 * seen[1].depth_m).factor == 1).all()


@pytest.mark.parametrize('fill', [np.nan, np.inf, 0.0])
def test_depth_that_says_nothing_changes_nothing(fill):
    steady = DepthStabilizer()
    for k, seen in enumerate(scene()[:3]):
        told = steady.track(frame(seen, k), np.full((24, 32), fill, np.float32)).factor
        assert told.shape == (24, 32)
        assert (told == 1).all()


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (9, 400), (480, 854)])
def test_images_of_any_size_are_taken(size):
    rng = np.random.default_rng(0)
    steady = DepthStabilizer()
    for k in range(3):
        image = rng.integers(0, 255, (*size, 3), np.uint8)
        told = steady.track(Frame(k * 10**8, 'c', image), np.ones((48, 64), np.float32)).factor
        assert told.dtype == np.float32
        assert (told > 0).all()


def test_another_size_begins_anew():
    steady = DepthStabilizer()
    seen = scene()[0]
    steady.track(frame(seen), seen.depth_m)
    smaller = Frame(
        10**8, 'camera', np.ascontiguousarray(seen.image[::2, ::2]), seen.camera.strided(2)
    )
    assert (steady.track(smaller, 2 * seen.depth_m).factor == 1).all()


def test_an_unknown_camera_will_do():
    images = [replace(frame(seen, k), camera=None) for k, seen in enumerate(scene())]
    scales = wandering()
    assert unrest((scales * factors(scales, images))[3:]) < 0.3 * unrest(scales)


def test_the_same_stream_gets_the_same_factors():
    scales = wandering()
    np.testing.assert_array_equal(factors(scales), factors(scales))
