# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from test.support.small_priors import frame, small_depth_anything, transformers
from videodepth_ros.core.errors import ModelError
from videodepth_ros.frames import ScaleSource
from videodepth_ros.models.catalogue import PRIOR_CARDS
from videodepth_ros.models.depth_anything import DepthAnything
from videodepth_ros.models.device_precision import DevicePrecision
from videodepth_ros.models.mono import PriorKind

CPU = DevicePrecision(torch.device('cpu'), torch.float32)
CARD = PRIOR_CARDS[1]


@pytest.fixture(scope='module', params=['relative', 'metric'])
def folder(request, tmp_path_factory):
    return small_depth_anything(tmp_path_factory.mktemp('da'), metric=request.param == 'metric')


@pytest.mark.parametrize('size', [(64, 48), (48, 64), (151, 97), (640, 480)])
def test_equal_to_the_pipeline_of_the_library(folder, size):
    torch.set_num_threads(1)
    given = frame(*size)
    found = next(DepthAnything(CARD, folder, CPU).estimate([given])).values
    pipeline = transformers.pipeline(
        'depth-estimation',
        device='cpu',
        model=transformers.DepthAnythingForDepthEstimation.from_pretrained(folder),
        image_processor=transformers.DPTImageProcessorPil.from_pretrained(folder),
    )
    wanted = pipeline(Image.fromarray(given.image))['predicted_depth'].numpy()
    assert found.dtype == np.float32
    assert all(side % 14 == 0 for side in found.shape)
    enlarged = functional.interpolate(
        torch.from_numpy(found)[None, None], wanted.shape, mode='bicubic'
    )[0, 0].numpy()
    assert np.abs(enlarged - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_the_configuration_says_what_the_values_are(folder):
    prior = DepthAnything(CARD, folder, CPU)
    found = next(prior.estimate([frame()]))
    metric = prior._model.config.depth_estimation_type == 'metric'
    assert found.kind is (PriorKind.METRIC if metric else PriorKind.RELATIVE_INVERSE)
    assert found.scale_source is (ScaleSource.MODEL if metric else None)
    assert found.focal_px is None
    assert found.values.min() >= 0
    assert found.values.max() <= (20 if metric else np.inf)


def test_a_processor_that_cannot_be_read_is_named(tmp_path):
    small_depth_anything(tmp_path / 'da')
    (tmp_path / 'da' / 'preprocessor_config.json').write_text('{')
    with pytest.raises(ModelError, match=r'preprocessor_config\.json.*weights fetch'):
        DepthAnything(CARD, tmp_path / 'da', CPU)
