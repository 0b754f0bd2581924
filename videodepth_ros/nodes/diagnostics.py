# SPDX-License-Identifier: Apache-2.0
"""Messages of /diagnostics that both nodes publish."""

from __future__ import annotations

import os
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time


def diagnostic_array(status: DiagnosticStatus, now: Time) -> DiagnosticArray:
    """Return a status as a message for /diagnostics."""
    array = DiagnosticArray(status=[status])
    array.header.stamp = now.to_msg()
    return array


def level_and_message(summary: str, warnings: list[str], error: str) -> tuple[bytes, str]:
    """Return level and message: of the error if there is one, of warnings, or the summary."""
    if error:
        return DiagnosticStatus.ERROR, error
    if warnings:
        return DiagnosticStatus.WARN, '; '.join(warnings)
    return DiagnosticStatus.OK, summary


def key_values(message: Any) -> list[KeyValue]:
    """Return the fields of a message, without its header, as key-value pairs."""
    return [
        KeyValue(key=field, value=_text(getattr(message, field)))
        for field in message.get_fields_and_field_types()
        if field != 'header'
    ]


def resident_memory_mb() -> float:
    """Return the resident memory of this process in MB; NaN without /proc."""
    try:
        with open('/proc/self/statm') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6
    except OSError:
        return float('nan')


def _text(value: object) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
