# SPDX-License-Identifier: Apache-2.0
"""Set-up of a process for large messages, and files of the installed package."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

from videodepth_ros.core.errors import ConfigError

PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Read by Fast DDS 2.x (Jazzy) and 3.x (Kilted) when a process creates its first node."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # parameters of mallopt, malloc.h
MMAP_THRESHOLD_BYTES, TRIM_THRESHOLD_BYTES = 32 << 20, 128 << 20  # above the largest cloud


def prepare_process() -> None:
    """Set up memory and Fast DDS for messages of many megabytes; call before ``rclpy.init``.

    By default glibc maps and unmaps every buffer of a megabyte, and the page faults cost more
    than the copy; Fast DDS has 512 KB of shared memory for all messages. A profile that the user
    has set is kept. What was imported so far is left out of garbage collections, which are then
    short, and as frequent as the few objects of a stream require.
    """
    gc.freeze()
    libc = ctypes.CDLL(None)
    if hasattr(libc, 'mallopt'):
        libc.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    if not any(variable in os.environ for variable in PROFILE_VARIABLES):
        profile = str(package_file('config/fastdds.xml'))
        os.environ.update(dict.fromkeys(PROFILE_VARIABLES, profile))


def package_file(relative: str) -> Path:
    """Return the path of a file of the package, in the source tree or where it is installed.

    Raise ConfigError if it is in neither.
    """
    source = Path(__file__).resolve().parents[2] / relative
    if source.is_file():
        return source
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        installed = Path(get_package_share_directory('videodepth')) / relative
    except PackageNotFoundError as error:
        raise ConfigError(
            'the package videodepth is not in AMENT_PREFIX_PATH: source the '
            'workspace that it was built in'
        ) from error
    if not installed.is_file():
        raise ConfigError(f'{installed} is missing: install the package videodepth again')
    return installed


def camera_info_topic_for(image_topic: str) -> str:
    """Return the calibration topic of an image topic by image_transport: in its namespace."""
    namespace, slash, _ = image_topic.removesuffix('/compressed').rpartition('/')
    return f'{namespace}{slash}camera_info'
