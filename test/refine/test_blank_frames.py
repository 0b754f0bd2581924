# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from test.support.wall import lane
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.refine.blank_frames import blank_notes, find_blank_frames
from videodepth_ros.refine.job import refine_bag
from videodepth_ros.refine.settings import RefineSettings

pytestmark = pytest.mark.slow

BLACK = range(6, 9)
FRAMES = 16


def noisy(level, seed=0):
    noise = np.random.default_rng(seed).normal(level, 3, (480, 640, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


def test_black_and_plain_images_are_blank_but_dim_ones_are_not():
    scene = lane(np.zeros(1), 8.0).images[0]
    plain = np.full_like(scene, 200)
    found = find_blank_frames(np.stack([scene, scene // 8, np.zeros_like(scene), plain]))
    assert found.tolist() == [False, False, True, True]
    gradient = np.tile(np.linspace(100, 110, 640, dtype=np.uint8)[None, :, None], (480, 1, 3))
    assert find_blank_frames(np.stack([noisy(128), gradient])).tolist() == [True, False]


def test_blank_images_alone_are_an_error_with_the_next_step():
    with pytest.raises(InputError, match=r'all 3 images are black .* choose other frames'):
        find_blank_frames(np.zeros((3, 72, 96, 3), np.uint8))


def test_the_note_names_the_frames():
    assert blank_notes(np.zeros(4, bool)) == ()
    (note,) = blank_notes(np.array([0, 1, 1, 0, 1], bool))
    assert 'at frames 1 to 2, 4 (from 0)' in note


@pytest.fixture(scope='module')
def refined(tmp_path_factory):
    folder = tmp_path_factory.mktemp('blank')
    make_sample(str(folder / 'whole'), 'studios', 5, FRAMES / 10, 10.0, (160, 120))
    with open_bag(folder / 'whole') as reader, BagWriter(folder / 'cut') as cut:
        number = 0
        for topic, recorded_ns, message in reader.messages():
            if topic == '/camera/image_raw':
                if number in BLACK:
                    message.data = np.zeros_like(message.data)
                number += 1
            if topic == '/camera/camera_info':
                continue
            cut.write(topic, recorded_ns, message)
    return folder / 'refined', refine_bag(
        folder / 'cut', folder / 'refined', RefineSettings(processes=1)
    )


def test_depth_of_black_frames_is_unknown_and_that_of_the_others_is_not(refined):
    output, _ = refined
    with open_bag(output) as after:
        (topic,) = (one.name for one in after.topics if one.name.endswith('depth/image'))
        depths = [decode_depth(message) for _, _, message in after.messages([topic])]
    assert len(depths) == FRAMES
    for number, depth in enumerate(depths):
        assert np.isnan(depth).all() if number in BLACK else (~np.isnan(depth)).mean() > 0.9


def test_the_focal_length_without_camera_info_is_named_an_estimate(refined):
    _, facts = refined
    (note,) = [one for one in facts.notes if 'there is no camera_info' in one]
    assert f'{facts.focal_px:.1f} +- {facts.focal_sigma_px:.1f} px' in note
    assert 'no calibration' in note


def test_black_frames_do_not_end_stereo_and_are_named(refined):
    _, facts = refined
    assert any('nothing is visible at frames 6 to 8 (from 0)' in note for note in facts.notes)
    assert not any('no stereo' in note for note in facts.notes)
