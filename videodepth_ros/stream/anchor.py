# SPDX-License-Identifier: Apache-2.0
"""Scale of a stream from a metric prior that is slower than the stream.

The prior estimates keyframes in its own thread. The scale is the median ratio between its depth
and the stream's depth of the same frame, whatever its age: a stream's scale changes slowly.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from statistics import median

import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.cards import is_card
from videodepth_ros.models.catalogue import card
from videodepth_ros.models.mono import MonoPrior, PriorKind, open_mono_prior
from videodepth_ros.stream.mailbox import Mailbox
from videodepth_ros.stream.options import MetricAnchorOptions
from videodepth_ros.stream.scale import TINY_INVERSE_DEPTH
from videodepth_ros.stream.streaming_prior import StreamingPrior
from videodepth_ros.stream.upsample import resize_nearest

DEFAULTS = MetricAnchorOptions()


@dataclass(frozen=True)
class Keyframe:
    """A frame of the stream and its inverse depth (h, w) float32, in the network's unit.

    stream  number of the stream that the frame belongs to
    """

    frame: Frame
    inverse_depth: Float32Array
    stream: int


class MetricAnchor:
    """Metric scale of one stream, see ``scale.Anchor``; owns and closes its prior.

    rejected  keyframes without a usable scale
    """

    def __init__(
        self, prior: MonoPrior, every: int = 10, options: MetricAnchorOptions = DEFAULTS
    ) -> None:
        """Start the thread of the prior.

        every   period of keyframes [frames]; the prior takes the newest one when it is idle
        raises  ConfigError where ``every`` is below one
        """
        if every < 1:
            raise ConfigError(f'a keyframe period of {every} frames is invalid; give 1 or more')
        self.rejected = 0
        self._prior, self._every, self._options = prior, every, options
        self._lock = threading.Lock()
        self._mailbox: Mailbox[Keyframe] = Mailbox()
        self._failure: Exception | None = None
        self._fits: deque[float] = deque(maxlen=options.keyframes)  # log scales
        self._stream = 0  # number of the stream of the fits
        self._frames = 0
        self._log_metres: float | None = None
        self._is_new = True  # this stream has no fit yet
        self._last_ns = 0
        self._thread = threading.Thread(target=self._run, name='metric anchor', daemon=True)
        self._thread.start()

    @property
    def source(self) -> ScaleSource:
        """Source of the scale."""
        return ScaleSource.PRIOR

    def metres(self, stamp_ns: int) -> float | None:
        """Return the scale of the next frame: depth [m] = scale / inverse depth; None if unknown.

        raises  the prior's exception, once; ConfigError where the prior is not metric
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        with self._lock:
            target = median(self._fits) if self._fits else None
        elapsed_s, self._last_ns = (stamp_ns - self._last_ns) * 1e-9, stamp_ns
        if target is not None:
            now = target if self._is_new or self._log_metres is None else self._log_metres
            decay = math.exp(-max(elapsed_s, 0) / self._options.time_constant_s)
            self._log_metres = target + (now - target) * decay
            self._is_new = False
        return None if self._log_metres is None else math.exp(self._log_metres)

    def needs(self, camera_frame: str) -> bool:
        """Return whether frames of a camera should be offered: always."""
        return True

    def offer(self, frame: Frame, inverse_depth: Float32Array) -> None:
        """Offer a frame with its inverse depth (h, w) float32; one in ``every`` is kept."""
        if self._frames % self._every == 0:
            self._mailbox.put(Keyframe(frame, inverse_depth.copy(), self._stream))
        self._frames += 1

    def restart(self) -> None:
        """Start another stream; the old scale holds until the first keyframe of the new one."""
        with self._lock:
            self._stream += 1
            self._fits.clear()
        self._frames, self._is_new = 0, True

    def close(self, patience_s: float = 2.0) -> None:
        """Stop the thread and close the prior.

        patience_s  longest wait for the thread; an estimate in progress may outlast it
        """
        self._mailbox.close()
        self._thread.join(patience_s)

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._prior.close()

    def _serve(self) -> None:
        while not self._mailbox.closed:
            keyframe = self._mailbox.take(self._options.poll_period_s)
            if keyframe is None:
                continue
            try:
                self._fit_scale(keyframe)
                self._mailbox.published()
            except InputError:
                self.rejected += 1
                self._mailbox.reject()
            except Exception as error:  # raised again by the stream, in `metres`
                self._failure = error
                self._mailbox.reject()

    def _fit_scale(self, keyframe: Keyframe) -> None:
        estimate = next(iter(self._prior.estimate([keyframe.frame])))
        if estimate.kind is not PriorKind.METRIC:
            raise ConfigError(
                f'{self._prior.name} is not a metric prior: choose depth-pro or a '
                'depth-anything-v2-metric variant'
            )
        fit = log_metric_scale(keyframe.inverse_depth, estimate.values, self._options)
        with self._lock:
            if keyframe.stream == self._stream:
                self._fits.append(fit)


def open_scale_prior(name: str) -> MonoPrior:
    """Return a prior in metres: a network of the catalogue, or that of a card.

    raises  ConfigError where the output of the card's network has no metres; what opening raises
    """
    if not is_card(name):
        return open_mono_prior(name)
    model = card(name)
    if model.is_relative:
        raise ConfigError(
            f'{name} cannot set the scale: its output has no metres; choose a network whose '
            'output is depth in metres, inverse depth or canonical'
        )
    return StreamingPrior(model)


def log_metric_scale(
    inverse_depth: Float32Array, depth_m: Float32Array, options: MetricAnchorOptions = DEFAULTS
) -> float:
    """Return log s such that depth [m] = s / inverse depth, by the median of the log ratios.

    inverse_depth  (h, w) float32 of the stream
    depth_m        (H, W) float32 of the prior; NaN unknown, +inf nothing hit
    raises         InputError where the overlap is too small or the spread too large
    """
    height, width = inverse_depth.shape
    depth_m = np.asarray(resize_nearest(depth_m, width, height), np.float32)
    both = (inverse_depth > TINY_INVERSE_DEPTH) & (depth_m > 0) & (depth_m < options.max_depth_m)
    if both.mean() < options.min_overlap_share:
        raise InputError(f'prior and stream overlap in {both.mean():.0%} of the pixels only')
    logs = np.log(inverse_depth[both].astype(np.float64) * depth_m[both])
    middle = float(np.median(logs))
    spread = float(np.median(np.abs(logs - middle)))
    if spread > options.max_log_spread:
        raise InputError(
            f'prior and stream differ by a factor of {math.exp(spread):.1f} in the median'
        )
    return middle
