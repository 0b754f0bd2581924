# SPDX-License-Identifier: Apache-2.0
"""Metres for a stream from a metric prior that is far slower than the stream.

Now and then the prior, in a thread of its own, looks at a frame of the stream. The scale is what
relates its depth to the stream's inverse depth of that same frame, however old it is by then; it
holds for the frames that come, for a stream's scale changes slowly.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.frames import Frame
from videodepth_ros.models.mono import MonoPrior, PriorKind
from videodepth_ros.stream.mailbox import Mailbox
from videodepth_ros.stream.scale import TINY_INVERSE_DEPTH
from videodepth_ros.stream.upsample import resize_nearest

Array = NDArray[np.float32]

FARTHEST_M = 100.0
"""No prior knows metres beyond this."""

LEAST_SHARE = 0.1
"""A frame of which prior and stream both know less tells no scale."""

MOST_SPREAD = 0.35
"""Nor does one where the two disagree by a factor of e^0.35 = 1.4 in the median."""

REMEMBERED = 5
"""The scale is the median over so many keyframes, so that two bad ones do no harm."""

SETTLE_S = 1.0
"""Time constant with which the scale follows that median: a jump would tear a map."""

LOOK_UP_S = 0.1


@dataclass(frozen=True)
class Keyframe:
    """A frame of the stream and its inverse depth (h, w) float32, in the network's unit."""

    frame: Frame
    inverse_depth: Array
    stream: int


class MetricAnchor:
    """The scale of one stream, see ``scale.Anchor``; owns its prior.

    rejected  keyframes that told no scale
    """

    def __init__(self, prior: MonoPrior, every: int = 10) -> None:
        """Start the thread.

        every  so many frames one is offered to the prior, which takes the newest when it is free
        """
        if every < 1:
            raise ConfigError(f'every {every} frames cannot be; give 1 or more')
        self.rejected = 0
        self._prior, self._every = prior, every
        self._lock = threading.Lock()
        self._mailbox: Mailbox[Keyframe] = Mailbox()
        self._failure: Exception | None = None
        self._fits: deque[float] = deque(maxlen=REMEMBERED)  # logarithms of metres
        self._stream = 0  # number of the stream that the fits belong to
        self._seen = 0
        self._log_metres: float | None = None
        self._is_new = True  # no fit of this stream has been heard of
        self._last_ns = 0
        self._thread = threading.Thread(target=self._run, name='metric anchor', daemon=True)
        self._thread.start()

    def metres(self, stamp_ns: int) -> float | None:
        """Return what is to be divided by the inverse depth of the next frame; None while not
        known.

        raises  what the prior has failed with, once: then it is asked again; ConfigError where it
                tells no metres
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        with self._lock:
            wanted = median(self._fits) if self._fits else None
        elapsed_s, self._last_ns = (stamp_ns - self._last_ns) * 1e-9, stamp_ns
        if wanted is not None:
            now = wanted if self._is_new or self._log_metres is None else self._log_metres
            self._log_metres = wanted + (now - wanted) * math.exp(-max(elapsed_s, 0) / SETTLE_S)
            self._is_new = False
        return None if self._log_metres is None else math.exp(self._log_metres)

    def offer(self, frame: Frame, inverse_depth: Array) -> None:
        """Show every so many frames one to the prior, with the network's inverse depth (h, w)."""
        if self._seen % self._every == 0:
            self._mailbox.put(Keyframe(frame, inverse_depth.copy(), self._stream))
        self._seen += 1

    def restart(self) -> None:
        """Begin another stream; the old scale holds until the prior has told a new one."""
        with self._lock:
            self._stream += 1
            self._fits.clear()
        self._seen, self._is_new = 0, True

    def close(self, patience_s: float = 2.0) -> None:
        """End the thread and the prior; what it is at may take longer than the caller waits."""
        self._mailbox.close()
        self._thread.join(patience_s)

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._prior.close()

    def _serve(self) -> None:
        while not self._mailbox.closed:
            keyframe = self._mailbox.take(LOOK_UP_S)
            if keyframe is None:
                continue
            try:
                self._look_at(keyframe)
                self._mailbox.published()
            except InputError:
                self.rejected += 1
                self._mailbox.reject()
            except Exception as error:  # the border of the thread: the stream tells it
                self._failure = error
                self._mailbox.reject()

    def _look_at(self, keyframe: Keyframe) -> None:
        estimate = next(iter(self._prior.estimate([keyframe.frame])))
        if estimate.kind is not PriorKind.METRIC:
            raise ConfigError(
                f'{self._prior.name} tells no metres: choose depth-pro, or a '
                'depth-anything-v2-metric'
            )
        fit = log_metric_scale(keyframe.inverse_depth, estimate.values)
        with self._lock:
            if keyframe.stream == self._stream:
                self._fits.append(fit)


def log_metric_scale(inverse_depth: Array, depth_m: Array) -> float:
    """Return the logarithm of the scale s for which depth is s / inverse depth.

    inverse_depth  (h, w) float32 of the stream
    depth_m        (H, W) float32 of the same image; NaN unknown, +inf nothing hit
    raises         InputError where too little of them can be compared, or they do not agree

    The median of the logarithms is right while half of the pixels are.
    """
    height, width = inverse_depth.shape
    depth_m = np.asarray(resize_nearest(depth_m, width, height), np.float32)
    both = (inverse_depth > TINY_INVERSE_DEPTH) & (depth_m > 0) & (depth_m < FARTHEST_M)
    if both.mean() < LEAST_SHARE:
        raise InputError(f'prior and stream both know {both.mean():.0%} of the image only')
    logs = np.log(inverse_depth[both].astype(np.float64) * depth_m[both])
    middle = float(np.median(logs))
    spread = float(np.median(np.abs(logs - middle)))
    if spread > MOST_SPREAD:
        raise InputError(f'prior and stream disagree by a factor of {math.exp(spread):.1f}')
    return middle
