# SPDX-License-Identifier: Apache-2.0
"""Status and health of a live node: ~/status, /diagnostics and the log."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.impl.rcutils_logger import RcutilsLogger
from videodepth.msg import Status

from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.nodes.camera_subscription import CameraTopicState
from videodepth_ros.nodes.diagnostics import key_values, level_and_message
from videodepth_ros.nodes.options import LIVE, LiveNodeOptions
from videodepth_ros.nodes.stream_statistics import StatisticsSummary
from videodepth_ros.nodes.worker import WorkerState
from videodepth_ros.stream.session import ResetReason


@dataclass(frozen=True)
class HealthInputs:
    """Inputs of a health check.

    is_silent  images are needed and none arrived within image_timeout_s
    now_ns     ROS time; 0 if /clock is not published
    """

    topics: CameraTopicState
    worker: WorkerState
    is_silent: bool
    now_ns: int


@dataclass(frozen=True)
class HealthWarning:
    """A fault that does not stop the stream; ``kind`` is constant while ``text`` varies."""

    kind: str
    text: str


class HealthMonitor:
    """Find warnings and log each kind when it appears and when it is resolved."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._active: dict[str, str] = {}
        self._rejected = 0

    def reset(self) -> None:
        """Clear the active warnings; those that persist are logged again."""
        self._active.clear()
        self._rejected = 0

    def check(self, status: Status, inputs: HealthInputs | None) -> list[str]:
        """Return the texts of the present warnings; without inputs only rejected images."""
        found = {} if inputs is None else {w.kind: w.text for w in find_warnings(status, inputs)}
        if status.rejected > self._rejected:
            found['rejected'] = (
                f'{status.rejected - self._rejected} images were rejected: {status.last_error}'
            )
        self._rejected = status.rejected
        for kind in found.keys() - self._active.keys() - {'rejected'}:
            self._logger.warning(found[kind])
        for kind in self._active.keys() - found.keys() - {'rejected'}:
            self._logger.info(f'resolved: {self._active[kind]}')
        self._active = found
        return list(found.values())


def find_warnings(
    status: Status, inputs: HealthInputs, options: LiveNodeOptions = LIVE
) -> list[HealthWarning]:
    """Return the warnings of a stream, except rejected images."""
    topics, found = inputs.topics, []
    if inputs.is_silent:
        found.append(HealthWarning('image', _silence_text(topics)))
    if topics.publishers > 1:
        found.append(
            HealthWarning(
                'publishers',
                f'{topics.publishers} publishers share {topics.image_topic}: give each camera '
                'its own topic',
            )
        )
    if status.state == Status.RUNNING:
        found += _calibration_warnings(inputs)
    age_s = status.age_p50_s
    if not (np.isnan(age_s) or options.min_age_s <= age_s <= options.max_age_s):
        found.append(HealthWarning('clock', _clock_text(inputs.now_ns, age_s)))
    return found


def _silence_text(topics: CameraTopicState) -> str:
    text = f'no image on {topics.image_topic}, which has {topics.publishers} publishers'
    if topics.other_types:
        text += (
            f' of images, but of {topics.other_types}: give the topic of the images, '
            'without /compressed'
        )
    return text


def _clock_text(now_ns: int, age_s: float) -> str:
    if now_ns == 0:  # system time is never 0
        return (
            'use_sim_time is true but /clock is not published: play the bag with --clock, or set '
            'use_sim_time to false'
        )
    return (
        f'image stamps are {age_s:.3g} s behind the clock of this node: synchronize the clocks, '
        'or set use_sim_time if a bag is played'
    )


def _calibration_warnings(inputs: HealthInputs) -> list[HealthWarning]:
    info, last = inputs.worker.camera_info, inputs.worker.last_published
    topic = inputs.topics.info_topic
    effect = 'so depth/camera_info and depth/points are not published'
    if info is None:
        return [HealthWarning('camera_info', f'no camera_info on {topic}, {effect}')]
    if info.k[0] == 0:
        return [
            HealthWarning(
                'camera_info',
                f'{topic} is uncalibrated (K[0] is 0), {effect}: calibrate the camera',
            )
        ]
    if last is not None and last.frame_id != info.header.frame_id:
        return [
            HealthWarning(
                'frame',
                f'images have frame {last.frame_id!r} but camera_info has '
                f'{info.header.frame_id!r}: check that both are of the same camera',
            )
        ]
    return []


def fill_status(worker: WorkerState, statistics: StatisticsSummary, status: Status) -> None:
    """Write state and statistics of a worker into a status message."""
    for field in fields(statistics):
        if field.name != 'resets':
            setattr(status, field.name, getattr(statistics, field.name))
    for reason, count in zip(ResetReason, statistics.resets, strict=True):
        setattr(status, f'resets_{reason.value}', count)
    for field in fields(worker.counts):
        setattr(status, field.name, getattr(worker.counts, field.name))
    status.last_error = worker.last_error
    spec = worker.spec
    if spec is not None:
        status.engine, status.device, status.precision = spec.engine, spec.device, spec.precision
        status.network_width, status.network_height = spec.width, spec.height
    last = worker.last_published
    if last is not None:
        set_stamp(status.header.stamp, last.stamp_ns)
        status.header.frame_id = last.frame_id
        status.scale_source = last.scale_source.value


def diagnostic_status(
    name: str, status: Status, warnings: list[str], opening: str
) -> DiagnosticStatus:
    """Return a status message as an entry of /diagnostics.

    opening  progress of the engine that is being opened or built; empty: none is
    """
    level, message = level_and_message(
        f'{status.state}: {opening}' if opening else status.state,
        warnings,
        status.last_error if status.state == Status.FAILED else '',
    )
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        values=[*key_values(status), KeyValue(key='opening', value=opening)],
        hardware_id=f'{status.model} on {status.device}'.strip(),
    )
