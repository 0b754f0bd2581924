# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.catalogue import InverseDepthUnit
from videodepth_ros.stream.scale import scale_of

CAMERA = Intrinsics(640, 480, 500.0, 500.0, 319.5, 239.5)


def depth_of(
    value: float,
    unit: InverseDepthUnit,
    camera: Intrinsics | None,
    factor: float = 1.0,
    max_range_m: float = 0.0,
) -> tuple[float, ScaleSource]:
    scale = scale_of(unit, camera, factor)
    inverse_depth = scale.without_far(np.full((2, 3), value, np.float32), max_range_m)
    depth_m = scale.depth_m(inverse_depth)
    assert depth_m.shape == (2, 3)
    assert depth_m.dtype == np.float32
    return float(depth_m[0, 0]), scale.source


def test_nominal_unit_is_a_hundred_over_metres():
    assert depth_of(50, InverseDepthUnit.NOMINAL, CAMERA) == (2.0, ScaleSource.MODEL)
    assert depth_of(50, InverseDepthUnit.NOMINAL, None, 3.0) == (6.0, ScaleSource.MODEL)


def test_canonical_unit_needs_the_focal_length():
    depth_m = 4.0
    canonical = 100 * CAMERA.fx / (CAMERA.width * depth_m)
    found, source = depth_of(canonical, InverseDepthUnit.CANONICAL, CAMERA)
    assert found == pytest.approx(depth_m, rel=1e-6)
    assert source is ScaleSource.INTRINSICS
    at_other_size = depth_of(canonical, InverseDepthUnit.CANONICAL, CAMERA.scaled_to(320, 240))
    assert at_other_size == (pytest.approx(depth_m, rel=1e-6), ScaleSource.INTRINSICS)


@pytest.mark.parametrize(('width', 'height'), [(640, 480), (1280, 720), (1242, 375), (480, 640)])
def test_by_area_an_aspect_changes_no_metres_of_the_same_pixels(width: int, height: int):
    z_m, focal_px = 4.0, 500.0
    at_4_3 = Intrinsics.centred(640, 480, focal_px)
    zoom = math.sqrt(width * height / (640 * 480))  # the network's input has the same area
    camera = Intrinsics.centred(width, height, focal_px * zoom)
    value = 100 * at_4_3.fx / (at_4_3.width * z_m)
    found, source = depth_of(value, InverseDepthUnit.CANONICAL_AREA, camera)
    assert (found, source) == (pytest.approx(z_m, rel=1e-6), ScaleSource.INTRINSICS)


def test_without_a_calibration_a_common_lens_is_assumed():
    assert depth_of(40, InverseDepthUnit.CANONICAL, None) == (2.0, ScaleSource.MODEL)


def test_nothing_hit_is_infinite_and_unknown_stays_unknown():
    assert depth_of(0, InverseDepthUnit.NOMINAL, None)[0] == np.inf
    assert depth_of(1e-4, InverseDepthUnit.NOMINAL, None)[0] == np.inf
    assert np.isnan(depth_of(np.nan, InverseDepthUnit.NOMINAL, None)[0])


def test_what_is_beyond_the_range_was_not_hit():
    nominal = InverseDepthUnit.NOMINAL
    assert depth_of(10, nominal, None, max_range_m=10.5)[0] == 10
    assert depth_of(10, nominal, None, max_range_m=9.5)[0] == np.inf
    assert depth_of(10, nominal, None, 2.0, max_range_m=10.5)[0] == np.inf
