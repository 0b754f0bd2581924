# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

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
    select_frames,
    size_within,
)
from videodepth_ros.refine.options import ReadOptions
from videodepth_ros.refine.stages.read import keep_images

CAMERA = Intrinsics(64, 48, 60, 61, 31, 23)
SMALL = ReadOptions(tracking_pixels=32 * 24)
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
def test_an_empty_range_is_rejected(wrong):
    with pytest.raises(ConfigError, match='no frames are from'):
        FrameRange(**wrong)


def test_stamps_out_of_order_are_left_out_with_a_note():
    numbers = [0, 1, 2, 9000, 3, 3, 1, 4, 5]
    assert chosen(FrameRange(), numbers) == [0, 1, 2, 3, 4, 5]
    assert chosen(FrameRange(end_s=0.4, stride=2), numbers) == [0, 2, 4]
    found = select_frames(stamped(*numbers), FrameRange())
    assert found.left_out == 3
    (note,) = found.notes
    assert 'left out: 3 of 9 images' in note
    assert 'image 3 (' in note
    assert not select_frames(stamped(0, 1), FrameRange()).notes


USELESS = {
    'constant': [7] * 12,
    'falling': list(range(12, 0, -1)),
    'repeating': [1, 1, 1, 2, 2, 2, 3, 3, 3],
}


@pytest.mark.parametrize('name', USELESS)
def test_useless_stamps_are_replaced_by_the_times_of_recording_with_a_note(name):
    header_ns = np.array(USELESS[name], np.int64) * TENTH_NS
    recorded_ns = 10**12 + np.arange(len(header_ns)) * TENTH_NS
    found = select_frames(Stamps(header_ns, recorded_ns), FrameRange(stride=2))
    np.testing.assert_array_equal(found.stamps.stamp_ns, recorded_ns[::2])
    assert found.left_out == 0
    assert 'the times of recording are used instead' in found.notes[0]
    for k, recorded in enumerate(recorded_ns.tolist()):
        assert found.stamps.contains(recorded, int(header_ns[k])) == (k % 2 == 0)
        assert found.stamps.stamp_of(recorded, int(header_ns[k])) == recorded


def test_frames_of_another_camera_are_left_out_and_counted():
    camera = CameraFormatFilter()
    assert not camera.counts
    odd = [
        frame(0),
        frame(1, size=(32, 48)),
        frame(2, frame_id='rear'),
        frame(3),
        frame(3),
        frame(4),
    ]
    assert [f.stamp_ns for f in camera.filter(odd)] == [5 + n * TENTH_NS for n in (0, 3, 4)]
    assert camera.counts[camera.format] == 4
    assert camera.counts.total() == 6
    assert [
        f.frame_id for f in CameraFormatFilter(CameraFormat((64, 48), 'rear')).filter(odd)
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


def read(tmp_path, frames, steps=None, options=SMALL):
    with WorkFolder(tmp_path / 'work') as work:
        return keep_images(
            lambda: frames,
            'bag',
            len(frames) if isinstance(frames, list) else 0,
            work,
            lambda: steps.append(1) if steps is not None else None,
            SimpleNamespace(read_errors=('one message is damaged',), notes=('12 bits',)),
            options,
        )


def test_images_are_decoded_once(tmp_path):
    steps = []
    first = read(tmp_path, [frame(n) for n in (0, 2, 4)], steps)
    assert len(steps) == len(first) == 3
    again = read(tmp_path, iter(()))
    np.testing.assert_array_equal(again.stamps_ns, [5, 5 + 2 * TENTH_NS, 5 + 4 * TENTH_NS])
    assert (again.size, again.frame_id, again.camera) == ((64, 48), 'camera', CAMERA)
    assert again.images.open().shape == (3, 24, 32, 3)
    assert again.images.open()[1, 0, 0, 0] == 2
    assert again.camera_at(32, 24) == CAMERA.scaled_to(32, 24)
    assert (again.read_errors, again.read_notes) == (('one message is damaged',), ('12 bits',))


def test_images_at_the_size_of_the_camera_come_back_from_disk(tmp_path):
    zoomed = replace(CAMERA, fx=90.0)
    before = [frame(0), frame(1, camera=zoomed), frame(2, camera=None)]
    after = list(read(tmp_path, before).full_size_frames())
    assert len(after) == 3
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert replace(one, raw=None) == replace(other, raw=None)


def test_images_beyond_the_disk_budget_are_not_kept_at_the_size_of_the_camera(tmp_path):
    tight = replace(SMALL, max_full_size_bytes=3 * 64 * 48 * 3 - 1)
    assert read(tmp_path, [frame(n) for n in range(3)], options=tight).full_size is None


def test_small_images_are_kept_once(tmp_path):
    small = read(tmp_path, [frame(0)], options=ReadOptions())
    assert small.full_size == small.images


def test_an_uncalibrated_camera_has_no_intrinsics(tmp_path):
    assert read(tmp_path, [frame(0, camera=None)]).camera_at(32, 24) is None


def test_a_selection_beyond_the_end_is_an_error(tmp_path):
    with pytest.raises(BagError, match=r'its 20 images take 1\.9 s, and none is 3 s or more'):
        chosen(FrameRange(start_s=3.0))
    with pytest.raises(BagError, match='it has no image'):
        chosen(FrameRange(), ())


@pytest.mark.parametrize(
    ('focal_px', 'changed', 'first'),
    [
        ([60.0] * 6, 0, None),
        ([60.0, 60.01, 60.02, 60.0, 60.0, 60.0], 0, None),
        ([60.0, 60.0, 66.0, 72.0, 78.0, 90.0], 4, 2),
        ([90.0, 60.0, 60.0, 60.0, 60.0, 60.0], 5, 1),
    ],
)
def test_a_zoom_gets_a_note_with_its_frames(focal_px, changed, first, tmp_path):
    frames = [frame(n, replace(CAMERA, fx=fx)) for n, fx in enumerate(focal_px)]
    with WorkFolder(tmp_path / 'work') as work:
        images = keep_images(lambda: iter(frames), 'key', 6, work, lambda: None)
    assert len(images.notes) == (changed > 0)
    if changed:
        assert (
            f'{changed} of 6 frames differ from the first one, from frame {first}'
            in (images.notes[0])
        )
        assert 'each frame has its own intrinsics' in images.notes[0]
        assert images.camera == replace(CAMERA, fx=min(focal_px))
        cameras = images.zoom.cameras(images.camera)
        assert [camera.fx for camera in cameras] == pytest.approx(focal_px)
    else:
        assert images.camera == CAMERA
        assert images.zoom.is_constant


def test_images_of_another_format_get_a_note(tmp_path):
    found = read(tmp_path, [frame(0, size=(32, 48)), frame(1), frame(2)])
    np.testing.assert_array_equal(found.stamps_ns, [5 + TENTH_NS, 5 + 2 * TENTH_NS])
    assert (found.size, len(found.images.open()), found.left_out) == ((64, 48), 2, 1)
    note, _ = found.notes
    assert 'left out: 1 of 3 images' in note
    assert '64x48' in note


def test_the_key_of_a_bag_follows_its_files(tmp_path):
    (tmp_path / 'a.mcap').write_bytes(b'123')
    before = bag_digest(tmp_path)
    assert bag_digest(tmp_path) == before
    (tmp_path / 'a.mcap').write_bytes(b'1234')
    assert bag_digest(tmp_path) != before
