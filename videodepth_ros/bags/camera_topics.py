# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording are a camera's images and its camera_info."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from videodepth_ros.core.errors import ConfigError

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'

NO_CAMERA_INFO = 'none'
"""Instead of a camera_info topic: the one that is there does not fit, and is left out."""

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
    """Where a camera's images are, and its calibration, None where nothing calibrates it."""

    image: TopicInfo
    info: TopicInfo | None


def find_camera_topics(
    topics: Sequence[TopicInfo],
    image_topic: str | None = None,
    camera_info_topic: str | None = None,
) -> CameraTopics:
    """Return the topics that are named, and find those that are not.

    camera_info_topic  ``none`` for no calibration
    raises  ConfigError naming the candidates if there is none, or more than one
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
    wanted = '/' + name.strip('/')
    found = [topic for topic in topics if '/' + topic.name.strip('/') == wanted]
    fitting = [topic for topic in found if topic.type in types]
    if not fitting:
        what = f'has the type {found[0].type}' if found else 'is not in the recording'
        raise ConfigError(
            f'topic {name} {what}; choose one with {" or ".join(types)}: {_names(topics, types)}'
        )
    return fitting[0]


def find_image_topic(topics: Sequence[TopicInfo]) -> TopicInfo:
    """Return the one topic with camera images, raw rather than compressed where it is both.

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
            f'camera images; {_instead(images, topics)}'
        )
    return images[0]


def _instead(cameras: Sequence[TopicInfo], topics: Sequence[TopicInfo]) -> str:
    """Return what can be chosen where no camera, or more than one, was found."""
    if images := cameras or [topic for topic in topics if topic.type in (IMAGE, COMPRESSED)]:
        return 'choose an image topic of: ' + ' '.join(topic.name for topic in images)
    return 'its topics are: ' + (' '.join(topic.name for topic in topics) or 'none')


def find_camera_info_topic(topics: Sequence[TopicInfo], image_topic: str) -> TopicInfo | None:
    """Return camera_info beside the image topic, else the only one there is, else None.

    raises  ConfigError naming the candidates if none is beside it and there are several, or the
            only one is beside the images of another camera
    """
    infos = [topic for topic in topics if topic.type == CAMERA_INFO and topic.count]
    beside = _beside(image_topic)
    if of_this_camera := [topic for topic in infos if topic.name == beside]:
        return of_this_camera[0]
    infos = [topic for topic in infos if not _NOT_A_CAMERA.search(topic.name)]
    if len(infos) > 1:
        raise ConfigError(
            f'several topics have camera_info and none is {beside}; '
            f'choose one of: {_names(infos, (CAMERA_INFO,))}'
        )
    for other in topics if infos else ():
        if other.type in (IMAGE, COMPRESSED) and _beside(other.name) == infos[0].name:
            raise ConfigError(
                f'the only camera_info, {infos[0].name}, is beside {other.name} and '
                f'not beside {image_topic}; choose it if it belongs to both, or '
                f'{NO_CAMERA_INFO}'
            )
    return infos[0] if infos else None


def _beside(image_topic: str) -> str:
    """Return the name that camera_info has beside images."""
    return image_topic.removesuffix(_TRANSPORT).rpartition('/')[0] + '/camera_info'


def _names(topics: Sequence[TopicInfo], types: Sequence[str]) -> str:
    return ' '.join(topic.name for topic in topics if topic.type in types) or 'none'
