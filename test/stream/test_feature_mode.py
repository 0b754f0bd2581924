# SPDX-License-Identifier: Apache-2.0
import pytest

from videodepth_ros.models.catalogue import card
from videodepth_ros.stream.feature_mode import FEATURE_MODES, is_enabled


@pytest.mark.parametrize(
    ('usual', 'done'), [(True, [True, True, False]), (False, [False, True, False])]
)
def test_auto_does_what_the_model_needs(usual, done):
    assert [is_enabled(word, usual) for word in FEATURE_MODES] == done


def test_nano_alone_is_soft_and_drifts():
    nano, flashdepth = card('nano'), card('flashdepth')
    assert (nano.soft, nano.drifts) == (True, True)
    assert (flashdepth.soft, flashdepth.drifts) == (False, False)
