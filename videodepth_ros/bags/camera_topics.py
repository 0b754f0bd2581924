# SPDX-License-Identifier: Apache-2.0
"""Image and camera_info topics of the camera in a recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from videodepth_ros.core.errors import ConfigError

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'

NO_CAMERA_INFO = 'none'
"""Name of the camera_info topic that stands for no calibration."""

_NOT_A_CAMERA = re.compile(r'(^|[/_])(depth|disparity|confidence|mask|debug)([/_]|$)')
_TRANSPORT = '/compressed'


@dataclass(frozen=True)
class TopicInfo:
    """A topic of a recording: its name, message type and number of messages."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class CameraTopics:
    """Image topic of a camera, and its camera_info topic; None: not calibrated."""

    image: TopicInfo
    info: TopicInfo | None


def find_camera_topics(
    topics: Sequence[TopicInfo],
    image_topic: str | None = None,
    camera_info_topic: str | None = None,
) -> CameraTopics:
    """Return the topics of a camera: the given ones, and the only candidates for the others.

    camera_info_topic  ``none``: not calibrated
    raises             ConfigError naming the candidates if there is none, or more than one
    """
    image = (
        find_topic(topics, image_topic, (IMAGE, COMPRESSED))
        if image_topic
        else find_image_topic(topics)
    )
    if camera_info_topic == NO_CAMERA_INFO:
        return CameraTopics(image, None)
    info = (
        find_topic(topics, camera_info_topic, (CAMERA_INFO,))
        if camera_info_topic
        else find_camera_info_topic(topics, image.name)
    )
    return CameraTopics(image, info)


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
    """Return the only topic with camera images, raw rather than compressed where it is both.

    raises  ConfigError naming the candidates if there is none or more than one
    """
    images = [
        topic
        for topic in topics
        if topic.type in (IMAGE, COMPRESSED)
        and topic.count
        and not _NOT_A_CAMERA.search(topic.name)
    ]
    raw = {topic.name for topic in images if topic.type == IMAGE}
    images = [
        topic
        for topic in images
        if topic.name.removesuffix(_TRANSPORT) not in raw or topic.type == IMAGE
    ]
    if len(images) != 1:
        raise ConfigError(
            f'the recording has {"several topics" if images else "no topic"} with '
            f'camera images; {_candidates(images, topics)}'
        )
    return images[0]


def _candidates(cameras: Sequence[TopicInfo], topics: Sequence[TopicInfo]) -> str:
    """Return the topics to choose from where no camera, or more than one, was found."""
    if images := cameras or [topic for topic in topics if topic.type in (IMAGE, COMPRESSED)]:
        return 'choose an image topic of: ' + ' '.join(topic.name for topic in images)
    return 'its topics are: ' + (' '.join(topic.name for topic in topics) or 'none')


def find_camera_info_topic(topics: Sequence[TopicInfo], image_topic: str) -> TopicInfo | None:
    """Return camera_info in the namespace of the image topic, else the only one, else None.

    raises  ConfigError naming the candidates if several are in other namespaces, or the only one
            is in that of another camera
    """
    infos = [topic for topic in topics if topic.type == CAMERA_INFO and topic.count]
    expected = _info_topic_of(image_topic)
    if own := [topic for topic in infos if topic.name == expected]:
        return own[0]
    infos = [topic for topic in infos if not _NOT_A_CAMERA.search(topic.name)]
    if len(infos) > 1:
        raise ConfigError(
            f'several topics have camera_info and none is {expected}; '
            f'choose one of: {_names(infos, (CAMERA_INFO,))}'
        )
    for other in topics if infos else ():
        if other.type in (IMAGE, COMPRESSED) and _info_topic_of(other.name) == infos[0].name:
            raise ConfigError(
                f'the only camera_info, {infos[0].name}, is beside {other.name} and '
                f'not beside {image_topic}; choose it if it belongs to both, or '
                f'{NO_CAMERA_INFO}'
            )
    return infos[0] if infos else None


def _info_topic_of(image_topic: str) -> str:
    """Return the camera_info topic in the namespace of an image topic."""
    return image_topic.removesuffix(_TRANSPORT).rpartition('/')[0] + '/camera_info'


def _names(topics: Sequence[TopicInfo], types: Sequence[str]) -> str:
    return ' '.join(topic.name for topic in topics if topic.type in types) or 'none'
