# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import re

import pytest
import yaml
from rclpy.parameter import Parameter

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.nodes.declaration import markdown_table
from videodepth_ros.nodes.parameters import DECLARATIONS, LiveParameters, live_parameters


def set_parameter(rig, name: str, value: object):
    return rig.node.set_parameters([Parameter(name, value=value)])[0]


def flat(tree: dict[str, object]) -> dict[str, object]:
    """Return the values of a file of parameters by their full names."""
    found: dict[str, object] = {}
    for key, value in tree.items():
        found |= (
            {f'{key}.{inner}': leaf for inner, leaf in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
    return found


def test_the_defaults_are_allowed_and_agree():
    assert live_parameters({d.name: d.default for d in DECLARATIONS}) == LiveParameters()
    assert len({d.name for d in DECLARATIONS}) == len(DECLARATIONS)


@pytest.mark.parametrize(
    ('name', 'value', 'says'),
    [
        ('max_gap_s', -1.0, '0.01 to 3600 s'),
        ('max_gap_s', math.nan, '0.01'),
        ('max_gap_s', 'two', 'double'),
        ('cloud.stride', 0, '1 to 64'),
        ('cloud.stride', 2.5, 'integer'),
        ('output', 'both', 'one of camera, network'),
        ('keep_state_warm', 1, 'bool'),
        ('cloud.stride', True, 'integer'),
        ('no_such', 1, 'no_such'),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name, value, says):
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        live_parameters({name: value})
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'text', 'value'),
    [
        ('max_pixels', '50000', 50000),
        ('scale.factor', '2', 2.0),
        ('autostart', 'false', False),
        ('model', 'nano', 'nano'),
    ],
)
def test_what_is_written_on_a_command_line_is_read(name, text, value):
    parsed = next(d for d in DECLARATIONS if d.name == name).parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('max_pixels', 'many'),
        ('max_pixels', '-5'),
        ('max_pixels', '2.0'),
        ('scale.factor', 'nan'),
        ('scale.factor', 'two'),
        ('autostart', 'yes'),
        ('model', 'nanoo'),
    ],
)
def test_what_is_written_wrongly_is_named(name, text):
    with pytest.raises(ConfigError, match=f'{name} is .*{text}.*; give '):
        next(d for d in DECLARATIONS if d.name == name).parse(text)


def test_a_dynamic_parameter_takes_effect_at_once(rig):
    images = rig.connect()
    rig.send(images)
    assert set_parameter(rig, 'scale.factor', 2.0).successful
    assert set_parameter(rig, 'output', 'network').successful
    rig.send(images)
    first, second = rig.until(
        lambda: len(rig.received['depth/image']) == 2 and rig.received['depth/image']
    )
    assert second.data[:4] != first.data[:4]
    assert rig.node.status().scale_factor == 2.0
    assert rig.node.engines[0].seen == [0, 1]


def test_other_parameters_wait_for_the_next_configure(make_rig):
    rig = make_rig()
    assert set_parameter(rig, 'max_pixels', 50_000).successful
    rig.start()
    refused = set_parameter(rig, 'max_pixels', 60_000)
    assert not refused.successful
    assert 'clean up' in refused.reason
    assert set_parameter(rig, 'max_pixels', 50_000).successful
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    assert set_parameter(rig, 'max_pixels', 60_000).successful
    assert rig.node.parameters.max_pixels == 60_000


def test_a_wrong_value_at_run_time_is_refused_with_the_reason(rig):
    refused = set_parameter(rig, 'output', 'both')
    assert not refused.successful
    assert refused.reason == "output is 'both'; give one of camera, network"
    assert rig.node.parameters.output == 'camera'


def test_every_descriptor_says_what_the_declaration_says(rig):
    for declaration in DECLARATIONS:
        descriptor = rig.node.describe_parameter(declaration.name)
        assert descriptor.description.startswith(declaration.sentence)
        assert ('next configure' in descriptor.description) is not declaration.dynamic
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        if ranges:
            assert (ranges[0].from_value, ranges[0].to_value) == (
                declaration.least,
                declaration.greatest,
            )


def test_the_shipped_file_holds_every_parameter_with_its_default(root):
    shipped = yaml.safe_load((root / 'config/live.yaml').read_text())['/**']['ros__parameters']
    values = flat(shipped)
    assert values == {d.name: d.default for d in DECLARATIONS}
    for d in DECLARATIONS:
        assert type(values[d.name]) is type(d.default), d.name


def test_the_table_has_a_row_for_each():
    rows = markdown_table(DECLARATIONS).splitlines()
    assert len(rows) == 2 + len(DECLARATIONS)
    for row, declaration in zip(rows[2:], DECLARATIONS, strict=True):
        assert row.startswith(f'| `{declaration.name}` | ')
        assert row.count('|') == 8


def test_the_table_of_the_readme_is_that_of_the_code(root):
    readme = (root / 'docs/parameters.md').read_text()
    shown = readme.partition('<!-- parameters -->\n')[2].partition('<!-- end of parameters -->')[0]
    assert shown == markdown_table(DECLARATIONS), 'put this table between the marks'
