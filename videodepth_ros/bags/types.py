# SPDX-License-Identifier: Apache-2.0
"""Message types of ROS 2 from rosbags, for writing without a ROS installation."""

from __future__ import annotations

from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)


def new_message(kind: str) -> Any:
    """Return a message with default fields.

    >>> new_message('sensor_msgs/msg/Image').encoding
    ''
    """
    fields = STORE.fielddefs[kind][1]
    return STORE.types[kind](*(_default(field) for _, field in fields))


def _default(field: Any) -> Any:
    """Return the default of a rosbags field description: zero, empty, or a default message."""
    node, detail = field
    if node is Nodetype.NAME:
        return new_message(detail)
    if node is Nodetype.BASE:
        return {'string': '', 'bool': False, 'float32': 0.0, 'float64': 0.0}.get(detail[0], 0)
    (element_node, element), length = detail
    if element_node is Nodetype.BASE and element[0] != 'string':
        return np.zeros(length if node is Nodetype.ARRAY else 0, np.dtype(element[0]))
    return [_default(detail[0]) for _ in range(length)] if node is Nodetype.ARRAY else []
