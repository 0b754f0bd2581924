# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
import time

import pytest

from videodepth_ros.core.stage_clock import StageClock


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_stages_have_wall_and_processor_time_of_this_process_and_its_ended_ones():
    clock = StageClock()
    with clock.measure('own'):
        spin(0.05)
    with clock.measure('child'):
        code = 'import time\nwhile time.process_time() < 0.1: pass'
        subprocess.run([sys.executable, '-S', '-c', code], check=True)
    with clock.measure('idle'):
        time.sleep(0.05)
    own, child, idle = clock.times
    assert [one.name for one in clock.times] == ['own', 'child', 'idle']
    assert own.cpu_seconds >= 0.049
    assert child.cpu_seconds >= 0.099
    assert idle.seconds >= 0.049 > idle.cpu_seconds
    assert str(idle).startswith('idle 0.')


def test_a_stage_that_fails_is_left_out():
    clock = StageClock()
    with pytest.raises(ValueError, match='no'), clock.measure('broken'):
        raise ValueError('no')
    assert clock.times == ()
