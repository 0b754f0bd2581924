# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from videodepth_ros.alignment.constraints import ScaleReference
from videodepth_ros.alignment.hierarchy import ClipAlignment
from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.metric_scale import (
    MetricScale,
    MetricScaleSource,
    estimate_metric_scale,
    path_length,
    stationary_camera_notes,
)

CAMERA = Intrinsics(8, 8, 8, 8, 4, 4)
POSES = np.tile(np.eye(4), (3, 1, 1))
POSES[:, 0, 3] = 0, 1, 3


def clips(scale_reference=ScaleReference.PAIRS):
    depth = np.full((3, 8, 8), 2, np.float32)
    depth[0, 0, 0] = np.nan
    return [
        ClipAlignment(
            range(3), POSES, depth, np.ones_like(depth), (CAMERA,) * 3, None, scale_reference
        )
    ]


PRIOR_M = np.stack([np.full((8, 8), depth, np.float32) for depth in (4, 6, np.nan)])


def test_a_path_has_its_length():
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
def test_the_best_of_those_that_know_says_it(scale_reference, source, length_m, expected):
    assert estimate_metric_scale(clips(scale_reference), PRIOR_M, source, length_m) == expected


def test_a_prior_says_it_by_the_median_over_frames_that_it_knows():
    unit = estimate_metric_scale(clips(), PRIOR_M, ScaleSource.INTRINSICS, 0.0)
    assert unit.source is MetricScaleSource.INTRINSICS
    assert unit.metres == pytest.approx((2 * 3) ** 0.5)


def test_a_prior_that_knows_no_frame_says_nothing():
    unknown = np.full_like(PRIOR_M, np.nan)
    assert (
        estimate_metric_scale(clips(), unknown, ScaleSource.MODEL, 0.0).source
        is MetricScaleSource.NONE
    )


def test_a_camera_that_stands_cannot_use_the_length_of_its_path():
    still = clips()
    still[0] = replace(still[0], T_world_cam=np.tile(np.eye(4), (3, 1, 1)))
    assert estimate_metric_scale(still, PRIOR_M, None, 5.0).source is MetricScaleSource.NONE


def test_a_camera_that_stands_gets_a_note():
    depth = np.full((8, 8), 2, np.float32)
    still = np.tile(np.eye(4), (3, 1, 1))
    assert '0.0% of the depth' in stationary_camera_notes(still, depth)[0]
    assert stationary_camera_notes(POSES, depth) == ()
    assert stationary_camera_notes(still[:1], depth) == ()
    assert stationary_camera_notes(still, np.full((8, 8), np.nan, np.float32)) != ()


def test_noise_of_a_camera_that_stands_does_not_add_up_to_a_way():
    depth = np.full((8, 8), 2, np.float32)
    shaking = np.tile(np.eye(4), (300, 1, 1))
    shaking[:, :3, 3] = np.random.default_rng(0).normal(0, 0.002, (300, 3))
    assert path_length(shaking) > 0.5
    assert 'hardly any motion' in stationary_camera_notes(shaking, depth)[0]
