# SPDX-License-Identifier: Apache-2.0
"""Messages of a frame that arrive one by one."""

from __future__ import annotations

from videodepth_ros.view.frame_assembly import FrameAssembly


def test_a_frame_is_there_with_its_last_part():
    frames = FrameAssembly(4)
    frames.expect({'depth', 'image'})
    assert not frames.add('depth', 1, b'd1')
    assert frames.add('image', 1, b'i1')
    assert frames.newest == (1, {'depth': b'd1', 'image': b'i1'})
    assert frames.count == 1


def test_a_part_that_does_not_come_delays_by_one_frame():
    frames = FrameAssembly(4)
    frames.expect({'depth', 'confidence'})
    assert not frames.add('depth', 1, b'd1')
    assert frames.add('depth', 2, b'd2')
    assert frames.newest == (1, {'depth': b'd1'})
    assert frames.add('depth', 3, b'd3')
    assert frames.newest == (2, {'depth': b'd2'})


def test_memory_is_bounded():
    frames = FrameAssembly(3)
    frames.expect({'depth', 'image'})
    for stamp in range(100):
        frames.add('image', stamp, bytes(10))
    assert len(frames._pending) <= 3
