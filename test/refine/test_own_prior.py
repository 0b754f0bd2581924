# SPDX-License-Identifier: Apache-2.0
"""Networks of the user as priors of the offline job."""

from __future__ import annotations

import numpy as np
import pytest

from test.support.small_network import (
    HEIGHT,
    MULTIPLE,
    WIDTH,
    expected_values,
    export_network,
    write_card,
)
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.models.mono import PriorKind
from videodepth_ros.refine.job import refine_bag
from videodepth_ros.refine.priors import open_prior
from videodepth_ros.refine.settings import Method, RefineSettings

pytestmark = pytest.mark.slow

CAMERA = Intrinsics(WIDTH, HEIGHT, 80.0, 80.0, 31.5, 23.5)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('network')
    export_network(folder / 'net.onnx')
    export_network(folder / 'open.onnx', dynamic=True)
    return folder


def estimate(folder, **entries):
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[:, WIDTH // 2 :] = 130
    prior = open_prior(write_card(folder, **entries), engine='onnx')
    (found,) = prior.estimate([Frame(1, 'camera', image, CAMERA)])
    prior.close()
    return found, expected_values(image)


def test_depth_in_metres(folder):
    found, values = estimate(folder)
    assert (found.kind, found.scale_source) == (PriorKind.METRIC, ScaleSource.MODEL)
    np.testing.assert_allclose(found.values, values, rtol=1e-4)


def test_canonical_depth_scales_with_the_focal_length(folder):
    found, values = estimate(folder, output='canonical depth', canonical_focal_px=100)
    assert (found.focal_px, found.scale_source) == (80, ScaleSource.INTRINSICS)
    np.testing.assert_allclose(found.values, values * 80 / 100, rtol=1e-4)


RELATIVE = [('relative inverse depth', 1), ('relative depth', -1)]


@pytest.mark.parametrize(('output', 'power'), RELATIVE)
def test_relative_output(folder, output, power):
    found, values = estimate(folder, output=output)
    assert (found.kind, found.scale_source) == (PriorKind.RELATIVE_INVERSE, None)
    expected = values**power
    ratio = found.values / found.values[0, 0]
    np.testing.assert_allclose(ratio, expected / expected[0, 0], rtol=1e-4)


@pytest.mark.parametrize('output', ['depth in metres', 'relative inverse depth'])
def test_a_recording_is_refined_with_it(folder, tmp_path, output):
    make_sample(str(tmp_path / 'scene'), 'studios', 5, 0.5, 10.0, (96, 72))
    prior = write_card(folder, file='open.onnx', multiple=MULTIPLE, output=output)
    settings = RefineSettings(prior=prior, method=Method.COALIGN, stereo=False, engine='onnx')
    facts = refine_bag(tmp_path / 'scene', tmp_path / 'refined', settings)
    assert (facts.frames, facts.prior) == (5, prior)
    with open_bag(tmp_path / 'refined') as bag:
        depths = [decode_depth(m) for _, _, m in bag.messages(['/videodepth/depth/image'])]
    assert len(depths) == 5
    assert np.isfinite(depths[0]).mean() > 0.5


def test_a_wrong_card_is_refused_before_the_first_frame(folder, tmp_path):
    make_sample(str(tmp_path / 'scene'), 'studios', 5, 0.3, 10.0, (96, 72))
    settings = RefineSettings(prior=write_card(folder, output='z'))
    with pytest.raises(ConfigError, match="output is 'z'; give one of"):
        refine_bag(tmp_path / 'scene', tmp_path / 'refined', settings)
