# SPDX-License-Identifier: Apache-2.0
"""The frames of a camera in a recording: which topics, which camera_info, which stamp."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from test.support.bag_makers import (
    DELAY_NS,
    IMAGE,
    INFO,
    SIZE,
    camera_messages,
    image_message,
    info_message,
    number_of,
    picture,
    stamp_of,
    stamped,
    write_rosbag1,
    write_rosbag2,
)
from videodepth_ros.bags.camera_topics import (
    CAMERA_INFO,
    COMPRESSED,
    TopicInfo,
    find_camera_topics,
)
from videodepth_ros.bags.camera_topics import IMAGE as IMAGE_TYPE
from videodepth_ros.bags.frames import read_frames
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.camera_info import rectifier_from
from videodepth_ros.messages.image import write_depth


def read(path, **topics):
    with open_bag(path) as reader:
        found = list(read_frames(reader, **topics))
        return found, reader.lost


def images(*names, compressed=()):
    return [
        *(TopicInfo(name, IMAGE_TYPE, 3) for name in names),
        *(TopicInfo(name, COMPRESSED, 3) for name in compressed),
    ]


def infos(*names):
    return [TopicInfo(name, CAMERA_INFO, 3) for name in names]


def test_frames_have_the_stamp_of_their_header_their_camera_and_contiguous_rgb(tmp_path):
    found, lost = read(write_rosbag2(tmp_path / 'bag', camera_messages(5)))
    assert lost is None
    assert [frame.stamp_ns for frame in found] == [stamp_of(k) for k in range(5)]
    for k, frame in enumerate(found):
        assert frame.frame_id == 'camera_optical_frame'
        assert frame.camera == Intrinsics(*SIZE, 40.0, 40.0, 23.5, 15.5)
        assert frame.image.flags.c_contiguous
        np.testing.assert_array_equal(frame.image, picture(k))


def test_the_images_are_counted_without_reading_them(tmp_path):
    with open_bag(write_rosbag2(tmp_path / 'bag', camera_messages(5))) as reader:
        counts = [find_camera_topics(reader.topics, name).image.count for name in (None, IMAGE)]
        assert counts == [5, 5]


def test_frames_of_a_ros_1_bag(tmp_path):
    found, _ = read(write_rosbag1(tmp_path / 'a.bag', camera_messages(3)))
    assert [number_of(frame.image) for frame in found] == [0, 1, 2]
    assert found[0].camera == Intrinsics(*SIZE, 40.0, 40.0, 23.5, 15.5)


@pytest.mark.parametrize('info_first', [True, False])
def test_each_image_has_the_camera_info_of_its_own_stamp(info_first, tmp_path):
    messages = []
    for k in range(4):
        pair = [
            (IMAGE, stamp_of(k), image_message(k)),
            (INFO, stamp_of(k), info_message(k, focal_px=100.0 + k)),
        ]
        messages += reversed(pair) if info_first else pair
    found, _ = read(write_rosbag2(tmp_path / 'bag', messages))
    assert [frame.camera.fx for frame in found] == [100.0, 101.0, 102.0, 103.0]


def test_an_image_without_camera_info_of_its_stamp_has_the_latest(tmp_path):
    messages = [(IMAGE, stamp_of(k), image_message(k)) for k in range(6)]
    messages += [
        (INFO, stamp_of(2) + 1, info_message(2, focal_px=102.0)),
        (INFO, stamp_of(4) + 1, info_message(40, focal_px=104.0)),
    ]
    messages.sort(key=lambda one: one[1])
    found, _ = read(write_rosbag2(tmp_path / 'bag', messages))
    assert [number_of(frame.image) for frame in found] == list(range(6))
    # those before the first one have the first one, for a calibration hardly ever changes
    assert [frame.camera.fx for frame in found] == [102.0] * 4 + [104.0] * 2


def test_frames_without_any_camera_info_or_with_an_uncalibrated_one_have_no_camera(tmp_path):
    messages = [(IMAGE, stamp_of(k), image_message(k)) for k in range(3)]
    found, _ = read(write_rosbag2(tmp_path / 'none', messages))
    assert [frame.camera for frame in found] == [None] * 3
    messages.append((INFO, stamp_of(0), info_message(0, focal_px=0.0)))
    found, _ = read(write_rosbag2(tmp_path / 'zero', messages))
    assert [frame.camera for frame in found] == [None] * 3


def test_a_distorted_camera_is_rectified_unless_its_topic_is_rectified(tmp_path):
    D = [-0.2, 0.05, 0.0, 0.0, 0.0]
    for topic in ('/camera/image_raw', '/camera/image_rect_color'):
        messages = [
            (topic, stamp_of(0), image_message(0)),
            (INFO, stamp_of(0), info_message(0, D=D)),
        ]
        (frame,), _ = read(write_rosbag2(tmp_path / topic[-5:], messages))
        expected = picture(0)
        if topic == '/camera/image_raw':
            expected = rectifier_from(info_message(0, D=D), *SIZE).rectify(expected)
        np.testing.assert_array_equal(frame.image, expected)


def test_a_header_without_a_stamp_takes_the_time_of_recording(tmp_path):
    msg = image_message(0)
    msg.header.stamp.sec = msg.header.stamp.nanosec = 0
    (frame,), _ = read(write_rosbag2(tmp_path / 'bag', [(IMAGE, stamp_of(3) + DELAY_NS, msg)]))
    assert frame.stamp_ns == stamp_of(3) + DELAY_NS


@pytest.mark.parametrize(
    ('rectify', 'topic', 'rectified'),
    [
        ('auto', '/camera/image', True),
        ('never', '/camera/image', False),
        ('never', '/camera/image_raw', False),
        ('always', '/camera/image_rect', True),
        ('auto', '/camera/image_rectified', False),
    ],
)
def test_rectification_as_it_is_chosen(rectify, topic, rectified, tmp_path):
    info = info_message(0, D=[-0.2, 0.05, 0.0, 0.0, 0.0])
    path = write_rosbag2(
        tmp_path / 'bag', [(topic, stamp_of(0), image_message(0)), (INFO, stamp_of(0), info)]
    )
    (frame,), _ = read(path, rectify=rectify)
    raw = picture(0)
    expected = rectifier_from(info, *SIZE).rectify(raw) if rectified else raw
    np.testing.assert_array_equal(frame.image, expected)


@pytest.mark.parametrize('seconds', [0, -1, -1000])
def test_a_stamp_that_is_not_positive_is_the_time_of_recording(seconds, tmp_path):
    msg = image_message(0)
    msg.header.stamp.sec, msg.header.stamp.nanosec = seconds, 0
    (frame,), _ = read(write_rosbag2(tmp_path / 'bag', [(IMAGE, stamp_of(3) + DELAY_NS, msg)]))
    assert frame.stamp_ns == stamp_of(3) + DELAY_NS


@pytest.mark.parametrize('frame_id', ['/camera_optical', 'camera_optical', '/camera_optical/'])
def test_a_slash_around_a_frame_is_no_part_of_its_name(frame_id, tmp_path):
    msg = image_message(0)
    msg.header.frame_id = frame_id
    (frame,), _ = read(write_rosbag2(tmp_path / 'bag', [(IMAGE, stamp_of(3), msg)]))
    assert frame.frame_id == 'camera_optical'


def compressed_message(k, form='png'):
    msg = stamped('sensor_msgs/msg/CompressedImage', stamp_of(k))
    msg.format = form
    msg.data = cv2.imencode('.png', picture(k)[..., ::-1])[1].reshape(-1)
    return msg


def test_compressed_images_and_the_damaged_one_among_them(tmp_path):
    topic = f'{IMAGE}/compressed'
    messages = [(topic, stamp_of(k), compressed_message(k)) for k in range(4)]
    messages[1][2].data = messages[1][2].data[:300]
    messages += [(INFO, stamp_of(k), info_message(k)) for k in range(4)]
    found, lost = read(write_rosbag2(tmp_path / 'bag', messages))
    assert [number_of(frame.image) for frame in found] == [0, 2, 3]
    assert lost.startswith(f'1 images of {topic} could not be used: compressed image')


def test_no_image_that_can_be_used_is_an_error(tmp_path):
    messages = [*camera_messages(3)]
    for topic, _, msg in messages:
        if topic == INFO:
            msg.width = 640
    with open_bag(write_rosbag2(tmp_path / 'bag', messages)) as reader:
        with pytest.raises(
            BagError, match=r'none of the 3 images .*48x32 but camera_info gives 6'
        ):
            list(read_frames(reader))


def test_depth_and_other_pictures_are_not_taken_for_the_camera(tmp_path):
    messages = [*camera_messages(2)]
    for name in ('/ground_truth/depth/image', '/videodepth/depth/confidence', '/stereo/disparity'):
        depth = stamped('sensor_msgs/msg/Image', stamp_of(0))
        write_depth(np.ones(SIZE[::-1], np.float32), depth)
        messages.append((name, stamp_of(0), depth))
    messages.append(('/videodepth/depth/camera_info', stamp_of(0), info_message(0, 99.0)))
    found, _ = read(write_rosbag2(tmp_path / 'bag', messages))
    assert [frame.camera.fx for frame in found] == [40.0, 40.0]


def test_a_camera_whose_name_only_begins_like_depth_is_a_camera():
    topics = images('/depthai/rgb/image_raw', '/cam/aligned_depth_to_color/image_raw')
    assert find_camera_topics(topics).image.name == '/depthai/rgb/image_raw'


@pytest.mark.parametrize('name', ['/Camera/Depth/image', '/cam/depthImage', '/s/Depth_0/data'])
def test_depth_is_a_word_of_the_name_in_any_case(name):
    assert find_camera_topics(images('/rgb/image', name)).image.name == '/rgb/image'


def test_video_that_cannot_be_read_has_its_next_step_beside_depth_too():
    video = TopicInfo('/cam/image_raw/theora', 'theora_image_transport/msg/Packet', 9)
    with pytest.raises(ConfigError, match=r'no topic.*/cam/depth/image \(.*republish'):
        find_camera_topics([*images('/cam/depth/image'), video])


def test_raw_images_are_preferred_to_the_same_ones_compressed():
    topics = images('/cam/image_raw', compressed=['/cam/image_raw/compressed'])
    assert find_camera_topics(topics).image == topics[0]
    assert find_camera_topics(topics, '/cam/image_raw/compressed').image == topics[1]


@pytest.mark.parametrize(
    ('raw', 'compressed', 'used'),
    [
        (2, 12, 'compressed'),
        (12, 12, 'raw'),
        (11, 12, 'raw'),
        (0, 12, 'compressed'),
        (12, 1, 'raw'),
    ],
)
def test_the_fuller_transport_of_a_camera_is_used_with_a_note(raw, compressed, used):
    topics = [
        TopicInfo('/cam/image_raw', IMAGE_TYPE, raw),
        TopicInfo('/cam/image_raw/compressed', COMPRESSED, compressed),
    ]
    found = find_camera_topics(topics)
    assert found.image == topics[used == 'compressed']
    if raw == 2:
        assert found.notes == (
            '/cam/image_raw has only 2 images, /cam/image_raw/compressed has 12 of the same '
            'camera and is used',
        )
    else:
        assert found.notes == ()


def test_a_given_topic_is_used_and_its_fuller_transport_is_noted():
    topics = [
        TopicInfo('/cam/image_raw', IMAGE_TYPE, 2),
        TopicInfo('/cam/image_raw/compressed', COMPRESSED, 12),
    ]
    found = find_camera_topics(topics, '/cam/image_raw')
    assert found.image == topics[0]
    assert '/cam/image_raw/compressed has 12 of the same camera' in found.notes[0]


def test_a_given_topic_without_messages_names_those_that_have_some():
    topics = [
        TopicInfo('/cam/image_raw', IMAGE_TYPE, 0),
        TopicInfo('/cam/image_raw/compressed', COMPRESSED, 12),
    ]
    with pytest.raises(ConfigError, match=r'image_raw has no messages.*: .*compressed \(.*12 mes'):
        find_camera_topics(topics, '/cam/image_raw')


@pytest.mark.parametrize('few', [0, 1, 9])
def test_a_topic_with_hardly_any_images_is_no_camera(few):
    topics = [
        TopicInfo('/cam/image_raw', IMAGE_TYPE, 500),
        TopicInfo('/snapshot/image', IMAGE_TYPE, few),
    ]
    assert find_camera_topics(topics).image == topics[0]
    with pytest.raises(ConfigError, match='several'):
        find_camera_topics([topics[0], TopicInfo('/rear/image', IMAGE_TYPE, 20)])


@pytest.mark.parametrize(
    ('kind', 'advice'),
    [
        ('foxglove.CompressedImage', 'videodepth import'),
        ('foxglove.CompressedVideo', 'videodepth import'),
        ('theora_image_transport/msg/Packet', 'image_transport republish'),
        ('acme_msgs/msg/Picture', 'acme_msgs/msg/Picture, 7 messages'),
    ],
)
def test_images_of_other_types_are_named_with_the_next_step(kind, advice):
    with pytest.raises(ConfigError) as error:
        find_camera_topics([TopicInfo('/CAM_FRONT/image', kind, 7)])
    assert f'/CAM_FRONT/image ({kind}, 7 messages)' in str(error.value)
    assert advice in str(error.value)


def test_several_cameras_are_named_and_one_has_to_be_chosen():
    topics = images('/left/image_raw', '/right/image_raw') + infos(
        '/left/camera_info', '/right/camera_info'
    )
    with pytest.raises(ConfigError, match=r'several.*: /left/image_raw /right/image_raw$'):
        find_camera_topics(topics)
    chosen = find_camera_topics(topics, 'right/image_raw/')
    assert (chosen.image.name, chosen.info.name) == ('/right/image_raw', '/right/camera_info')


def test_camera_info_is_beside_the_image_or_the_only_one_or_to_be_chosen():
    beside = images('/cam/image_raw') + infos('/cam/camera_info', '/other/camera_info')
    assert find_camera_topics(beside).info.name == '/cam/camera_info'
    below = images(compressed=['/cam/image_raw/compressed']) + infos('/cam/camera_info', '/o/info')
    assert find_camera_topics(below).info.name == '/cam/camera_info'
    only = images('/cam/image_raw') + infos('/calibration')
    assert find_camera_topics(only).info.name == '/calibration'
    several = images('/cam/image_raw') + infos('/a/camera_info', '/b/camera_info')
    with pytest.raises(ConfigError, match=r'none is /cam/camera_info; .*/a/camera_info /b/camera'):
        find_camera_topics(several)
    assert (
        find_camera_topics(several, camera_info_topic='/b/camera_info').info.name
        == '/b/camera_info'
    )
    assert find_camera_topics(images('/cam/image_raw')).info is None
    assert find_camera_topics(beside, camera_info_topic='none').info is None


def test_camera_info_of_another_camera_must_be_given():
    topics = images('/front/image', '/rear/image') + infos('/front/camera_info')
    with pytest.raises(ConfigError, match=r'beside /front/image and not beside /rear/image'):
        find_camera_topics(topics, '/rear/image')
    asked = find_camera_topics(topics, '/rear/image', '/front/camera_info')
    assert asked.info.name == '/front/camera_info'
    assert find_camera_topics(topics, '/rear/image', 'none').info is None


def test_a_topic_that_is_not_there_or_of_another_type_is_named():
    topics = images('/cam/image_raw') + infos('/cam/camera_info')
    with pytest.raises(ConfigError, match=r'/cam/image is not in the recording.*: /cam/image_raw'):
        find_camera_topics(topics, '/cam/image')
    with pytest.raises(ConfigError, match=r'/cam/camera_info has the type sensor_msgs/msg/Camera'):
        find_camera_topics(topics, '/cam/camera_info')
    with pytest.raises(
        ConfigError,
        match=r'no topic with camera images; .*: /cam/camera_info '
        r'\(sensor_msgs/msg/CameraInfo, 3 messages\)$',
    ):
        find_camera_topics(infos('/cam/camera_info'))
    with pytest.raises(ConfigError, match=r'no topic with camera images; .*: none$'):
        find_camera_topics(())
    with pytest.raises(ConfigError, match=r'/d/depth/image$'):
        find_camera_topics(images('/d/depth/image'))


def test_wrong_topics_are_rejected_before_the_first_frame(tmp_path):
    with open_bag(write_rosbag2(tmp_path / 'bag', camera_messages(1))) as reader:
        with pytest.raises(ConfigError):
            read_frames(reader, '/nowhere')


def test_real_images_by_way_of_a_recording(tmp_path):
    folder = Path(__file__).parents[3] / 'shared/data/real_kitchen/rgb'
    if not folder.exists():
        pytest.skip('the real sequences of ../shared are not beside the tree')
    files = sorted(folder.iterdir())[:3]
    messages = []
    for k, file in enumerate(files):
        msg = stamped('sensor_msgs/msg/CompressedImage', stamp_of(k))
        msg.format = 'jpeg' if file.suffix == '.jpg' else 'png'
        msg.data = np.frombuffer(file.read_bytes(), np.uint8)
        messages.append((f'{IMAGE}/compressed', stamp_of(k), msg))
    found, lost = read(write_rosbag2(tmp_path / 'bag', messages))
    assert lost is None
    for frame, file in zip(found, files, strict=True):
        np.testing.assert_array_equal(frame.image, cv2.imread(str(file))[..., ::-1])


@pytest.mark.parametrize('zero', [{0}, {0, 1}, {2}, {4}, {1, 3}])
def test_a_calibration_of_zeros_among_others_is_not_used(tmp_path, zero):
    messages = list(camera_messages(5))
    for k in zero:
        messages[2 * k + 1][2].k[:], messages[2 * k + 1][2].p[:] = 0.0, 0.0
    with open_bag(write_rosbag2(tmp_path / 'bag', messages)) as reader:
        found = list(read_frames(reader))
        assert reader.lost is None
        (note,) = reader.notes
    assert note.startswith(f'{len(zero)} messages of {INFO} have K = 0')
    assert [frame.camera for frame in found] == [Intrinsics(*SIZE, 40.0, 40.0, 23.5, 15.5)] * 5


def test_calibrations_of_zeros_alone_are_none(tmp_path):
    messages = list(camera_messages(3))
    for _, _, info in messages[1::2]:
        info.k[:], info.p[:] = 0.0, 0.0
    with open_bag(write_rosbag2(tmp_path / 'bag', messages)) as reader:
        assert [frame.camera for frame in read_frames(reader)] == [None] * 3
        assert reader.notes == ()


def test_bits_of_grey_are_a_note_and_no_loss(tmp_path):
    messages = list(camera_messages(2))
    for _, _, image in messages[::2]:
        image.encoding, image.step = 'mono16', 2 * SIZE[0]
        image.data = np.full(SIZE[0] * SIZE[1], 0x0F00, '<u2').view(np.uint8)
    with open_bag(write_rosbag2(tmp_path / 'bag', messages)) as reader:
        assert len(list(read_frames(reader))) == 2
        assert reader.lost is None
        assert '12 bits' in reader.notes[0]
