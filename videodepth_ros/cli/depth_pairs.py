# SPDX-License-Identifier: Apache-2.0
"""Depth images of two bags, matched by stamp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from videodepth_ros.bags.camera_topics import COMPRESSED, IMAGE, find_topic
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.cli.console import progress
from videodepth_ros.evaluation.depth import DepthPair
from videodepth_ros.geometry.trajectory import MAX_STAMP_OFFSET_NS
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import stamp_ns

PREDICTED_DEPTH = 'videodepth/depth/image'
COMPRESSED_DEPTH = '/compressedDepth'


def present_topic(bag: BagReader, name: str) -> str | None:
    """Return the topic with this name, ignoring slashes around it; None if there is none."""
    return next(
        (topic.name for topic in bag.topics if topic.name.strip('/') == name.strip('/')), None
    )


def depth_topic(bag: BagReader, name: str | None, default: str) -> str | None:
    """Return the named topic, else the default topic if it exists.

    Raise ConfigError if the named topic has no images.
    """
    if name:
        return find_topic(bag.topics, name, (IMAGE, COMPRESSED)).name
    return present_topic(bag, default) or present_topic(bag, default + COMPRESSED_DEPTH)


@dataclass(frozen=True)
class DepthPairs:
    """Predicted and true depth of the frames of both bags; can be iterated several times."""

    predicted: BagReader
    predicted_topic: str
    truth: BagReader
    true_topic: str

    def __iter__(self) -> Iterator[DepthPair]:
        """Read both bags once, with a progress bar."""
        both = matched(
            _increasing(self.predicted, self.predicted_topic),
            _increasing(self.truth, self.true_topic),
        )
        total = min(
            self.predicted.count([self.predicted_topic]), self.truth.count([self.true_topic])
        )
        for predicted, truth in progress(both, total, 'compare'):
            yield DepthPair(
                stamp_ns(truth.header.stamp), decode_depth(predicted), decode_depth(truth)
            )


def matched(
    first: Iterator[Any], second: Iterator[Any], max_offset_ns: int = MAX_STAMP_OFFSET_NS
) -> Iterator[tuple[Any, Any]]:
    """Yield pairs of messages whose stamps differ by at most ``max_offset_ns``.

    Both series must be sorted by stamp; neither is stored.
    """
    a, b = next(first, None), next(second, None)
    while a is not None and b is not None:
        lead_ns = stamp_ns(a.header.stamp) - stamp_ns(b.header.stamp)
        if abs(lead_ns) <= max_offset_ns:
            yield a, b
            a, b = next(first, None), next(second, None)
        elif lead_ns < 0:
            a = next(first, None)
        else:
            b = next(second, None)


def _increasing(bag: BagReader, topic: str) -> Iterator[Any]:
    """Yield the messages of a topic whose stamp is later than all stamps before."""
    latest_ns = -1
    for _, _, message in bag.messages([topic]):
        now_ns = stamp_ns(message.header.stamp)
        if now_ns > latest_ns:
            latest_ns = now_ns
            yield message
