# SPDX-License-Identifier: Apache-2.0
"""Stands before the real package on the path of a process that is to have a fake GPU."""

from test.support.fake_cuda import FakeCuda

runtime = FakeCuda()
