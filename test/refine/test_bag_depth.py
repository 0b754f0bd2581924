# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from videodepth_ros.bags.camera_topics import COMPRESSED, IMAGE, TopicInfo
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.types import new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.image import write_depth, write_image
from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.models.mono import PriorKind
from videodepth_ros.refine.bag_depth import BagDepthPrior, depth_unit_notes, resample_to_camera
from videodepth_ros.refine.depth_topic import choose_depth_topic, find_depth_topic

MS = 1_000_000
PERIOD_MS = 100
CAMERA = Intrinsics(32, 24, 30.0, 30.0, 15.5, 11.5)
TOPIC, INFO = '/camera/depth/image', '/camera/depth/camera_info'


def depth_of(k: int) -> np.ndarray:
    depth = np.full((24, 32), 1 + k, np.float32)
    depth[:, 16:] = 9
    depth[0, 0], depth[0, 1] = np.nan, np.inf
    return depth


def frame(at_ms: float, camera: Intrinsics | None = CAMERA, frame_id: str = 'camera') -> Frame:
    size = (camera.height, camera.width) if camera else (24, 32)
    return Frame(int(at_ms * MS), frame_id, np.zeros((*size, 3), np.uint8), camera)


def recorded(path, *, count=5, camera=CAMERA, first_ms=1000):
    with BagWriter(path) as writer:
        for k in range(count):
            stamp_ns = (first_ms + PERIOD_MS * k) * MS
            writer.write_depth(TOPIC, stamp_ns, 'camera', depth_of(k))
            if camera:
                writer.write_camera_info(INFO, stamp_ns, 'camera', camera)
    return path


def estimated(path, frames, topic=None):
    prior = BagDepthPrior(path, topic)
    try:
        return list(prior.estimate(frames))
    finally:
        prior.close()


def test_each_frame_has_the_depth_nearest_in_time(tmp_path):
    bag = recorded(tmp_path / 'bag')
    found = estimated(bag, [frame(at) for at in (1000, 1010, 1040, 1060, 1240, 1395)])
    assert [float(each.values[5, 3]) for each in found] == [1, 1, 1, 2, 3, 5]
    np.testing.assert_array_equal(found[0].values, depth_of(0))  # unknown and far ones too
    assert {(each.kind, each.scale_source, each.focal_px) for each in found} == {
        (PriorKind.METRIC, ScaleSource.SENSOR, None)
    }


def test_a_frame_without_depth_near_it_is_unknown(tmp_path):
    bag = recorded(tmp_path / 'bag')
    found = estimated(bag, [frame(at) for at in (900, 949, 951, 1449, 1451, 9000)])
    assert [bool(np.isnan(each.values).all()) for each in found] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    assert found[-1].values.shape == (24, 32)


def test_no_depth_near_any_frame_is_an_error(tmp_path):
    with pytest.raises(BagError, match=r'none of the 2 frames.*none is near in time'):
        estimated(recorded(tmp_path / 'bag'), [frame(50_000), frame(50_100)])


def test_stamps_that_leap_or_fall_back_do_not_hide_the_depth_after_them(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        for k, at_ms in enumerate((1000, 1100, 99_000, 1200, 500, 1200, 1300)):
            message = new_message('sensor_msgs/msg/Image')
            write_depth(depth_of(k), message)
            set_stamp(message.header.stamp, at_ms * MS)
            writer.write(TOPIC, 0, message, recorded_ns=(2000 + k) * MS)
    found = estimated(tmp_path / 'bag', [frame(at) for at in (1000, 1100, 1200, 1300)])
    assert [float(each.values[5, 3]) for each in found] == [1, 2, 4, 7]


def test_frames_are_read_lazily(tmp_path):
    taken = []

    def source():
        for k in range(5):
            taken.append(k)
            yield frame(1000 + PERIOD_MS * k)

    prior = BagDepthPrior(recorded(tmp_path / 'bag'))
    next(prior.estimate(source()))
    assert taken == [0]
    prior.close()


def test_a_camera_of_another_size_sees_the_same(tmp_path):
    (found,) = estimated(recorded(tmp_path / 'bag'), [frame(1000, CAMERA.scaled_to(640, 480))])
    np.testing.assert_array_equal(found.values, depth_of(0))


def test_depth_without_camera_info_is_taken_as_registered(tmp_path):
    bag = recorded(tmp_path / 'bag', camera=None)
    (found,) = estimated(bag, [frame(1000, CAMERA.scaled_to(64, 48))])
    np.testing.assert_array_equal(found.values, depth_of(0))
    with pytest.raises(ConfigError, match=r'32x24.*640x360.*registered'):
        estimated(bag, [frame(1000, CAMERA.scaled_to(640, 360))])


def test_another_lens_at_the_same_place_is_reprojected(tmp_path):
    narrow = Intrinsics(32, 24, 60.0, 60.0, 15.5, 11.5)
    (found,) = estimated(recorded(tmp_path / 'bag'), [frame(1000, narrow)])
    assert found.values.shape == (24, 32)
    assert set(np.unique(found.values)) == {1, 9}, 'no depth between the two surfaces'
    assert (found.values[:, :16] == 1).all()
    assert (found.values[:, 16:] == 9).all()


def test_another_camera_elsewhere_is_refused(tmp_path):
    narrow = Intrinsics(32, 24, 60.0, 60.0, 15.5, 11.5)
    with pytest.raises(ConfigError, match=r"'camera'.*'other'.*depth_image_proc/register"):
        estimated(
            recorded(tmp_path / 'bag'), [frame(1000, narrow, 'other')], '/camera/depth/image'
        )


def test_depth_of_another_frame_is_taken_only_where_it_is_named(tmp_path):
    bag, ours = recorded(tmp_path / 'bag'), [frame(1000, CAMERA, 'rear')]
    with pytest.raises(ConfigError, match=r"frame 'camera'.*of 'rear'.*--depth-topic"):
        estimated(bag, ours)
    (found,) = estimated(bag, ours, '/camera/depth/image')
    np.testing.assert_array_equal(found.values, depth_of(0))


def test_what_the_depth_camera_does_not_see_is_unknown():
    wide = Intrinsics(32, 12, 15.0, 15.0, 15.5, 5.5)
    depth = np.arange(24 * 32, dtype=np.float32).reshape(24, 32)
    seen = resample_to_camera(depth, CAMERA, wide)
    assert seen.shape == (12, 32)
    assert np.isnan(seen[:, :7]).all()
    assert np.isnan(seen[:, -7:]).all()
    inside = seen[:, 9:23]
    assert np.isfinite(inside).all()
    assert set(inside.ravel()) <= set(depth.ravel())
    assert (np.diff(inside, axis=1) == 2).all()  # a pixel of the wide one is two of the other


def test_a_distorted_depth_camera_is_rectified(tmp_path):
    """Each value stays one of the map, and an edge lies where the lens' model puts it."""
    from videodepth_ros.messages.camera_info import fill_camera_info

    message = new_message('sensor_msgs/msg/CameraInfo')
    fill_camera_info(message, CAMERA)
    message.distortion_model, message.d = 'plumb_bob', np.array([-0.3, 0.05, 0, 0, 0])
    with BagWriter(tmp_path / 'bag') as writer:
        for k in range(2):
            stamp_ns = (1000 + PERIOD_MS * k) * MS
            writer.write_depth(TOPIC, stamp_ns, 'camera', depth_of(0))
            writer.write(INFO, stamp_ns, message)
    (found,) = estimated(tmp_path / 'bag', [frame(1000)])
    assert set(np.unique(found.values[np.isfinite(found.values)])) == {1, 9}
    # At column 23.5 the ray has a slope of 0.267, which this lens shows at 0.261: half a column.
    ideal = (np.arange(32) - 15.5) / 30
    shown = ideal * (1 - 0.3 * ideal**2 + 0.05 * ideal**4) * 30 + 15.5
    np.testing.assert_array_equal(found.values[12], depth_of(0)[12][np.rint(shown).astype(int)])


def compressed(depth_m: np.ndarray, stamp_ns: int):
    message = new_message('sensor_msgs/msg/CompressedImage')
    set_stamp(message.header.stamp, stamp_ns)
    message.header.frame_id, message.format = 'camera', '16UC1; compressedDepth png'
    packed = cv2.imencode('.png', (np.nan_to_num(depth_m, posinf=0) * 1000).astype(np.uint16))[1]
    message.data = np.frombuffer(struct.pack('<iff', 0, 0, 0) + packed.tobytes(), np.uint8)
    return message


def test_compressed_depth(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        for k in range(3):
            stamp_ns = (1000 + PERIOD_MS * k) * MS
            writer.write(
                '/camera/depth/image/compressedDepth', stamp_ns, compressed(depth_of(k), stamp_ns)
            )
            writer.write_camera_info(INFO, stamp_ns, 'camera', CAMERA)
    (found,) = estimated(tmp_path / 'bag', [frame(1100)])
    assert found.values[5, 3] == 2
    assert np.isnan(found.values[0, 0])


def test_topics():
    def topic(name, kind=IMAGE, count=9):
        return TopicInfo(name, kind, count)

    raw, packed = topic('/depth/image'), topic('/depth/image/compressedDepth', COMPRESSED)
    others = [topic('/rgb/image'), topic('/depth/confidence'), topic('/depth/empty', count=0)]
    assert find_depth_topic([*others, packed]) == packed
    assert find_depth_topic([*others, packed, raw]) == raw
    plain = topic('/depth/image/compressed', COMPRESSED)
    assert find_depth_topic([*others, plain]) == plain
    assert find_depth_topic([*others, plain, packed]) == packed
    registered = topic('/depth_registered/image')
    assert find_depth_topic([raw, registered]) == registered
    with pytest.raises(ConfigError, match=r'several depth topics.*/depth/image /left/depth/image'):
        find_depth_topic([raw, topic('/left/depth/image')])
    with pytest.raises(ConfigError, match='no depth topic'):
        find_depth_topic(others)


@pytest.mark.parametrize('name', ['/Camera/Depth/image', '/cam/depthImage', '/s/Depth_0/data'])
def test_depth_is_a_word_of_the_name_in_any_case(name):
    topics = [TopicInfo('/rgb/image', IMAGE, 9), TopicInfo(name, IMAGE, 9)]
    assert find_depth_topic(topics).name == name


def test_own_depth_is_no_measurement_unless_it_is_named():
    topics = [TopicInfo('/videodepth/depth/image', IMAGE, 9)]
    with pytest.raises(ConfigError, match='no depth topic'):
        find_depth_topic(topics)
    bag = SimpleNamespace(topics=topics)
    assert choose_depth_topic(bag, '/videodepth/depth/image') == topics[0]


def stored_depth(kind, values):
    """Return a message of depth that is stored as ``values``: raw, PNG or TIFF."""
    if kind in ('16UC1', '32FC1'):
        message = new_message('sensor_msgs/msg/Image')
        write_image(values, message, kind)
        return message
    message = new_message('sensor_msgs/msg/CompressedImage')
    encoding, suffix = {'png': ('16UC1', '.png'), 'tiff': ('32FC1', '.tiff')}[kind]
    message.format = f'{encoding}; {kind} compressed '
    message.data = cv2.imencode(suffix, values)[1].reshape(-1)
    return message


@pytest.mark.parametrize('kind', ['16UC1', '32FC1', 'png', 'tiff'])
def test_depth_is_found_by_its_encoding_where_no_name_marks_it(kind, tmp_path):
    dtype = np.float32 if kind in ('32FC1', 'tiff') else np.uint16
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_image('/rgb/image', 1, 'camera', np.zeros((24, 32, 3), np.uint8))
        writer.write_image('/none/debug', 1, 'camera', np.zeros((24, 32, 3), np.uint8))
        writer.write('/tof/image', 1, stored_depth(kind, np.full((24, 32), 2, dtype)))
    with open_bag(tmp_path / 'bag') as bag:
        assert choose_depth_topic(bag, None).name == '/tof/image'


@pytest.mark.parametrize(('model', 'd'), [('magic', [0.1] * 4), ('plumb_bob', [1500.0, -800.0])])
def test_depth_of_a_lens_that_cannot_be_removed_is_used_as_it_is(model, d, tmp_path):
    from videodepth_ros.messages.camera_info import fill_camera_info

    message = new_message('sensor_msgs/msg/CameraInfo')
    fill_camera_info(message, CAMERA)
    message.distortion_model, message.d = model, np.array(d)
    with BagWriter(tmp_path / 'bag') as writer:
        for k in range(2):
            stamp_ns = (1000 + PERIOD_MS * k) * MS
            writer.write_depth(TOPIC, stamp_ns, 'camera', depth_of(0))
            writer.write(INFO, stamp_ns, message)
    prior = BagDepthPrior(tmp_path / 'bag')
    (found,) = prior.estimate([frame(1000)])
    assert np.nanmax(np.abs(found.values[1:] - depth_of(0)[1:])) == 0
    assert 'is not rectified' in prior._reader.notes[0]
    prior.close()


UNITS = [('16UC1', 0.0002), ('32FC1', 0.001), ('png', 0.0002), ('tiff', 0.01), ('png', 0.0)]


@pytest.mark.parametrize(('kind', 'unit_m'), UNITS)
def test_the_unit_of_depth_is_that_which_is_given(kind, unit_m, tmp_path):
    stored = np.full((24, 32), 5000, np.float32 if kind in ('32FC1', 'tiff') else np.uint16)
    topic = '/camera/depth/image_raw' + ('/compressed' if kind in ('png', 'tiff') else '')
    with BagWriter(tmp_path / 'bag') as writer:
        message = stored_depth(kind, stored)
        set_stamp(message.header.stamp, 1000 * MS)
        message.header.frame_id = '/camera'
        writer.write(topic, 1000 * MS, message)
    prior = BagDepthPrior(tmp_path / 'bag', unit_m=unit_m)
    (found,) = prior.estimate([frame(1000)])
    prior.close()
    np.testing.assert_allclose(found.values, 5000 * (unit_m or 0.001), rtol=1e-5)


@pytest.mark.parametrize(
    ('median_m', 'noted'), [(4195, True), (0.004, True), (3, False), (60, False)]
)
def test_implausible_depth_is_noted(median_m, noted, tmp_path):
    depth = DiskArray(tmp_path / 'depth', (4, 5), 'float32')
    with depth.writer() as out:
        for k in range(3):
            out.append(np.full((4, 5), np.nan if k == 2 else median_m, np.float32))
    notes = depth_unit_notes(depth, '/depth/image', 0.0)
    assert len(notes) == noted
    if noted:
        assert f'median depth of /depth/image is {median_m:g} m' in notes[0]
        assert '--depth-unit-m' in notes[0]


def test_depth_is_that_of_the_camera_info_beside_it(tmp_path):
    """A zoom changes the cameras of image and depth together."""
    with BagWriter(tmp_path / 'bag') as writer:
        for k in range(3):
            stamp_ns, zoomed = (1000 + PERIOD_MS * k) * MS, replace(CAMERA, fx=30.0 + 9 * k)
            writer.write_camera_info(INFO, stamp_ns, 'camera', zoomed)
            writer.write_depth(TOPIC, stamp_ns, 'camera', depth_of(k))
    frames = [frame(1000 + PERIOD_MS * k, replace(CAMERA, fx=30.0 + 9 * k)) for k in range(3)]
    for k, each in enumerate(estimated(tmp_path / 'bag', frames)):
        np.testing.assert_array_equal(each.values, depth_of(k))
