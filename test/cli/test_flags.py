# SPDX-License-Identifier: Apache-2.0
"""Flags that are generated from declared options."""

from __future__ import annotations

import argparse

import pytest

from videodepth_ros.cli.flags import add_flags, options_from
from videodepth_ros.cli.run_bag import RunBagOptions
from videodepth_ros.core.options import options_of
from videodepth_ros.refine.settings import DEFAULTS, Method, Pairs, RefineSettings


def parse(options: type, *arguments: str, **how):
    parser = argparse.ArgumentParser()
    add_flags(parser, options, **how)
    return options_from(parser.parse_args(arguments), options)


@pytest.mark.parametrize('options', [RefineSettings, RunBagOptions])
def test_without_flags_every_option_has_its_default(options):
    assert parse(options) == options()


def test_every_option_of_refine_has_a_flag():
    parser = argparse.ArgumentParser()
    add_flags(parser, RefineSettings)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    assert all(set(option.flags) <= flags for option in options_of(RefineSettings))


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['--method', 'coalign'], {'method': Method.COALIGN}),
        (['--poses', 'geometric'], {'pairs': Pairs.GEOMETRIC}),
        (['--pairs', 'auto'], {'pairs': None}),
        (['--start', '1', '--end', '2.5'], {'start_s': 1.0, 'end_s': 2.5}),
        (['--no-odometry'], {'odometry': False}),
        (['--copy-topics'], {'copy_topics': True}),
        (['--image-topic', '/a'], {'image_topic': '/a'}),
        (['--stride', '3', '--clip', '5'], {'stride': 3, 'clip': 5}),
        (['--cloud-stride', '2'], {'points_stride': 2, 'stride': 1}),
        (['--cloud-max-range-m', '5'], {'points_max_range_m': 5.0}),
    ],
)
def test_flags_of_refine_that_were_there_before_options_were_declared(arguments, expected):
    settings = parse(RefineSettings, *arguments)
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings != DEFAULTS or expected == {'pairs': None}


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['--steady', 'never'], {'scale_steady': 'never'}),
        (['--stride', '2'], {'stride': 2, 'cloud_stride': 4}),  # frames, as of refine
        (['--cloud-stride', '2'], {'cloud_stride': 2}),
        (['--points-stride', '2'], {'cloud_stride': 2}),
        (['--points-max-range-m', '5'], {'cloud_max_range_m': 5.0}),
        (['--edge-ratio', '0'], {'edge_ratio': 0.0}),
        (['--output', 'network', '--points'], {'output': 'network', 'points': True}),
        ([], {'max_range_m': 200.0, 'cloud_max_range_m': 30.0, 'confidence': True}),
    ],
)
def test_flags_of_run_bag(arguments, expected):
    options = parse(RunBagOptions, *arguments)
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--clip', '1'], "argument --clip: '1': give 2 to 1000"),
        (['--max-range-m', 'far'], "'far': give 0 to 100000 m"),
        (['--preset', 'slow'], "invalid choice: 'slow'"),
    ],
)
def test_an_invalid_value_is_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_info:
        parse(RefineSettings, *arguments)
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err
