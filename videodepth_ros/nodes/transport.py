# SPDX-License-Identifier: Apache-2.0
"""Make large messages arrive: memory, shared memory, and the quality of service that fits."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from videodepth_ros.core.errors import ConfigError

PROFILES_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Read by Fast DDS 2.x (Jazzy) and 3.x (Kilted) when the first node of a process is made."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


def prepare_process() -> None:
    """Set this process up for messages of many megabytes; call it before ``rclpy.init``.

    By default glibc asks the kernel for every buffer of a megabyte and gives it back, and the page
    faults cost more than the copy; and Fast DDS has 512 KB of shared memory for all messages.
    A profile that the user has chosen stays.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, 'mallopt'):
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 128 << 20)
    if not any(variable in os.environ for variable in PROFILES_VARIABLES):
        profile = str(share('config/fastdds.xml'))
        os.environ.update(dict.fromkeys(PROFILES_VARIABLES, profile))


def share(relative: str) -> Path:
    """Return a file that comes with the package, from the source tree or where it is installed.

    raises  ConfigError if it is in neither
    """
    beside = Path(__file__).resolve().parents[2] / relative
    if beside.is_file():
        return beside
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


def camera_info_beside(image_topic: str) -> str:
    """Return where image_transport has the calibration of a topic: in the same namespace."""
    namespace, slash, _ = image_topic.rpartition('/')
    return f'{namespace}{slash}camera_info'


@dataclass(frozen=True)
class Plan:
    """How to subscribe to one topic."""

    topic: str
    reliable: bool = False
    latched: bool = False

    @property
    def qos(self) -> QoSProfile:
        """Best effort keeps one message, for only the newest matters.

        Reliable keeps five: a publisher with 512 KB of shared memory sends a large image in
        fragments, and only a reader that asks for lost ones, with room for the next, gets it.
        """
        return QoSProfile(
            depth=5 if self.reliable else 1,
            reliability=ReliabilityPolicy.RELIABLE
            if self.reliable
            else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL
            if self.latched
            else DurabilityPolicy.VOLATILE,
        )


def plan_for(topic: str, offers: Sequence[TopicEndpointInfo], reliability: str = 'auto') -> Plan:
    """Return the most that every publisher of ``topic`` offers, so that none is left unheard.

    offers       the publishers; while there is none, best effort hears whoever comes
    reliability  'auto', or 'best_effort' or 'reliable' to ask for that whatever is offered
    """
    reliable = bool(offers) and all(
        offer.qos_profile.reliability == ReliabilityPolicy.RELIABLE for offer in offers
    )
    latched = reliable and all(
        offer.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers
    )
    if reliability != 'auto':
        reliable = reliability == 'reliable'
    return Plan(topic, reliable, latched and reliable)
