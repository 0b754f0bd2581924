# SPDX-License-Identifier: Apache-2.0
"""Requests of several threads: what waits is served together, and nobody waits for the absent."""

from __future__ import annotations

import threading

import pytest

from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.batching import RequestBatcher

PATIENCE_S = 30.0


class Device:
    """Serves numbers; the first batch can be held up until others wait."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.batcher: RequestBatcher[int] = RequestBatcher(self.serve)
        self.busy, self.may_end = threading.Event(), threading.Event()
        self.error: BaseException | None = None

    def serve(self, batch) -> None:
        self.batches.append(list(batch))
        self.busy.set()
        assert self.may_end.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error

    def wait_for(self, requests: int) -> None:
        """Return when so many requests wait."""
        while len(self.batcher._waiting) < requests:
            assert not self.may_end.wait(0.001)


@pytest.fixture
def device() -> Device:
    return Device()


def ask_aside(device: Device, request: int, told: list) -> threading.Thread:
    def run() -> None:
        try:
            device.batcher.submit(request)
            told.append(request)
        except DeviceError as error:
            told.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def begin(device: Device, told: list, others: int) -> list[threading.Thread]:
    """Have request 0 be served, and others wait one after the other."""
    threads = [ask_aside(device, 0, told)]
    assert device.busy.wait(PATIENCE_S)
    for request in range(1, others + 1):
        threads.append(ask_aside(device, request, told))
        device.wait_for(request)
    return threads


def end(device: Device, threads: list[threading.Thread]) -> None:
    device.may_end.set()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_who_comes_alone_is_served_alone_and_at_once(device):
    device.may_end.set()
    for request in range(3):
        device.batcher.submit(request)
    assert device.batches == [[0], [1], [2]]


def test_what_waits_is_served_together_in_the_order_of_its_coming(device):
    told: list = []
    end(device, begin(device, told, 3))
    assert device.batches == [[0], [1, 2, 3]]
    assert sorted(told) == [0, 1, 2, 3]


def test_a_failure_is_told_to_each_of_its_batch_and_to_nobody_else(device):
    told: list = []
    threads = begin(device, told, 2)
    device.error = DeviceError('gone')
    end(device, threads)
    assert [str(error) for error in told] == ['gone'] * 3
    device.error = None
    device.batcher.submit(9)
    assert device.batches[-1] == [9]


def test_a_change_waits_for_the_batch_that_is_served(device):
    threads = begin(device, [], 0)
    seen: list[int] = []
    changer = threading.Thread(
        target=device.batcher.run_exclusive, args=(lambda: seen.append(len(device.batches)),)
    )
    changer.start()
    assert not seen
    end(device, [*threads, changer])
    assert seen == [1]


def test_many_threads_lose_nothing():
    served: list[int] = []
    batcher: RequestBatcher[int] = RequestBatcher(served.extend)

    def run(first: int) -> None:
        for request in range(first, first + 200):
            batcher.submit(request)

    threads = [threading.Thread(target=run, args=(1000 * k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(served) == [1000 * k + i for k in range(6) for i in range(200)]
    for k in range(6):  # each thread's own in their order
        own = [request for request in served if request // 1000 == k]
        assert own == sorted(own)
