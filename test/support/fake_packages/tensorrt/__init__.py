# SPDX-License-Identifier: Apache-2.0
"""Stands before the real package on the path of a process that is to have a fake TensorRT.

Of the precision that FAKE_TENSORRT_WRONG names it computes every depth a third too large, and
silently, as some versions do.
"""

import os

from cuda.bindings import runtime

from test.support.fake_tensorrt import FakeTensorRt


def degrade(path, outputs):
    wrong = os.environ.get('FAKE_TENSORRT_WRONG', '').split()
    if any(f'-{precision}-' in path for precision in wrong):
        outputs['inverse_depth'] *= 1.33


fake = FakeTensorRt(os.environ.get('FAKE_TENSORRT_VERSION', '10.3.0'), runtime)
fake.degrade = degrade
fake.builds = 'FAKE_TENSORRT_FAILS' not in os.environ


def __getattr__(name):
    return getattr(fake, name)
