# SPDX-License-Identifier: Apache-2.0
"""How things stand in an offline node, on /diagnostics, for people."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from videodepth.msg import OfflineStatus

from videodepth_ros.nodes.diagnostics import key_values

LATE_S = 1.0


def warnings_of(status: OfflineStatus, clocks: int) -> list[str]:
    """Return what is wrong but stops nothing; ``clocks``: publishers of /clock."""
    found = []
    plays = status.playback in (OfflineStatus.PLAYING, OfflineStatus.PAUSED)
    if plays and clocks > 1:
        found.append(
            f'{clocks} publishers tell the time on /clock: end the other player or simulator'
        )
    if plays and status.late_s > LATE_S:
        found.append(
            f'the playback is {status.late_s:.1f} s behind: set a lower rate, or subscribe to less'
        )
    return found


def diagnostic(name: str, status: OfflineStatus, warnings: list[str]) -> DiagnosticStatus:
    """Tell a status to people."""
    level, message = DiagnosticStatus.OK, _summary(status)
    if warnings:
        level, message = DiagnosticStatus.WARN, '; '.join(warnings)
    if status.job == OfflineStatus.FAILED:
        level, message = DiagnosticStatus.ERROR, status.last_error
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
