# SPDX-License-Identifier: Apache-2.0
"""ROS 2 for the tests of the nodes, in a domain of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='these tests need ROS 2')
# Nobody else may hear us, nor we them: also not another run of these tests on this machine.
os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)  # above 101 ports may be taken
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'  # a neighbour may have the same number

import rclpy
from rclpy.executors import SingleThreadedExecutor

from test.support.offline_rig import OfflineRig
from test.support.rig import Rig
from videodepth_ros.nodes.transport import prepare_process


@pytest.fixture(scope='session', autouse=True)
def ros() -> Iterator[None]:
    prepare_process()
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def make_rig(ros: None) -> Iterator[Callable[..., Rig]]:
    executor = SingleThreadedExecutor()
    rigs: list[Rig] = []

    def make(**parameters: Any) -> Rig:
        rigs.append(Rig(executor, **parameters))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
    executor.shutdown()


@pytest.fixture
def make_offline(ros: None) -> Iterator[Callable[..., OfflineRig]]:
    executor = SingleThreadedExecutor()
    rigs: list[OfflineRig] = []

    def make(job: Any, **parameters: Any) -> OfflineRig:
        rigs.append(OfflineRig(executor, job, **parameters))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
    executor.shutdown()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """Return an active node that nobody has sent an image to."""
    rig = make_rig()
    rig.start()
    return rig
