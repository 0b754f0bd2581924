# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from test.support.film import CAMERA, bent, film, winding
from videodepth_ros.sfm.reconstruction import reconstruct

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def shot():
    return film(winding(48))


def stated(factor):
    return replace(CAMERA, fx=factor * CAMERA.fx, fy=factor * CAMERA.fy)


@pytest.mark.parametrize('factor', [1.5, 0.7])
def test_a_wrong_focal_length_is_reported_and_refined(shot, factor):
    prior = bent(shot.depth)
    given = reconstruct(shot.images, prior, stated(factor))
    assert given.focal_ratio == pytest.approx(1 / factor, rel=0.2)
    assert 'camera_info contradicts the images' in given.warnings()[0]
    refined = reconstruct(shot.images, prior, stated(factor), refine_intrinsics=True)
    assert refined.camera.fx == pytest.approx(CAMERA.fx, rel=0.02)
    assert refined.camera.fy / refined.camera.fx == pytest.approx(CAMERA.fy / CAMERA.fx)
    assert refined.focal_ratio == 1.0


@pytest.mark.parametrize('factor', [1.0, 1.03])
def test_a_true_focal_length_is_kept(shot, factor):
    found = reconstruct(shot.images, shot.depth, stated(factor))
    assert found.focal_ratio == 1.0
    assert found.camera.fx == pytest.approx(factor * CAMERA.fx)
