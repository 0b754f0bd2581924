# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.core.errors import Cancelled, ModelError
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.refine.job import refine_bag
from videodepth_ros.refine.plan import CONSISTENCY_STAGE
from videodepth_ros.refine.settings import Method, Pairs, RefineSettings

pytestmark = pytest.mark.slow

FRAMES = 12


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('methods') / 'scene'
    make_sample(str(path), 'car_parks', 5, FRAMES / 10, 10.0, (96, 72))
    return path


def depths(folder):
    with open_bag(folder) as reader:
        return np.stack(
            [
                decode_depth(message)
                for _, _, message in reader.messages(['/videodepth/depth/image'])
            ]
        )


def test_coalignment_works_without_poses_and_weights(bag, tmp_path):
    facts = refine_bag(bag, tmp_path / 'refined', RefineSettings(method=Method.COALIGN))
    assert (facts.frames, facts.pairs, facts.scale_source) == (FRAMES, 'none', 'intrinsics')
    assert depths(tmp_path / 'refined').shape == (FRAMES, 72, 96)


def test_coaligned_depth_may_have_poses_too(bag, tmp_path):
    settings = RefineSettings(
        method=Method.COALIGN, prior='bag', pairs=Pairs.GEOMETRIC, processes=1
    )
    facts = refine_bag(bag, tmp_path / 'refined', settings)
    assert facts.scale_source == 'depth'
    assert facts.path_length_m > 0


@pytest.fixture
def rollingdepth(tmp_path, monkeypatch):
    """Weights of a small random network where the user's would be."""
    pytest.importorskip('diffusers', reason='diffusers is not installed')
    from test.support.small_rollingdepth import write_rollingdepth
    from videodepth_ros.models.catalogue import ROLLINGDEPTH_CARD

    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    write_rollingdepth(tmp_path / 'weights' / ROLLINGDEPTH_CARD.name)


ROLLING = RefineSettings(method=Method.ROLLINGDEPTH, prior='bag', frames=5)


@pytest.fixture
def small_pictures(monkeypatch):
    """Presets scale images up to where the published network works well: not needed here."""
    from videodepth_ros.refine.stages import consistency

    published = consistency.rolling_preset
    monkeypatch.setattr(
        consistency, 'rolling_preset', lambda name: replace(published(name), max_side_px=96)
    )


def test_rollingdepth_takes_metres_from_the_prior(bag, tmp_path, rollingdepth, small_pictures):
    facts = refine_bag(bag, tmp_path / 'refined', ROLLING)
    assert facts.scale_source in ('depth', 'none')  # chance decides how a random network leans
    found = depths(tmp_path / 'refined')
    assert found.shape == (5, 72, 96)
    assert np.isfinite(found).any()


def test_rollingdepth_continues_where_it_was_stopped(bag, tmp_path, rollingdepth, small_pictures):
    refine_bag(bag, tmp_path / 'whole', ROLLING)
    stages = []
    with pytest.raises(Cancelled):
        refine_bag(
            bag,
            tmp_path / 'again',
            ROLLING,
            lambda one: stages.append(one.stage),
            lambda: CONSISTENCY_STAGE in stages,
        )
    refine_bag(bag, tmp_path / 'again', ROLLING)
    np.testing.assert_array_equal(depths(tmp_path / 'again'), depths(tmp_path / 'whole'))


def test_missing_weights_of_rollingdepth_are_an_error_with_the_download(
    bag, tmp_path, monkeypatch
):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'none'))
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hub'))
    with pytest.raises(ModelError, match='rollingdepth'):
        refine_bag(bag, tmp_path / 'refined', ROLLING)
