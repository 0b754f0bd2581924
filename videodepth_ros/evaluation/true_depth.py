# SPDX-License-Identifier: Apache-2.0
"""True depth of a recording at single stamps, for error maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from videodepth_ros.bags.frame_tree import frame_name
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import Float32Array, FloatArray, MaskArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.trajectory import MAX_STAMP_OFFSET_NS
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import stamp_ns

TRUE_DEPTH = 'ground_truth/depth/image'
"""Topic of true depth, with or without slashes around it."""


class TrueDepth:
    """The true depth of a camera, read once in the order of time; empty without its topic."""

    def __init__(self, bag: BagReader) -> None:
        """Find the topic; messages are read on demand."""
        names = [topic.name for topic in bag.topics if topic.name.strip('/') == TRUE_DEPTH]
        self._messages = (message for _, _, message in bag.messages(names[:1]) if names)
        self._message: Any | None = next(self._messages, None) if names else None

    def at(self, frame_id: str, frame_ns: int) -> Float32Array | None:
        """Return the true depth (h, w) of a frame of that camera; None: there is none.

        frame_ns  not before that of the call before
        """
        while self._message is not None:
            lead_ns = stamp_ns(self._message.header.stamp) - frame_ns
            if lead_ns > MAX_STAMP_OFFSET_NS:
                return None
            if lead_ns >= -MAX_STAMP_OFFSET_NS:
                return self._decode(frame_name(frame_id))
            self._message = next(self._messages, None)
        return None

    def _decode(self, frame_id: str) -> Float32Array | None:
        """Return the depth of the message; None where it is broken or of another camera."""
        assert self._message is not None
        if frame_name(self._message.header.frame_id) not in ('', frame_id):
            return None
        try:
            return np.asarray(decode_depth(self._message), np.float32)
        except InputError:
            return None


def median_scale(depths: list[FloatArray], truths: list[FloatArray]) -> float:
    """Return the median of truth / depth over pixels where both are finite; 1 for none."""
    ratios = [
        truth[both] / one[both]
        for one, truth in zip(depths, truths, strict=True)
        if (both := _is_known(one) & _is_known(truth)).any()
    ]
    return float(np.median(np.concatenate(ratios))) if ratios else 1.0


def relative_error(depth: FloatArray, truth: FloatArray) -> FloatArray:
    """Return |depth - truth| / truth, (H, W); NaN where either is unknown or not finite."""
    both, error = _is_known(depth) & _is_known(truth), np.full(depth.shape, np.nan)
    error[both] = np.abs(depth[both] - truth[both]) / truth[both]
    return error


def _is_known(depth: FloatArray) -> MaskArray:
    return np.asarray(np.isfinite(depth) & (depth > 0))
