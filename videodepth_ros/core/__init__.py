# SPDX-License-Identifier: Apache-2.0
"""Foundations of all packages: exceptions, array types, options, progress, files on disk.

>>> from videodepth_ros.core import ConfigError, VideoDepthError
>>> issubclass(ConfigError, VideoDepthError)
True
"""

from videodepth_ros.core.errors import (
    BagError,
    Cancelled,
    ConfigError,
    DeviceError,
    InputError,
    ModelError,
    VideoDepthError,
)

__all__ = [
    'BagError',
    'Cancelled',
    'ConfigError',
    'DeviceError',
    'InputError',
    'ModelError',
    'VideoDepthError',
]
