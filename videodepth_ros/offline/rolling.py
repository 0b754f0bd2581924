# SPDX-License-Identifier: Apache-2.0
"""Deprecated name of `videodepth_ros.rollingdepth.inference`."""

import warnings

from videodepth_ros.rollingdepth.inference import *  # noqa: F403

warnings.warn(
    'videodepth_ros.offline.rolling is deprecated; import videodepth_ros.rollingdepth',
    DeprecationWarning,
    stacklevel=2,
)
