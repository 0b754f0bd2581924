# SPDX-License-Identifier: Apache-2.0
"""Status and health of a live node: ~/status, /diagnostics and the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.impl.rcutils_logger import RcutilsLogger
from videodepth.msg import Status

from videodepth_ros.messages.camera_info import is_calibrated
from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.nodes.camera_subscription import CameraTopicState
from videodepth_ros.nodes.diagnostics import key_values, level_and_message
from videodepth_ros.nodes.image_frame import optical_frame_fault
from videodepth_ros.nodes.options import LIVE, LiveNodeOptions
from videodepth_ros.nodes.storms import HealthWarning, StormMonitor
from videodepth_ros.nodes.stream_statistics import StatisticsSummary
from videodepth_ros.nodes.worker import METRIC_STEP, WorkerState
from videodepth_ros.stream.session import ResetReason


@dataclass(frozen=True)
class HealthInputs:
    """Inputs of a health check of an active node.

    needed_since_s  steady time from which on images are needed; None: they are not
    timeout_s       parameter image_timeout_s
    now_ns          ROS time; 0 if /clock is not published
    """

    topics: CameraTopicState
    worker: WorkerState
    needed_since_s: float | None
    timeout_s: float
    now_ns: int


class HealthMonitor:
    """Find warnings and log each kind when it appears and when it is resolved.

    notes  what is taken otherwise than the messages have it, without being a fault
    """

    def __init__(self, logger: RcutilsLogger, options: LiveNodeOptions = LIVE) -> None:
        self._logger = logger
        self._options = options
        self._active: dict[str, str] = {}
        self._storms = StormMonitor(options)
        self.notes: list[str] = []

    def reset(self) -> None:
        """Clear the active warnings; those that persist are logged again."""
        self._active.clear()
        self.notes.clear()
        self._storms = StormMonitor(self._options)

    def check(
        self, status: Status, inputs: HealthInputs | None, more: Sequence[HealthWarning] = ()
    ) -> list[str]:
        """Return the texts of the present warnings; none without inputs.

        more  warnings that others have found
        """
        if inputs is None:
            return []
        warnings = [
            *find_warnings(status, inputs),
            *self._storms.find(
                status, inputs.topics.image_topic, is_rejecting=inputs.worker.is_rejecting
            ),
            *more,
        ]
        found = {warning.kind: warning.text for warning in warnings}
        for kind in found.keys() - self._active.keys():
            self._logger.warning(found[kind])
        for kind in self._active.keys() - found.keys():
            self._logger.info(f'resolved: {self._active[kind]}')
        self._active = found
        notes = find_notes(status, inputs)
        for note in notes:
            if note not in self.notes:
                self._logger.info(note)
        self.notes = notes
        return list(found.values())


def is_silent(worker: WorkerState, needed_since_s: float | None, timeout_s: float) -> bool:
    """Return whether images are needed and none arrived for too long.

    That is image_timeout_s, or twice the period of a slower camera.
    """
    if needed_since_s is None:
        return False
    silence_s = time.monotonic() - max(worker.last_received_s, needed_since_s)
    return silence_s > max(timeout_s, 2 * worker.period_s)


def active_state(worker: WorkerState, needed_since_s: float | None, timeout_s: float) -> str:
    """Return the state of an active node: running only while images become depth."""
    if worker.opening:
        return str(Status.OPENING)
    if needed_since_s is None:
        return str(Status.IDLE)
    last = worker.last_published
    if last is None or is_silent(worker, needed_since_s, timeout_s):
        return str(Status.WAITING)
    is_recent = time.monotonic() - last.steady_s <= max(timeout_s, 2 * worker.period_s)
    is_computed = worker.counts.in_flight > 0 and not worker.is_rejecting
    return str(Status.RUNNING if is_recent or is_computed else Status.WAITING)


def find_warnings(
    status: Status, inputs: HealthInputs, options: LiveNodeOptions = LIVE
) -> list[HealthWarning]:
    """Return the warnings of a stream, except rejected images and resets."""
    topics, found = inputs.topics, []
    if is_silent(inputs.worker, inputs.needed_since_s, inputs.timeout_s):
        found.append(HealthWarning('image', _silence_text(topics)))
    if topics.publishers > 1:
        found.append(
            HealthWarning(
                'publishers',
                f'{topics.publishers} publishers share {topics.image_topic}: give each camera '
                'its own topic',
            )
        )
    if topics.is_incompatible:
        found.append(
            HealthWarning(
                'reliability',
                f'image_reliability is reliable but a publisher of {topics.image_topic} is best '
                'effort, which is not received: set it to auto',
            )
        )
    if inputs.worker.lens_fault:
        found.append(
            HealthWarning(
                'lens',
                f'images of {topics.image_topic} are used without rectification, by '
                f'{topics.info_topic}: {inputs.worker.lens_fault}',
            )
        )
    if topics.waiting:
        found.append(HealthWarning('video', f'video on {topics.image_topic}: {topics.waiting}'))
    if status.state == Status.RUNNING:
        found += [*_calibration_warnings(inputs), *_frame_warnings(inputs)]
    age_s = _median_age_s(status, inputs)
    if not (np.isnan(age_s) or options.min_age_s <= age_s <= options.max_age_s):
        found.append(HealthWarning('clock', _clock_text(inputs.now_ns, age_s)))
    return found


def _median_age_s(status: Status, inputs: HealthInputs) -> float:
    """Return the age of the frames of the window, or of the last one of a slower camera."""
    last = inputs.worker.last_published
    is_slow = np.isnan(status.age_p50_s) and status.state == Status.RUNNING
    return last.age_s if is_slow and last is not None else float(status.age_p50_s)


def find_notes(status: Status, inputs: HealthInputs) -> list[str]:
    """Return what is taken otherwise than the messages have it, without being a fault."""
    topics, notes = inputs.topics, []
    if inputs.worker.sample_note:
        notes.append(f'{topics.image_topic}: {inputs.worker.sample_note}')
    is_kept = inputs.worker.camera_info is not None and not topics.info_publishers
    if is_kept and status.state == Status.RUNNING:
        notes.append(f'{topics.info_topic} has no publisher any more, its last message is used')
    return notes


def _silence_text(topics: CameraTopicState) -> str:
    text = f'no image on {topics.image_topic}, which has {count_of(topics.publishers)}'
    if topics.other_types:
        text += (
            f' of images, but of {topics.other_types}: give a topic of Image or CompressedImage, '
            'for the latter with image_transport auto'
        )
    if topics.other_topics:
        text += (
            f'; {topics.other_topics} is published, which image_transport excludes: set it to auto'
        )
    return text


def count_of(publishers: int) -> str:
    """Return a number of publishers in words."""
    return f'{publishers} publisher{"" if publishers == 1 else "s"}'


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
    if not is_calibrated(info):
        return [
            HealthWarning(
                'camera_info',
                f'{topic} is uncalibrated (K[0] and P[0] are 0), {effect}: calibrate the camera',
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


def _frame_warnings(inputs: HealthInputs) -> list[HealthWarning]:
    """Return the warnings of the last frame: of its frame_id, and of the unit of its depth."""
    last, found = inputs.worker.last_published, []
    if last is None:
        return []
    fault = optical_frame_fault(last.frame_id)
    if fault:
        found.append(HealthWarning('optical_frame', fault))
    if not last.scale_source.is_metric:
        found.append(
            HealthWarning('metric', f'depth is relative, its unit is not the metre: {METRIC_STEP}')
        )
    return found


def fill_status(worker: WorkerState, statistics: StatisticsSummary, status: Status) -> None:
    """Write state and statistics of a worker into a status message."""
    for field in fields(statistics):
        if field.name in status.get_fields_and_field_types():
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


def details_of(worker: WorkerState, statistics: StatisticsSummary) -> dict[str, str]:
    """Return what /diagnostics has beside the status: progress, latency by stage, the GPU."""
    details = {'opening': worker.opening}
    for stage, (p50_s, p99_s) in statistics.stages.items():
        details[f'{stage}_p50_ms'] = f'{1e3 * p50_s:.3g}'
        details[f'{stage}_p99_ms'] = f'{1e3 * p99_s:.3g}'
    if worker.gpu is not None:
        details |= {f'gpu_{name}': f'{value:.6g}' for name, value in vars(worker.gpu).items()}
    return details


def diagnostic_status(
    name: str, status: Status, warnings: list[str], notes: list[str], details: dict[str, str]
) -> DiagnosticStatus:
    """Return a status message as an entry of /diagnostics.

    notes    what is taken otherwise than the messages have it
    details  key-value pairs beside those of the message, see `details_of`
    """
    opening = details.get('opening', '')
    summary = f'{status.state}: {opening}' if opening else status.state
    level, message = level_and_message(
        '; '.join([summary, *notes]),
        warnings,
        status.last_error if status.state == Status.FAILED else '',
    )
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        values=[
            *key_values(status),
            *(KeyValue(key=key, value=value) for key, value in details.items()),
        ],
        hardware_id=f'{status.model} on {status.device}'.strip(),
    )
