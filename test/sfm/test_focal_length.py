# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.support.film import CAMERA, bent, film, winding
from videodepth_ros.sfm.options import DEFAULTS
from videodepth_ros.sfm.reconstruction import reconstruct
from videodepth_ros.sfm.sparse import default_camera

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


def test_an_estimated_focal_length_has_an_uncertainty_and_a_stated_one_none(shot):
    assert reconstruct(shot.images, shot.depth, CAMERA).log_focal_sigma == 0
    found = reconstruct(shot.images, bent(shot.depth), None)
    error = abs(np.log(found.camera.fx / CAMERA.fx))
    assert error < 3 * found.log_focal_sigma < 0.15


def test_a_standing_camera_leaves_the_focal_length_as_unknown_as_it_was():
    still = film(np.repeat(winding(2)[:1], 10, axis=0))
    found = reconstruct(still.images, still.depth, None)
    assert found.log_focal_sigma > 0.1


def test_a_focal_length_that_diverges_is_held_and_as_unknown_as_it_was(shot):
    focal = replace(DEFAULTS.focal_length, max_assumption_sigmas=1e-3)
    options = replace(DEFAULTS, focal_length=focal)
    images, depth = shot.images[:12], bent(shot.depth[:12])
    found = reconstruct(images, depth, None, options=options)
    assumed = default_camera(depth.shape[2], depth.shape[1])
    assert found.camera.fx == pytest.approx(assumed.fx)
    assert found.log_focal_sigma == DEFAULTS.noise.log_focal_sigma
    free = reconstruct(images, depth, None)
    assert abs(np.log(free.camera.fx / assumed.fx)) > 1e-3
    assert free.log_focal_sigma < found.log_focal_sigma
