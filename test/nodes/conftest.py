# SPDX-License-Identifier: Apache-2.0
"""Nodes under test and the publishers and subscribers around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='these tests need ROS 2')

import rclpy
from rclpy.executors import SingleThreadedExecutor

from test.support.offline_rig import OfflineRig
from test.support.rig import Rig
from videodepth_ros.nodes.transport import prepare_process


@pytest.fixture(scope='session', autouse=True)
def ros() -> Iterator[None]:
    if rclpy.ok():  # initialised for the tests of another folder
        yield
        return
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
