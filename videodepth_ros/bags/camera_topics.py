# SPDX-License-Identifier: Apache-2.0
"""Image and camera_info topics of the camera in a recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from videodepth_ros.bags.foxglove import VIDEO
from videodepth_ros.bags.options import TOPICS as OPTIONS
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.messages.topic_words import topic_words

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
VIDEO_TYPES = (VIDEO, 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket')
"""Types of packets of H.264 or H.265, see messages/video.py."""
IMAGE_TYPES = (IMAGE, COMPRESSED, *VIDEO_TYPES)

NO_CAMERA_INFO = 'none'
"""Name of the camera_info topic that stands for no calibration."""

_AS_VIDEO = (
    'save the images as a video, for example with ffmpeg, and convert it with '
    '`videodepth import`, or record sensor_msgs/CompressedImage (jpeg or png)'
)
_REPUBLISH = (
    'play the recording, and record what `ros2 run image_transport republish` makes of '
    'it as raw or compressed images'
)
FOREIGN_IMAGES = {
    'foxglove.CompressedImage': f'foxglove.CompressedImage is read in Protobuf only: {_AS_VIDEO}',
    'foxglove.CompressedVideo': f'foxglove.CompressedVideo is read in Protobuf only: {_AS_VIDEO}',
    'foxglove.RawImage': f'foxglove.RawImage is no ROS message: {_AS_VIDEO}',
    'foxglove_msgs/msg/CompressedImage': f'use sensor_msgs/CompressedImage: {_AS_VIDEO}',
    'foxglove_msgs/msg/RawImage': f'use sensor_msgs/Image: {_AS_VIDEO}',
    'theora_image_transport/msg/Packet': f'theora packets hold video: {_REPUBLISH}',
}
"""Types of images that cannot be read, and the next step."""

_NOT_A_CAMERA = {'depth', 'disparity', 'confidence', 'mask', 'debug'}
_TRANSPORTS = re.compile('/(compressed|foxglove|ffmpeg)$')


@dataclass(frozen=True)
class TopicInfo:
    """A topic of a recording: its name, message type and number of messages."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class CameraTopics:
    """Image topic of a camera, and its camera_info topic; None: not calibrated.

    notes  on other topics of the same camera
    """

    image: TopicInfo
    info: TopicInfo | None
    notes: tuple[str, ...] = ()


def find_camera_topics(
    topics: Sequence[TopicInfo],
    image_topic: str | None = None,
    camera_info_topic: str | None = None,
) -> CameraTopics:
    """Return the topics of a camera: the given ones, and the only candidates for the others.

    camera_info_topic  ``none``: not calibrated
    raises             ConfigError naming the candidates if there is none, or more than one
    """
    image = _given_image_topic(topics, image_topic) if image_topic else find_image_topic(topics)
    notes = _transport_notes(topics, image)
    if camera_info_topic == NO_CAMERA_INFO:
        return CameraTopics(image, None, notes)
    info = (
        find_topic(topics, camera_info_topic, (CAMERA_INFO,))
        if camera_info_topic
        else find_camera_info_topic(topics, image.name)
    )
    return CameraTopics(image, info, notes)


def _given_image_topic(topics: Sequence[TopicInfo], name: str) -> TopicInfo:
    """Return the image topic of that name; raises ConfigError if it has no messages."""
    image = find_topic(topics, name, IMAGE_TYPES)
    others = [topic for topic in topics if topic.type in IMAGE_TYPES and topic.count]
    if not image.count and others:
        raise ConfigError(
            f'topic {image.name} has no messages in the recording; '
            f'choose one of: {_described(others)}'
        )
    return image


def _transport_notes(topics: Sequence[TopicInfo], used: TopicInfo) -> tuple[str, ...]:
    """Return a note if a camera has clearly more images in its other transport, or fewer."""
    for other in topics:
        if other.type not in IMAGE_TYPES or other.name == used.name or not other.count:
            continue
        if _camera_of(other.name) != _camera_of(used.name):
            continue
        if other.type == IMAGE and other.count < OPTIONS.min_raw_share * used.count:
            return (
                f'{other.name} has only {other.count} images, {used.name} has {used.count} of '
                'the same camera and is used',
            )
        if used.count < OPTIONS.min_raw_share * other.count:
            return (
                f'{used.name} has only {used.count} images; {other.name} has {other.count} of '
                'the same camera: choose it to use all',
            )
    return ()


def _camera_of(image_topic: str) -> str:
    """Return the name that the transports of one camera share."""
    return _TRANSPORTS.sub('', image_topic)


def find_topic(topics: Sequence[TopicInfo], name: str, types: Sequence[str]) -> TopicInfo:
    """Return the topic of that name, with or without its leading slash.

    raises  ConfigError naming the candidates if there is none, or it has another type
    """
    full_name = '/' + name.strip('/')
    found = [topic for topic in topics if '/' + topic.name.strip('/') == full_name]
    fitting = [topic for topic in found if topic.type in types]
    if not fitting:
        what = f'has the type {found[0].type}' if found else 'is not in the recording'
        raise ConfigError(
            f'topic {name} {what}; choose one with {" or ".join(types)}: {_names(topics, types)}'
        )
    return fitting[0]


def find_image_topic(topics: Sequence[TopicInfo]) -> TopicInfo:
    """Return the image topic of the only camera: raw, unless compressed has clearly more images.

    Topics with hardly any images beside those of another camera are no candidates.
    raises  ConfigError naming the candidates if there is none or more than one
    """
    images = [
        topic
        for topic in topics
        if topic.type in IMAGE_TYPES and topic.count and is_camera(topic.name)
    ]
    fullest = max((topic.count for topic in images), default=0)
    cameras: dict[str, list[TopicInfo]] = {}
    for topic in images:
        cameras.setdefault(_camera_of(topic.name), []).append(topic)
    chosen = [
        best
        for transports in cameras.values()
        if (best := _fuller(transports)).count >= OPTIONS.min_camera_share * fullest
    ]
    if len(chosen) != 1:
        raise ConfigError(
            f'the recording has {"several topics" if chosen else "no topic"} with '
            f'camera images; {_candidates(chosen, topics)}'
        )
    return chosen[0]


def is_camera(image_topic: str) -> bool:
    """Return whether no word of a topic's name marks images that are not those of a camera."""
    return _NOT_A_CAMERA.isdisjoint(topic_words(image_topic))


def _fuller(transports: Sequence[TopicInfo]) -> TopicInfo:
    """Return the raw topic of a camera, or its compressed one if that has clearly more images."""
    most = max(topic.count for topic in transports)
    enough = [topic for topic in transports if topic.count >= OPTIONS.min_raw_share * most]
    return min(enough, key=lambda topic: topic.type != IMAGE)


def _candidates(cameras: Sequence[TopicInfo], topics: Sequence[TopicInfo]) -> str:
    """Return the topics to choose from where no camera, or more than one, was found."""
    advice = {FOREIGN_IMAGES[topic.type] for topic in topics if topic.type in FOREIGN_IMAGES}
    images = cameras or [topic for topic in topics if topic.type in IMAGE_TYPES]
    if cameras or (images and not advice):
        return 'choose an image topic of: ' + ' '.join(topic.name for topic in images)
    found = f'its topics are: {_described(topics) or "none"}'
    return '; '.join([found, *sorted(advice)])


def find_camera_info_topic(topics: Sequence[TopicInfo], image_topic: str) -> TopicInfo | None:
    """Return camera_info in the namespace of the image topic, else the only one, else None.

    raises  ConfigError naming the candidates if several are in other namespaces, or the only one
            is in that of another camera
    """
    infos = [topic for topic in topics if topic.type == CAMERA_INFO and topic.count]
    expected = _info_topic_of(image_topic)
    if own := [topic for topic in infos if topic.name == expected]:
        return own[0]
    infos = [topic for topic in infos if is_camera(topic.name)]
    if len(infos) > 1:
        raise ConfigError(
            f'several topics have camera_info and none is {expected}; '
            f'choose one of: {_names(infos, (CAMERA_INFO,))}'
        )
    for other in topics if infos else ():
        if other.type in IMAGE_TYPES and _info_topic_of(other.name) == infos[0].name:
            raise ConfigError(
                f'the only camera_info, {infos[0].name}, is beside {other.name} and '
                f'not beside {image_topic}; choose it if it belongs to both, or '
                f'{NO_CAMERA_INFO}'
            )
    return infos[0] if infos else None


def _info_topic_of(image_topic: str) -> str:
    """Return the camera_info topic in the namespace of an image topic."""
    return _TRANSPORTS.sub('', image_topic).rpartition('/')[0] + '/camera_info'


def _described(topics: Sequence[TopicInfo]) -> str:
    """Return names with types and counts."""
    return ', '.join(f'{topic.name} ({topic.type}, {topic.count} messages)' for topic in topics)


def _names(topics: Sequence[TopicInfo], types: Sequence[str]) -> str:
    return ' '.join(topic.name for topic in topics if topic.type in types) or 'none'
