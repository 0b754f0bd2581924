# SPDX-License-Identifier: Apache-2.0
"""The status of a live node as the page shows it."""

from __future__ import annotations

import math
from typing import Any

FIELDS = (
    'state',
    'model',
    'engine',
    'device',
    'precision',
    'network_width',
    'network_height',
    'scale_source',
    'scale_factor',
    'scale_spread',
    'scale_stale',
    'input_rate_hz',
    'output_rate_hz',
    'age_p50_s',
    'age_p99_s',
    'latency_p50_s',
    'engine_p50_s',
    'memory_mb',
    'received',
    'published',
    'displaced',
    'rejected',
    'last_error',
)
"""Fields of videodepth/Status that the page shows, besides the resets."""
RESETS = 'resets_'


def status_values(status: Any) -> dict[str, Any]:
    """Return the fields of a status and its resets by reason, as JSON holds them."""
    values: dict[str, Any] = {name: _value(getattr(status, name)) for name in FIELDS}
    names = status.get_fields_and_field_types()
    resets = {name.removeprefix(RESETS): getattr(status, name) for name in names if RESETS in name}
    values['resets'] = {reason: count for reason, count in resets.items() if count}
    return values


def _value(value: Any) -> Any:
    """Return a value with four digits; None where it is not finite."""
    if not isinstance(value, float):
        return value
    return float(f'{value:.4g}') if math.isfinite(value) else None
