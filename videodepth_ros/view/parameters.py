# SPDX-License-Identifier: Apache-2.0
"""Parameters of the live node as the page shows them."""

from __future__ import annotations

import math
from typing import Any

from videodepth_ros.core.options import ROS_TYPES, Option


def describe(option: Option) -> dict[str, Any]:
    """Return what the page needs to show and to change a parameter."""
    return {
        'name': option.name,
        'type': ROS_TYPES[option.type],
        'default': option.default,
        'description': option.description,
        'unit': option.unit,
        'minimum': _finite(option.minimum),
        'maximum': _finite(option.maximum),
        'choices': list(option.choices),
    }


def _finite(limit: float) -> float | None:
    """Return a limit as JSON holds it."""
    return limit if math.isfinite(limit) else None
