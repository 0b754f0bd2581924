# SPDX-License-Identifier: Apache-2.0
"""The calibration that belongs to an image, where each has its own (zoom, moving region)."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from test.support.rig import info_message
from videodepth_ros.nodes.image_decoder import CalibrationBuffer
from videodepth_ros.nodes.options import LIVE

PATIENT = replace(LIVE, calibration_wait_s=30.0)
HASTY = replace(LIVE, calibration_wait_s=0.0)


def info(stamp_s, focal_px=150.0):
    message = info_message()
    message.header.stamp.sec = stamp_s
    message.k[0] = focal_px
    return message


def test_a_calibration_behind_its_image_is_waited_for():
    buffer = CalibrationBuffer(PATIENT)
    for k in range(5):
        late = threading.Timer(0.01, buffer.put, [info(k, 100.0 + k)])
        late.start()
        assert buffer.get(k * 10**9).k[0] == 100.0 + k
        late.join()


def test_a_calibration_before_its_image_is_found_and_not_that_of_a_later_one():
    buffer = CalibrationBuffer(PATIENT)
    for k in range(5):
        buffer.put(info(k, 100.0 + k))
    assert [buffer.get(k * 10**9).k[0] for k in range(5)] == [100.0, 101.0, 102.0, 103.0, 104.0]


def test_a_latched_calibration_is_not_waited_for():
    buffer = CalibrationBuffer(replace(LIVE, calibration_wait_s=0.2))
    buffer.put(info(0))
    assert buffer.get(10**9).k[0] == 150.0  # waits once
    begin_s = time.monotonic()
    for k in range(2, 1000):
        assert buffer.get(k * 10**9).k[0] == 150.0
    assert time.monotonic() - begin_s < 100.0  # of 199 s with a wait each


def test_calibrations_that_come_later_than_the_wait_are_noticed():
    buffer = CalibrationBuffer(HASTY)
    buffer.put(info(0))
    assert buffer.get(10**9).header.stamp.sec == 0
    assert not buffer._is_paired
    buffer.put(info(1))
    assert buffer._is_paired


def test_the_buffer_is_bounded_and_can_be_cleared():
    buffer = CalibrationBuffer(HASTY)
    for k in range(100):
        buffer.put(info(k))
    assert len(buffer._recent) == LIVE.calibrations_kept
    buffer.put(None)
    assert buffer.get(99 * 10**9) is None
