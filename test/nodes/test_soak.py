# SPDX-License-Identifier: Apache-2.0
"""A short soak: what ``python -m bench.soak`` does for an hour."""

from __future__ import annotations

import pytest

from bench.soak import EVENTS, plot, run

pytestmark = pytest.mark.slow


def test_a_disturbed_stream_keeps_its_counters_descriptors_and_threads(ros, tmp_path):
    found, samples = run(20.0, 30.0)
    assert {sample['event'] for sample in samples} == set(EVENTS)
    assert found['counters_exact']
    assert found['descriptors_growth'] <= 4
    assert found['threads_growth'] <= 0
    assert found['rate_p50_hz'] > 1  # the machine may be busy
    plot(samples, tmp_path / 'soak.png')
    assert (tmp_path / 'soak.png').stat().st_size > 1000
