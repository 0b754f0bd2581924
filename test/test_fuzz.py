# SPDX-License-Identifier: Apache-2.0
"""Edits of valid inputs of every reader; ``python -m bench.fuzz`` runs the same for minutes."""

from __future__ import annotations

import logging
import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.support.fuzz_targets import TARGETS
from test.support.fuzzing import KINDS, check, edited

pytestmark = pytest.mark.slow

EXAMPLES = 25  # of each target
EDITS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.floats(0, 1), st.integers(0, 65535)),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize(
    'name', [pytest.param(n, marks=pytest.mark.ros) if n == 'parameters' else n for n in TARGETS]
)
def test_damaged_input_is_an_error_of_the_package(name, tmp_path, caplog):
    if name == 'parameters':
        pytest.importorskip('rclpy', reason='parameters are those of ROS')
    target, caplog.handler.level = TARGETS[name], logging.CRITICAL
    seeds, folder = target.seeds(), tmp_path / 'input'
    for data in seeds:
        target.read(data, _empty(tmp_path / 'valid'))  # valid inputs are read

    @settings(max_examples=EXAMPLES)
    @given(st.integers(0, len(seeds) - 1), EDITS)
    def damage(k, edits):
        data = edited(seeds[k], edits)
        finding = check(target, data, folder)
        if finding and finding.kind != 'crash':  # what is imported or compiled once
            finding = check(target, data, folder)
        assert finding is None, finding

    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # numpy's, of NaN
        damage()


def _empty(folder):
    folder.mkdir(exist_ok=True)
    for each in folder.iterdir():
        if each.is_file():
            each.unlink()
    return folder


def png_of_a_large_chunk():
    """A chunk of 788 MB in a file of 86 bytes: OpenCV would allocate them."""
    seed = TARGETS['compressed'].seeds()[3]
    place = seed.index(b'IDAT') - 4
    return seed[:place] + b'\x2f\0\0\x40' + seed[place + 4 :]


def zip_without_directory():
    seed = TARGETS['weights'].seeds()[1]
    return seed.replace(b'PK\1\2', b'PK\1\3', 1)


def tar_that_was_cut_off():
    return TARGETS['weights'].seeds()[3][:2000]


def zip_with_a_name_that_is_no_utf8():
    seed = TARGETS['weights'].seeds()[1]
    place = seed.index(b'PK\1\2')
    return (
        seed[: place + 9] + b'\x08' + seed[place + 10 : place + 46] + b'\xbf' + seed[place + 47 :]
    )


def zip_of_several_disks():
    seed = TARGETS['weights'].seeds()[1]
    place = seed.rindex(b'PK\6\7')
    return seed[: place + 4] + b'\x01' + seed[place + 5 :]


def old_checkpoint_that_was_cut_off():
    return TARGETS['weights'].seeds()[2][:248]


def old_checkpoint_with_another_storage():
    seed = TARGETS['weights'].seeds()[2]
    place = [found.start() for found in re.finditer(rb'\d{8,}', seed)][-1]
    return seed[:place] + b'u' + seed[place + 1 :]


@pytest.mark.parametrize(
    ('name', 'make'),
    [
        ('compressed', png_of_a_large_chunk),
        ('weights', zip_without_directory),
        ('weights', tar_that_was_cut_off),
        ('weights', zip_with_a_name_that_is_no_utf8),
        ('weights', zip_of_several_disks),
        ('weights', old_checkpoint_that_was_cut_off),
        ('weights', old_checkpoint_with_another_storage),
    ],
)
def test_inputs_that_broke_a_reader_once(name, make, tmp_path):
    target = TARGETS[name]
    for data in target.seeds():
        check(target, data, tmp_path / 'input')
    assert check(target, make(), tmp_path / 'input') is None
