# SPDX-License-Identifier: Apache-2.0
"""Health of an offline node, for /diagnostics."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from videodepth.msg import OfflineStatus

from videodepth_ros.nodes.diagnostics import key_values, level_and_message
from videodepth_ros.nodes.options import OFFLINE


def find_warnings(
    status: OfflineStatus, clock_publishers: int, lag_warning_s: float = OFFLINE.lag_warning_s
) -> list[str]:
    """Return the warnings of a node as texts."""
    found = []
    plays = status.playback in (OfflineStatus.PLAYING, OfflineStatus.PAUSED)
    if plays and clock_publishers > 1:
        found.append(
            f'/clock has {clock_publishers} publishers: stop the other player or simulator'
        )
    if plays and status.late_s > lag_warning_s:
        found.append(
            f'playback is {status.late_s:.1f} s behind: set a lower rate, or subscribe to less'
        )
    return found


def diagnostic_status(name: str, status: OfflineStatus, warnings: list[str]) -> DiagnosticStatus:
    """Return a status message as an entry of /diagnostics."""
    error = status.last_error if status.job == OfflineStatus.FAILED else ''
    level, message = level_and_message(_summary(status), warnings, error)
    return DiagnosticStatus(name=name, level=level, message=message, values=key_values(status))


def _summary(status: OfflineStatus) -> str:
    if status.job in (OfflineStatus.REFINING, OfflineStatus.CANCELLING):
        left = (
            ''
            if status.seconds_left != status.seconds_left
            else (f', {status.seconds_left:.0f} s left')
        )
        return f'{status.job}: {status.stage}, {status.fraction:.0%}{left}'
    if status.playback != OfflineStatus.STOPPED:
        return f'{status.playback}: {status.position_s:.1f} of {status.duration_s:.1f} s'
    return str(status.job)
