# SPDX-License-Identifier: Apache-2.0
"""Lenses whose distortion is applied to the tracks of a film without any."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from test.support.film import CAMERA, bent, film, winding
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.sfm.lens import Lens, calibrate_lens, fit_lens, fit_radial
from videodepth_ros.sfm.options import DEFAULTS, TrackingOptions
from videodepth_ros.sfm.sparse import default_camera
from videodepth_ros.sfm.tracks import track_features

pytestmark = pytest.mark.slow

ASSUMED = default_camera(CAMERA.width, CAMERA.height)
CENTRE = np.array([CAMERA.cx, CAMERA.cy])


@pytest.fixture(scope='module')
def shot():
    made = film(winding(40))
    few = TrackingOptions(max_corners=160)
    return track_features(made.images, options=few), bent(made.depth)


def distorted(tracks, k1, k2=0.0):
    """Move the pixels of tracks as a lens of OpenCV's model does."""
    x = (tracks.pixel - CENTRE) / [CAMERA.fx, CAMERA.fy]
    square = np.square(x).sum(axis=1, keepdims=True)
    x = x * (1 + k1 * square + k2 * square**2)
    return replace(tracks, pixel=(x * [CAMERA.fx, CAMERA.fy] + CENTRE).astype(np.float32))


@pytest.mark.parametrize('k1', [-0.15, 0.1])
def test_radial_distortion_is_calibrated_with_the_focal_length(shot, k1):
    tracks, depth = shot
    lens = fit_lens(distorted(tracks, k1), depth, ASSUMED)
    found = {name: (value, sigma) for name, value, sigma in lens.facts}
    assert found['fx'][0] == pytest.approx(CAMERA.fx, rel=0.1)
    assert found['k1'][0] == pytest.approx(k1, abs=0.06)
    for name, truth in (('fx', CAMERA.fx), ('k1', k1)):
        value, sigma = found[name]
        assert abs(value - truth) < 3 * sigma


def test_a_shifted_principal_point_is_calibrated(shot):
    tracks, depth = shot
    shift = np.array([6.0, -4.0], np.float32)
    weak = replace(DEFAULTS.lens, min_cost_decrease=1e-3, min_centre_sigmas=0.5, min_sigmas=0.5)
    options = replace(DEFAULTS, lens=weak)
    lens = fit_lens(replace(tracks, pixel=tracks.pixel + shift), depth, CAMERA, options)
    assert lens is not None
    error = np.array([lens.camera.cx, lens.camera.cy]) - CENTRE - shift
    assert np.linalg.norm(error) < 0.5 * np.linalg.norm(shift)


def test_images_of_a_pinhole_have_no_lens(shot):
    assert fit_lens(*shot, ASSUMED) is None


def test_a_focal_length_that_is_not_determined_gives_no_lens(shot):
    tracks, depth = shot
    certain = replace(DEFAULTS.lens, max_log_focal_sigma=0.05)
    options = replace(DEFAULTS, lens=certain)
    assert fit_lens(distorted(tracks, 0.1), depth, ASSUMED, options) is None


def test_few_frames_have_no_lens():
    made = film(winding(20))
    assert calibrate_lens(made.images, made.depth, ASSUMED) is None


def test_the_polynomial_is_inverted_by_the_model_of_opencv():
    camera = Intrinsics(640, 480, 500.0, 500.0, 319.5, 239.5)
    k1, k2 = fit_radial(np.array([0.12, 0.02]), camera, 480.0)
    ideal = np.linspace(0, 0.7, 20)
    D = np.array([k1, k2, 0, 0])
    points = np.stack([ideal, 0 * ideal, 1 + 0 * ideal], axis=1)
    raw, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.diag([480.0, 480, 1]), D)
    r = raw[:, 0, 0] / camera.fx
    np.testing.assert_allclose(
        raw[:, 0, 0] * (1 + 0.12 * r**2 + 0.02 * r**4), 480 * ideal, atol=1.5
    )


def test_a_lens_scales_with_its_images():
    lens = Lens(CAMERA, (79.5, 59.5), (0.1, 0.0), (1.0, 0.01, 0.0, 2.0, 2.0))
    twice = lens.scaled_to(320, 240)
    assert twice.camera == CAMERA.scaled_to(320, 240)
    assert twice.centre == (159.5, 119.5)
    assert twice.radial == lens.radial
    assert twice.sigmas == (2.0, 0.01, 0.0, 4.0, 4.0)
    assert [name for name, _, _ in lens.facts] == ['fx', 'k1', 'cx', 'cy']
