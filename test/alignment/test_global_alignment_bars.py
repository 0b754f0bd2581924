# SPDX-License-Identifier: Apache-2.0
"""The bars of the benchmark that need no quiet machine, on stored inputs."""

from __future__ import annotations

import pytest

from bench import alignment

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('case', ['short_demo', 'short_noshared', 'short_flow', 'long_hier'])
def test_no_worse_than_the_published_code(case):
    if not alignment.GOLDENS.exists():
        pytest.skip('the stored inputs, ../shared/goldens/align3r, are not beside the tree')
    figures = alignment.CASES[case](alignment.GOLDENS)
    accuracy = [figure for figure in figures if figure.name != 'cpu_s']
    assert accuracy
    assert all(figure.holds for figure in accuracy), accuracy
