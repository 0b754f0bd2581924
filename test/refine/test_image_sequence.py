# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.bags.stamps import Stamps
from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.core.workspace import WorkFolder
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.image_sequence import (
    CameraFormat,
    CameraFormatFilter,
    FrameRange,
    bag_digest,
    read_images,
    select_frames,
    size_within,
)

CAMERA = Intrinsics(64, 48, 60, 61, 31, 23)
TENTH_NS = 100_000_000


def frame(number, camera=CAMERA, size=(64, 48), frame_id='camera'):
    image = np.full((size[1], size[0], 3), number, np.uint8)
    return Frame(5 + number * TENTH_NS, frame_id, image, camera)


def stamped(*numbers):
    stamps_ns = np.array([5 + number * TENTH_NS for number in numbers], np.int64)
    return Stamps(stamps_ns, stamps_ns)


def chosen(selection, numbers=range(20)):
    found = select_frames(stamped(*numbers), selection).stamps.stamp_ns
    return [int(ns - 5) // TENTH_NS for ns in found]


@pytest.mark.parametrize(
    ('selection', 'expected'),
    [
        (FrameRange(), list(range(20))),
        (FrameRange(start_s=0.5, end_s=1.0), [5, 6, 7, 8, 9, 10]),
        (FrameRange(stride=7), [0, 7, 14]),
        (FrameRange(start_s=0.3, stride=4, frames=3), [3, 7, 11]),
        (FrameRange(frames=50, stride=10), [0, 10]),
    ],
)
def test_frames_are_chosen_by_time_stride_and_number(selection, expected):
    assert chosen(selection) == expected


@pytest.mark.parametrize(
    'wrong', [{'start_s': -1}, {'stride': 0}, {'frames': -2}, {'start_s': 3.0, 'end_s': 2.0}]
)
def test_a_selection_that_holds_nothing_is_refused(wrong):
    with pytest.raises(ConfigError, match='no frames are from'):
        FrameRange(**wrong)


def test_a_stamp_out_of_order_is_left_out_and_said():
    numbers = [0, 1, 2, 9000, 3, 3, 1, 4, 5]
    assert chosen(FrameRange(), numbers) == [0, 1, 2, 3, 4, 5]
    assert chosen(FrameRange(end_s=0.4, stride=2), numbers) == [0, 2, 4]
    found = select_frames(stamped(*numbers), FrameRange())
    assert found.left_out == 3
    (note,) = found.notes
    assert 'left out: 3 of 9 images' in note
    assert 'image 3 (' in note
    assert not select_frames(stamped(0, 1), FrameRange()).notes


def test_what_another_camera_saw_is_left_out_and_counted():
    camera = CameraFormatFilter()
    assert not camera.seen
    odd = [
        frame(0),
        frame(1, size=(32, 48)),
        frame(2, frame_id='rear'),
        frame(3),
        frame(3),
        frame(4),
    ]
    assert [f.stamp_ns for f in camera.frames(odd)] == [5 + n * TENTH_NS for n in (0, 3, 4)]
    assert camera.seen[camera.kind] == 4
    assert camera.seen.total() == 6
    assert [
        f.frame_id for f in CameraFormatFilter(CameraFormat((64, 48), 'rear')).frames(odd)
    ] == ['rear']


@pytest.mark.parametrize(
    ('size', 'pixels', 'expected'),
    [
        ((640, 480), 320 * 240, (320, 240)),
        ((1920, 1080), 320 * 240, (369, 207)),
        ((100, 50), 10**6, (100, 50)),
        ((640, 480), 300, (20, 15)),
    ],
)
def test_a_size_keeps_its_aspect_and_its_budget(size, pixels, expected):
    assert size_within(size, pixels) == expected
    assert expected[0] * expected[1] <= pixels


def read(tmp_path, frames, ticks=None):
    with WorkFolder(tmp_path / 'work') as work:
        return read_images(
            lambda: frames,
            'bag',
            32 * 24,
            work,
            lambda: ticks.append(1) if ticks is not None else None,
        )


def test_a_recording_is_read_once(tmp_path):
    ticks = []
    first = read(tmp_path, [frame(n) for n in (0, 2, 4)], ticks)
    assert len(ticks) == len(first) == 3
    again = read(tmp_path, iter(()))
    np.testing.assert_array_equal(again.stamps_ns, [5, 5 + 2 * TENTH_NS, 5 + 4 * TENTH_NS])
    assert (again.size, again.frame_id, again.camera) == ((64, 48), 'camera', CAMERA)
    assert again.images.open().shape == (3, 24, 32, 3)
    assert again.images.open()[1, 0, 0, 0] == 2
    assert again.camera_at(32, 24) == CAMERA.scaled_to(32, 24)


def test_a_camera_that_nobody_calibrated_stays_unknown(tmp_path):
    assert read(tmp_path, [frame(0, camera=None)]).camera_at(32, 24) is None


def test_a_selection_beyond_the_end_is_an_error(tmp_path):
    with pytest.raises(BagError, match=r'its 20 images take 1\.9 s, and none is 3 s or more'):
        chosen(FrameRange(start_s=3.0))
    with pytest.raises(BagError, match='it has no image'):
        chosen(FrameRange(), ())


def test_what_was_left_out_is_said(tmp_path):
    found = read(tmp_path, [frame(0, size=(32, 48)), frame(1), frame(2)])
    np.testing.assert_array_equal(found.stamps_ns, [5 + TENTH_NS, 5 + 2 * TENTH_NS])
    assert (found.size, len(found.images.open()), found.left_out) == ((64, 48), 2, 1)
    (note,) = found.notes
    assert 'left out: 1 of 3 images' in note
    assert '64x48' in note


def test_the_key_of_a_bag_follows_its_files(tmp_path):
    (tmp_path / 'a.mcap').write_bytes(b'123')
    before = bag_digest(tmp_path)
    assert bag_digest(tmp_path) == before
    (tmp_path / 'a.mcap').write_bytes(b'1234')
    assert bag_digest(tmp_path) != before
