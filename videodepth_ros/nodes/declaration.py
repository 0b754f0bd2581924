# SPDX-License-Identifier: Apache-2.0
"""One declaration for each parameter of a node, and all that follows from it.

The fields of a frozen dataclass are declared with `declare`. Each declaration makes the field, the
descriptor that ROS tools show, the check of a new value, and the row of the documentation's table.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from videodepth_ros.core.errors import ConfigError

Parameters = TypeVar('Parameters')
Value = bool | int | float | str

ROS_TYPES = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}


@dataclass(frozen=True)
class Declaration:
    """What is known of one parameter.

    least, greatest  range, inclusive, of a number
    choices          the only values, of a string
    dynamic          a change takes effect at once
    """

    name: str
    default: Value
    sentence: str
    unit: str = ''
    least: float = -math.inf
    greatest: float = math.inf
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    @property
    def constraint(self) -> str:
        """The values that are allowed, in words; empty where the type says all."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        if not isinstance(self.default, bool | str):
            return f'{self.least:.9g} to {self.greatest:.9g}'
        return ''

    def check(self, value: object) -> Value:
        """Return the value as this parameter's type.

        raises  ConfigError if it is none of the values that are allowed
        """
        wanted = type(self.default)
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            hint = ' (write 2.0 for 2)' if wanted is float else ''
            raise ConfigError(
                f'{self.name} is {value!r}; give a value of type {ROS_TYPES[wanted]}{hint}'
            )
        outside = isinstance(value, int | float) and not self.least <= value <= self.greatest
        if outside or (self.choices and value not in self.choices):
            raise ConfigError(
                f'{self.name} is {value!r}; give {self.constraint}'
                + (f' {self.unit}' if self.unit else '')
            )
        assert isinstance(value, bool | int | float | str)
        return value

    def parse(self, text: str) -> Value:
        """Return the value that somebody has written on a command line.

        raises  ConfigError if it is none of the values that are allowed
        """
        wanted = type(self.default)
        try:
            return self.check(
                {'true': True, 'false': False}[text] if wanted is bool else wanted(text)
            )
        except (KeyError, ValueError):
            return self.check(text)  # which says what to give

    def descriptor(self, otherwise: str) -> ParameterDescriptor:
        """Return what ``ros2 param describe`` shows.

        otherwise  when a change takes effect that does not at once
        """
        when = '' if self.dynamic else f' A change takes effect at {otherwise}.'
        unit = f' [{self.unit}]' if self.unit else ''
        message = ParameterDescriptor(
            name=self.name,
            description=self.sentence + unit + when,
            additional_constraints=self.constraint,
        )
        if type(self.default) is int:
            message.integer_range = [
                IntegerRange(from_value=int(self.least), to_value=int(self.greatest))
            ]
        if type(self.default) is float:
            message.floating_point_range = [
                FloatingPointRange(from_value=self.least, to_value=self.greatest)
            ]
        return message

    @property
    def field(self) -> str:
        """Name of the field in the dataclass of parameters."""
        return self.name.replace('.', '_')


def declare(name: str, default: Value, sentence: str, **rest: Any) -> Any:
    """Return the field of a dataclass of parameters."""
    declaration = Declaration(name, default, sentence, **rest)
    return dataclasses.field(default=default, metadata={'': declaration})


def declarations_of(kind: type[Any]) -> tuple[Declaration, ...]:
    """Return all declarations of a dataclass of parameters, in the order of the documentation."""
    return tuple(field.metadata[''] for field in dataclasses.fields(kind))


def checked(kind: type[Parameters], values: Mapping[str, object], file: str) -> Parameters:
    """Return the checked values by parameter name; what is not given has its default.

    file    where all of them are listed
    raises  ConfigError if a value is not allowed or a name is not known
    """
    declared = {d.name: d for d in declarations_of(kind)}
    unknown = sorted(set(values) - set(declared))
    if unknown:
        raise ConfigError(f'no such parameter: {", ".join(unknown)}; {file} lists all of them')
    return kind(
        **{declared[name].field: declared[name].check(value) for name, value in values.items()}
    )


def given(
    declarations: Sequence[Declaration], names: Sequence[str], argument: Callable[[str], str]
) -> dict[str, Value]:
    """Return those of the named parameters whose launch argument is not empty, parsed.

    raises  ConfigError as ``Declaration.parse``
    """
    return {
        d.name: d.parse(argument(d.name))
        for d in declarations
        if d.name in names and argument(d.name)
    }


def markdown_table(declarations: Sequence[Declaration]) -> str:
    """Return the documentation's table of parameters."""
    rows = [
        '| parameter | type | default | unit | values | at run time | what it does |',
        '|---|---|---|---|---|---|---|',
    ]
    for d in declarations:
        default = str(d.default).lower() if isinstance(d.default, bool) else str(d.default)
        rows.append(
            f'| `{d.name}` | {ROS_TYPES[type(d.default)]} | `{default}` | {d.unit} | '
            f'{d.constraint} | {"yes" if d.dynamic else "no"} | {d.sentence} |'
        )
    return '\n'.join(rows) + '\n'
