# SPDX-License-Identifier: Apache-2.0
"""The topic of a recording with depth images, by its name or the encoding of its images."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from videodepth_ros.bags.camera_topics import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    CameraTopics,
    TopicInfo,
    find_topic,
)
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.messages.encodings import DEPTH_ENCODINGS, canonical_encoding
from videodepth_ros.messages.image import is_compressed
from videodepth_ros.messages.topic_words import topic_words
from videodepth_ros.refine.odometry import is_own_topic

COMPRESSED_DEPTH_SUFFIX, COMPRESSED_SUFFIX = '/compressedDepth', '/compressed'

_NOT_DEPTH = {'confidence', 'disparity', 'mask', 'debug'}
_REGISTERED = re.compile(r'registered|aligned')


def choose_depth_topic(bag: BagReader, name: str | None) -> TopicInfo:
    """Return the depth topic of that name, or the only one.

    raises  ConfigError naming the candidates if there is no such topic, or more than one
    """
    if name:
        return find_topic(bag.topics, name, (IMAGE, COMPRESSED))
    return find_depth_topic(bag.topics, lambda topic: _has_depth(bag, topic))


def find_depth_topic(
    topics: Sequence[TopicInfo], has_depth: Callable[[TopicInfo], bool] = lambda topic: False
) -> TopicInfo:
    """Return the only topic with depth images; of several transports raw, then compressedDepth.

    Results of this package are no measurements.
    has_depth  whether the messages of a topic are depth; used where no name marks depth
    raises     ConfigError naming the candidates if there is none or more than one
    """
    images = [
        topic
        for topic in topics
        if topic.count and topic.type in (IMAGE, COMPRESSED) and not is_own_topic(topic.name)
    ]
    found = [topic for topic in images if _is_depth(topic.name)]
    found = found or [topic for topic in images if has_depth(topic)]
    cameras: dict[str, TopicInfo] = {}
    for topic in sorted(found, key=_transport):
        cameras.setdefault(without_transport(topic.name), topic)
    found = list(cameras.values())
    found = [topic for topic in found if _REGISTERED.search(topic.name)] or found
    if len(found) != 1:
        names = ' '.join(topic.name for topic in found)
        raise ConfigError(
            f'the recording has several depth topics; choose one with --depth-topic: {names}'
            if found
            else 'the recording has no depth topic; choose another prior, or name the topic with '
            '--depth-topic'
        )
    return found[0]


def _is_depth(topic: str) -> bool:
    """Return whether a word of a topic's name, or its transport, marks depth."""
    words = topic_words(topic)
    return 'depth' in words and _NOT_DEPTH.isdisjoint(words)


def _transport(topic: TopicInfo) -> int:
    """Return the rank of a topic among the transports of one camera."""
    if topic.type == IMAGE:
        return 0
    return 1 if topic.name.endswith(COMPRESSED_DEPTH_SUFFIX) else 2


def without_transport(topic: str) -> str:
    """Return the name that the transports of one depth camera share."""
    return topic.removesuffix(COMPRESSED_DEPTH_SUFFIX).removesuffix(COMPRESSED_SUFFIX)


def with_camera_info(topics: Sequence[TopicInfo], depth_topic: str) -> CameraTopics:
    """Return a depth topic with the camera_info beside it, if there is one."""
    name = without_transport(depth_topic).rpartition('/')[0] + '/camera_info'
    depth = next(topic for topic in topics if topic.name == depth_topic)
    infos = [topic for topic in topics if (topic.name, topic.type) == (name, CAMERA_INFO)]
    return CameraTopics(depth, infos[0] if infos and infos[0].count else None)


def _has_depth(bag: BagReader, topic: TopicInfo) -> bool:
    """Return whether the first message of a topic has an encoding of depth."""
    if not _NOT_DEPTH.isdisjoint(topic_words(topic.name)):
        return False
    first = next(bag.messages([topic.name]), None)
    return first is not None and encoding_of(first[2]) in DEPTH_ENCODINGS


def encoding_of(message: Any) -> str:
    """Return the encoding of an Image, or of the pixels in a CompressedImage."""
    if not is_compressed(message):
        return canonical_encoding(message.encoding)
    encoding = canonical_encoding(message.format.partition(';')[0].strip())
    return '32FC1' if encoding not in DEPTH_ENCODINGS and 'tif' in message.format else encoding
