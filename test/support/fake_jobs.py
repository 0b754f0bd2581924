# SPDX-License-Identifier: Apache-2.0
"""Jobs that take the place of the offline job; a new process imports them by their names."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import numpy as np

from test.support.results_bag import write_results
from videodepth_ros.core.errors import Cancelled, ConfigError
from videodepth_ros.core.progress import Progress
from videodepth_ros.nodes.job_process import JobResult, refine

FRAMES = 12


def note(request, text):
    """Leave a word in the work folder, as the job leaves its work."""
    request.output.with_name(request.output.name + '.work').write_text(text)


def quick(request, report, cancelled, announce):
    """Tell of progress that falls back once, write results, and be done."""
    announce(f'plan: {request.settings.prior}')
    for k, fraction in enumerate([0.0, 0.5, 0.25, 1.0]):
        preview = np.full((4, 6, 3), 10 * k, np.uint8) if k == 1 else None
        report(Progress(f'stage {k}', fraction, None if k == 0 else 3.0 - k, preview))
    write_results(request.output, FRAMES)
    note(request, repr(request.settings))
    return JobResult(FRAMES, 1.5, 'prior', 2.5, (str(request.output),), ('lost: its last bytes',))


def until_heard(request, report, cancelled, announce):
    """Do as ``quick`` does, but wait before the end until the test has heard enough."""
    done = quick(request, report, cancelled, announce)
    while not heard(request.bag).exists():
        time.sleep(0.01)
    return done


def heard(bag):
    """Return the file by which a test lets ``until_heard`` end."""
    return bag.with_name('heard')


def true(request, report, cancelled, announce):
    """Do the real job, with pairs as a perfect provider would make them."""
    from test.support.known_pairs import KnownPairs
    from videodepth_ros.bags.reader import open_bag
    from videodepth_ros.messages.transforms import matrix_from_pose
    from videodepth_ros.refine import alignment_inputs as scene_files

    with open_bag(request.bag) as bag:
        T = np.array(
            [
                matrix_from_pose(message.pose)
                for _, _, message in bag.messages(['/ground_truth/pose'])
            ]
        )
    scene_files.PairProviderFactory.__call__ = lambda self: KnownPairs(
        self.depth.open(), self.camera, T
    )
    settings = replace(request.settings, processes=1)
    return refine(replace(request, settings=settings), report, cancelled, announce)


def patient(request, report, cancelled, announce):
    """Work until somebody wants the end."""
    report(Progress('wait', 0.1, None))
    while not cancelled():
        time.sleep(0.01)
    note(request, 'kept')
    raise Cancelled('stopped; the same call goes on')


def deaf(request, report, cancelled, announce):
    """Work on whatever anybody wants."""
    report(Progress('wait', 0.1, None))
    note(request, str(os.getpid()))
    time.sleep(600)


def wrong(request, report, cancelled, announce):
    raise ConfigError(f'prior is {request.settings.prior!r}; give nano')


def broken(request, report, cancelled, announce):
    raise ZeroDivisionError('a fault of ours')


def killed(request, report, cancelled, announce):
    report(Progress('wait', 0.1, None))
    os.kill(os.getpid(), signal.SIGKILL)
