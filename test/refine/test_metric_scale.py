# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.alignment.constraints import ScaleReference
from videodepth_ros.frames import ScaleSource
from videodepth_ros.refine.metric_scale import (
    MetricScale,
    MetricScaleSource,
    estimate_metric_scale,
    log_depth_ratio,
    path_length,
    prior_ratio_notes,
    stationary_camera_notes,
    unused_odometry_notes,
)

POSES = np.tile(np.eye(4), (3, 1, 1))
POSES[:, 0, 3] = 0, 1, 3


def log_ratios(prior_m):
    depth = np.full((8, 8), 2, np.float32)
    depth[0, 0] = np.nan
    return np.array([log_depth_ratio(np.full((8, 8), z, np.float32), depth) for z in prior_m])


RATIOS = log_ratios((4, 6, np.nan))


def scale(reference=ScaleReference.PAIRS, source=None, length_m=0.0, ratios=RATIOS, poses=POSES):
    return estimate_metric_scale(poses, ratios, reference, source, length_m)


def test_path_length_is_the_sum_of_steps():
    assert path_length(POSES) == 3


@pytest.mark.parametrize(
    ('scale_reference', 'source', 'length_m', 'expected'),
    [
        (
            ScaleReference.DEPTH,
            ScaleSource.INTRINSICS,
            12.0,
            MetricScale(4.0, MetricScaleSource.PATH_LENGTH),
        ),
        (
            ScaleReference.DEPTH,
            ScaleSource.INTRINSICS,
            0.0,
            MetricScale(1.0, MetricScaleSource.DEPTH),
        ),
        (ScaleReference.ODOMETRY, None, 0.0, MetricScale(1.0, MetricScaleSource.ODOMETRY)),
        (ScaleReference.PAIRS, None, 0.0, MetricScale(1.0, MetricScaleSource.NONE)),
    ],
)
def test_the_most_reliable_source_is_taken(scale_reference, source, length_m, expected):
    assert scale(scale_reference, source, length_m) == expected


def test_a_prior_gives_the_median_over_frames_with_depth():
    found = scale(source=ScaleSource.INTRINSICS)
    assert found.source is MetricScaleSource.INTRINSICS
    assert found.metres == pytest.approx((2 * 3) ** 0.5)


def test_without_overlap_with_the_prior_the_unit_is_arbitrary():
    found = scale(source=ScaleSource.MODEL, ratios=log_ratios((np.nan, np.nan, np.nan)))
    assert found.source is MetricScaleSource.NONE
    assert not found.is_metric


def test_a_stationary_camera_has_no_scale_by_its_path():
    still = np.tile(np.eye(4), (3, 1, 1))
    assert scale(length_m=5.0, poses=still).source is MetricScaleSource.NONE


@pytest.mark.parametrize(
    ('factor', 'is_noted'), [(1.0, False), (0.5, False), (3.0, False), (1000.0, True), (0.1, True)]
)
def test_odometry_in_another_unit_than_the_prior_is_noted(factor, is_noted):
    ratios = np.log([2.0, np.nan, 2.1])
    scale = MetricScale(2.05 * factor, MetricScaleSource.ODOMETRY)
    notes = prior_ratio_notes(scale, ratios, ScaleSource.INTRINSICS)
    assert ([f'{factor:.3g} times' in note for note in notes] == [True]) == is_noted
    assert not prior_ratio_notes(scale, ratios, ScaleSource.MODEL)  # a guess
    assert not prior_ratio_notes(scale, ratios * np.nan, ScaleSource.INTRINSICS)
    own = MetricScale(scale.metres, MetricScaleSource.INTRINSICS)
    assert not prior_ratio_notes(own, ratios, ScaleSource.INTRINSICS)


def test_odometry_that_gives_no_metres_is_noted_with_its_fault():
    frozen = np.tile(np.eye(4), (3, 1, 1))
    moving = frozen.copy()
    moving[1, 0, 3] = 1.0
    assert 'stands still' in unused_odometry_notes(frozen, np.nan)[0]
    assert 'contradicts the images' in unused_odometry_notes(moving, np.nan)[0]
    assert not unused_odometry_notes(moving, 1.0)
    assert not unused_odometry_notes(None, np.nan)


def test_a_stationary_camera_gets_a_note():
    depth = np.full((8, 8), 2, np.float32)
    still = np.tile(np.eye(4), (3, 1, 1))
    assert '0.0% of the depth' in stationary_camera_notes(still, depth)[0]
    assert stationary_camera_notes(POSES, depth) == ()
    assert stationary_camera_notes(still[:1], depth) == ()
    assert stationary_camera_notes(still, np.full((8, 8), np.nan, np.float32)) != ()


def test_noise_of_a_stationary_camera_is_no_motion():
    depth = np.full((8, 8), 2, np.float32)
    shaking = np.tile(np.eye(4), (300, 1, 1))
    shaking[:, :3, 3] = np.random.default_rng(0).normal(0, 0.002, (300, 3))
    assert path_length(shaking) > 0.5
    assert 'has hardly moved' in stationary_camera_notes(shaking, depth)[0]
