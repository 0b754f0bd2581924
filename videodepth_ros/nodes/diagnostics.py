# SPDX-License-Identifier: Apache-2.0
"""How things stand in a live node: ~/status for programs, /diagnostics for people, and the log."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.impl.rcutils_logger import RcutilsLogger
from videodepth.msg import Status

from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.nodes.record import Summary
from videodepth_ros.nodes.worker import Stream
from videodepth_ros.stream.session import ResetReason

DIFFERENT_CLOCK_S = 10.0
"""An output this old, or from the future, was not stamped by the clock of this node."""


@dataclass(frozen=True)
class Warned:
    """Something wrong that does not stop the stream; ``kind`` stays while ``text`` varies."""

    kind: str
    text: str


class Watchman:
    """Finds what is wrong; logs each kind when it begins, and when it is over."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._known: dict[str, str] = {}
        self._rejected = 0

    def start_afresh(self) -> None:
        """Forget what is known: log it again if it is still so."""
        self._known.clear()
        self._rejected = 0

    def look(self, status: Status, stream: Stream | None, is_silent: bool) -> list[str]:
        """Return the warnings of now, in words; ``is_silent``: images are wanted in vain."""
        found = (
            {}
            if stream is None
            else {warned.kind: warned.text for warned in warnings_of(status, stream, is_silent)}
        )
        if status.rejected > self._rejected:
            found['rejected'] = (
                f'{status.rejected - self._rejected} images were rejected: {status.last_error}'
            )
        self._rejected = status.rejected
        for kind in found.keys() - self._known.keys() - {'rejected'}:
            self._logger.warning(found[kind])
        for kind in self._known.keys() - found.keys() - {'rejected'}:
            self._logger.info(f'over: {self._known[kind]}')
        self._known = found
        return list(found.values())


def warnings_of(status: Status, stream: Stream, is_silent: bool) -> list[Warned]:
    """Return what is wrong with a stream, apart from images that were rejected."""
    camera = stream.camera
    found = []
    if is_silent:
        found.append(
            Warned(
                'image',
                f'no image on {camera.topic}, which has '
                f'{camera.image_publishers} publishers{_others(camera.other_types)}',
            )
        )
    if camera.image_publishers > 1:
        found.append(
            Warned(
                'publishers',
                f'{camera.image_publishers} publishers share '
                f'{camera.topic}: one stream needs one camera',
            )
        )
    if status.state == Status.RUNNING:
        found += _calibration_warnings(stream)
    if not (np.isnan(status.age_p50_s) or -0.1 <= status.age_p50_s <= DIFFERENT_CLOCK_S):
        found.append(Warned('clock', _clock_warning(stream, status.age_p50_s)))
    return found


def _others(types: str) -> str:
    return types and (
        f' of images, but of {types}: give the topic of the images, without /compressed'
    )


def _clock_warning(stream: Stream, age_s: float) -> str:
    if stream.clock.now().nanoseconds == 0:  # the real one never is
        return (
            'use_sim_time is true but /clock has not told the time: play the bag with '
            '--clock, or leave use_sim_time false'
        )
    return (
        f'the stamps of the images are {age_s:.3g} s behind the clock of this node: '
        'synchronise the clocks, or set use_sim_time where a bag is played'
    )


def _calibration_warnings(stream: Stream) -> list[Warned]:
    info, last = stream.camera.info, stream.record.last_output
    lost = 'so there is no depth/camera_info and no cloud'
    if info is None:
        return [Warned('camera_info', f'no camera_info on {stream.camera.info_topic}, {lost}')]
    if info.k[0] == 0:
        return [
            Warned(
                'camera_info',
                f'{stream.camera.info_topic} is uncalibrated (K[0] is 0), '
                f'{lost}: calibrate the camera',
            )
        ]
    if last is not None and last.frame_id != info.header.frame_id:
        return [
            Warned(
                'frame',
                f'the images are of frame {last.frame_id!r} but camera_info is of '
                f'{info.header.frame_id!r}: does it belong to this camera?',
            )
        ]
    return []


def write_stream(stream: Stream, status: Status) -> None:
    """Write what a stream knows into a status message."""
    write_summary(stream.record.summary(), status)
    counts = stream.mailbox.counts
    for field in fields(counts):
        setattr(status, field.name, getattr(counts, field.name))
    status.last_error = stream.record.last_error
    spec = stream.session.spec
    if spec is not None:
        status.engine, status.device, status.precision = spec.engine, spec.device, spec.precision
        status.network_width, status.network_height = spec.width, spec.height
    last = stream.record.last_output
    if last is not None:
        set_stamp(status.header.stamp, last.stamp_ns)
        status.header.frame_id = last.frame_id
        status.scale_source = last.scale_source.value


def write_summary(summary: Summary, status: Status) -> None:
    """Write rates, times and resets into a status message."""
    for field in fields(summary):
        if field.name != 'resets':
            setattr(status, field.name, getattr(summary, field.name))
    for reason, count in zip(ResetReason, summary.resets, strict=True):
        setattr(status, f'resets_{reason.value}', count)


def resident_memory_mb() -> float:
    """Return the resident memory of this process in MB; NaN where there is no /proc."""
    try:
        with open('/proc/self/statm') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6
    except OSError:
        return float('nan')


def diagnostic(name: str, status: Status, warnings: list[str], opening: str) -> DiagnosticStatus:
    """Tell a status to people.

    warnings  what is wrong but does not stop the stream
    opening   how far the opening or building of an engine is; empty where there is none
    """
    level = DiagnosticStatus.OK
    message = f'{status.state}: {opening}' if opening else status.state
    if warnings:
        level, message = DiagnosticStatus.WARN, '; '.join(warnings)
    if status.state == Status.FAILED:
        level, message = DiagnosticStatus.ERROR, status.last_error
    values = [*key_values(status), KeyValue(key='opening', value=opening)]
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        values=values,
        hardware_id=f'{status.model} on {status.device}'.strip(),
    )


def key_values(status: Any) -> list[KeyValue]:
    """Return the fields of a status message as diagnostics show them."""
    return [
        KeyValue(key=field, value=_shown(getattr(status, field)))
        for field in status.get_fields_and_field_types()
        if field != 'header'
    ]


def _shown(value: object) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
