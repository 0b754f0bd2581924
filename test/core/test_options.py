# SPDX-License-Identifier: Apache-2.0
"""One declaration of an option: checks, conversion, and dataclasses of values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import Enum

import pytest

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.options import check_options, from_values, option, options_of, to_values


class Shape(str, Enum):
    BOX = 'box'
    GAUSS = 'gauss'


@dataclass(frozen=True, kw_only=True)
class Common:
    radius_px: int = option(2, 'Radius.', unit='px', minimum=1, maximum=64)


@dataclass(frozen=True, kw_only=True)
class Filter(Common):
    shape: Shape = option(Shape.BOX, 'Shape.', flags=('--shape', '--kernel'))
    edges: Shape | None = option(None, 'At edges; auto: as inside.', kind=Shape, unset='auto')
    gap_s: float = option(2.0, 'Gap.', name='time.gap_s', unit='s', minimum=0.01, maximum=3600.0)
    topic: str | None = option(None, 'Topic; empty: found.')
    mode: str = option('auto', 'Mode.', choices=('auto', 'never'))
    fast: bool = option(True, 'Skip borders.')

    def __post_init__(self) -> None:
        check_options(self)


BY_NAME = {each.name: each for each in options_of(Filter)}


def test_a_declaration_has_names_types_choices_and_flags():
    assert list(BY_NAME) == ['radius_px', 'shape', 'edges', 'time.gap_s', 'topic', 'mode', 'fast']
    assert BY_NAME['edges'].choices == ('auto', 'box', 'gauss')
    assert (BY_NAME['edges'].default, BY_NAME['topic'].default) == ('auto', '')
    assert BY_NAME['shape'].type is str
    assert BY_NAME['time.gap_s'].flags == ('--time-gap-s',)
    assert BY_NAME['shape'].flags == ('--shape', '--kernel')


def test_values_and_dataclass_convert_into_each_other():
    values = to_values(Filter())
    assert values == {name: each.default for name, each in BY_NAME.items()}
    assert from_values(Filter, values) == Filter()
    given = {'shape': 'gauss', 'edges': 'box', 'time.gap_s': 3, 'topic': '/a', 'fast': False}
    expected = Filter(shape=Shape.GAUSS, edges=Shape.BOX, gap_s=3.0, topic='/a', fast=False)
    assert from_values(Filter, given) == expected
    assert to_values(expected)['edges'] == 'box'
    assert from_values(Filter, to_values(expected)) == expected


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('time.gap_s', -1.0, 'time.gap_s is -1.0; give 0.01 to 3600 s'),
        ('time.gap_s', math.nan, 'give 0.01'),
        ('time.gap_s', 'two', 'double (write 2.0 for 2)'),
        ('radius_px', 0, 'radius_px is 0; give 1 to 64 px'),
        ('radius_px', 2.5, 'integer'),
        ('radius_px', True, 'integer'),
        ('mode', 'both', "mode is 'both'; give one of auto, never"),
        ('edges', 'none', 'give one of auto, box, gauss'),
        ('fast', 1, 'bool'),
        ('no_such', 1, 'unknown option: no_such; give some of radius_px'),
    ],
)
def test_an_invalid_value_is_named_with_the_allowed_ones(name, value, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        from_values(Filter, {name: value})


@pytest.mark.parametrize(
    'field', [{'radius_px': 0}, {'gap_s': math.nan}, {'mode': 'both'}, {'fast': 'yes'}]
)
def test_a_dataclass_checks_its_fields(field):
    with pytest.raises(ConfigError):
        replace(Filter(), **field)


@pytest.mark.parametrize(
    ('name', 'text', 'value'),
    [
        ('radius_px', '50', 50),
        ('time.gap_s', '2', 2.0),
        ('fast', 'false', False),
        ('mode', 'never', 'never'),
        ('topic', '', ''),
    ],
)
def test_a_text_is_parsed(name, text, value):
    parsed = BY_NAME[name].parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('radius_px', 'many'),
        ('radius_px', '-5'),
        ('radius_px', '2.0'),
        ('time.gap_s', 'nan'),
        ('time.gap_s', 'two'),
        ('fast', 'yes'),
        ('mode', 'autoo'),
    ],
)
def test_an_invalid_text_is_named(name, text):
    with pytest.raises(ConfigError, match=f'{name} is .*{text}.*; give '):
        BY_NAME[name].parse(text)
