# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from test.support.small_priors import frame, small_depth_pro, transformers
from videodepth_ros.core.errors import InputError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.catalogue import DEPTH_PRO_CARD
from videodepth_ros.models.depth_pro import DepthPro, metric_depth, square_input
from videodepth_ros.models.device_precision import DevicePrecision
from videodepth_ros.models.mono import PriorKind

CPU = DevicePrecision(torch.device('cpu'), torch.float32)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return small_depth_pro(tmp_path_factory.mktemp('depth-pro'))


@pytest.fixture
def prior(folder):
    torch.set_num_threads(1)
    return DepthPro(DEPTH_PRO_CARD, folder, CPU)


def library(folder, given: Frame) -> tuple[np.ndarray, float]:
    """Return depth and focal length by the library's network and its processor's steps.

    The processor itself cannot be imported where torchvision is not installed.
    """
    model = transformers.DepthProForDepthEstimation.from_pretrained(folder).eval()
    pixels = (torch.from_numpy(given.image).permute(2, 0, 1)[None] * (1 / 255) - 0.5) / 0.5
    with torch.inference_mode():
        out = model(functional.interpolate(pixels, (256, 256), mode='bilinear'))
    width, height = given.size
    focal = 0.5 * width / torch.tan(0.5 * torch.deg2rad(out.field_of_view[0]))
    inverse = functional.interpolate(
        (out.predicted_depth[0] * width / focal)[None, None], (height, width), mode='bilinear'
    )[0, 0]
    return (1 / inverse.clamp(1e-4, 1e4)).numpy(), float(focal)


@pytest.mark.parametrize('size', [(64, 48), (48, 64), (301, 97), (256, 256)])
def test_equal_to_the_library(prior, folder, size):
    given = frame(*size)
    found, (wanted, focal) = next(prior.estimate([given])), library(folder, given)
    assert found.values.shape == (size[1], size[0])
    assert found.values.dtype == np.float32
    assert np.abs(found.values / wanted - 1).max() <= 1e-5
    assert found.focal_px == pytest.approx(focal, rel=1e-5)
    assert (found.kind, found.scale_source) == (PriorKind.METRIC, ScaleSource.MODEL)


def test_a_known_focal_length_replaces_the_estimate(prior, folder):
    estimated, known = prior.estimate([frame(), frame(fx=80.0)])
    assert known.focal_px == 80
    assert known.scale_source is ScaleSource.INTRINSICS
    factor = 80 / estimated.focal_px
    np.testing.assert_allclose(known.values, estimated.values * factor, rtol=1e-5)
    np.testing.assert_allclose(known.values, estimated.at_focal(80).values, rtol=1e-5)
    unasked = DepthPro(DEPTH_PRO_CARD, folder, CPU, camera_focal=False)
    assert next(unasked.estimate([frame(fx=80.0)])).focal_px == estimated.focal_px


def test_the_field_of_view_is_not_computed_where_nobody_asks(prior, monkeypatch):
    called = []
    prior._model.fov_model.register_forward_hook(lambda *_: called.append(1))
    next(prior.estimate([frame(fx=80.0)]))
    assert not called
    next(prior.estimate([frame()]))
    assert called


def test_an_impossible_field_of_view_is_refused(prior):
    with torch.no_grad():
        prior._model.fov_model.head.layers[-1].bias.fill_(-1000)
    with pytest.raises(InputError, match='field of view'):
        next(prior.estimate([frame()]))
    assert next(prior.estimate([replace(frame(), camera=frame(fx=50.0).camera)])).focal_px == 50


def test_depth_is_clamped():
    canonical = torch.tensor([[0.0, 1e9], [0.5, 2.0]])
    depth = metric_depth(canonical, 0.8, 2, 2)
    np.testing.assert_allclose(depth, [[1e4, 1e-4], [1.6, 0.4]], rtol=1e-6)


def test_input_is_bent_to_a_square_without_smoothing():
    image = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    image[0, :, ::2] = 255
    assert (square_input(image, 4)[0, :, :, ::2] == 1).all()
    assert (square_input(image, 4)[0, :, :, 1::2] == -1).all()
    assert math.isclose(float(square_input(image, 2).mean()), 0.0, abs_tol=1e-6)
    assert square_input(image[:, :2], 4).shape == (1, 3, 4, 4)
