# SPDX-License-Identifier: Apache-2.0
"""Deprecated name of `videodepth_ros.alignment.global_alignment`."""

import warnings

from videodepth_ros.alignment.global_alignment import *  # noqa: F403

warnings.warn(
    'videodepth_ros.offline.alignment is deprecated; import videodepth_ros.alignment',
    DeprecationWarning,
    stacklevel=2,
)
