# SPDX-License-Identifier: Apache-2.0
"""Declare an option once.

A field of a frozen dataclass that is made with `option` carries its declaration. Command-line
flags, ROS parameters and descriptors, launch arguments, YAML files, the goal of Refine.action and
the tables of docs/parameters.md are generated from it.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Filter:
    ...     radius_px: int = option(2, 'Radius of the filter.', unit='px', minimum=1, maximum=9)
    >>> options_of(Filter)[0].name
    'radius_px'
    >>> from_values(Filter, {'radius_px': 3})
    Filter(radius_px=3)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from videodepth_ros.core.errors import ConfigError

Options = TypeVar('Options')
Value = bool | int | float | str
"""Value of an option as ROS, YAML and the command line hold it; strings stand for enums."""

ROS_TYPES = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}


@dataclass(frozen=True)
class Option:
    """Declaration of one option.

    name              ROS parameter and launch argument, such as ``cloud.stride``
    field             name of the dataclass field
    default           its type is the type of the option
    description       one sentence
    unit              of the value; empty: none
    minimum, maximum  inclusive range of a number
    choices           allowed values of a string; empty: any
    file_suffix       files with this suffix are allowed beside the choices; empty: none
    dynamic           a node applies a new value at once
    is_path           a path, which launch files make absolute
    flags             command-line flags, the preferred one first
    unset             value that stands for None in the dataclass; None: there is none
    to_field          conversion of a value to the type of the field
    """

    name: str
    field: str
    default: Value
    description: str
    unit: str = ''
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[str, ...] = ()
    file_suffix: str = ''
    dynamic: bool = False
    is_path: bool = False
    flags: tuple[str, ...] = ()
    unset: str | None = None
    to_field: Callable[[Any], Any] = str

    @property
    def type(self) -> type[Value]:
        """One of bool, int, float and str."""
        return type(self.default)

    @property
    def constraint(self) -> str:
        """The allowed values, as text; empty if the type is the only constraint."""
        if self.choices:
            file = f', or the path of a {self.file_suffix} file' if self.file_suffix else ''
            return 'one of ' + ', '.join(self.choices) + file
        if self.type in (int, float):
            return f'{self.minimum:.9g} to {self.maximum:.9g}'
        return ''

    @property
    def expectation(self) -> str:
        """The values to give instead of a wrong one, with their unit."""
        constraint = self.constraint or f'a value of type {ROS_TYPES[self.type]}'
        return f'give {constraint}' + (f' {self.unit}' if self.unit else '')

    def check(self, value: object) -> Value:
        """Return the value as this option's type; an integer becomes a double where one is due.

        Raise ConfigError if the type or the value is not allowed.
        """
        if self.type is float and type(value) is int:
            value = float(value)
        if type(value) is not self.type:
            hint = ' (write 2.0 for 2)' if self.type is float else ''
            raise ConfigError(
                f'{self.name} is {value!r}; give a value of type {ROS_TYPES[self.type]}{hint}'
            )
        assert isinstance(value, bool | int | float | str)
        if isinstance(value, str):
            is_file = self.file_suffix and value.endswith(self.file_suffix)
            allowed = not self.choices or value in self.choices or is_file
        else:
            allowed = self.minimum <= value <= self.maximum
        if not allowed:
            raise ConfigError(f'{self.name} is {value!r}; {self.expectation}')
        return value

    def parse(self, text: str) -> Value:
        """Return the value of a text, as of a command line.

        Raise ConfigError if it is not an allowed value.
        """
        try:
            value = {'true': True, 'false': False}[text] if self.type is bool else self.type(text)
        except (KeyError, ValueError):
            return self.check(text)  # raises, as a text is of another type
        return self.check(value)


def option(
    default: Any,
    description: str,
    *,
    name: str = '',
    kind: type[Enum] | None = None,
    unset: str | None = None,
    choices: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
    **constraints: Any,
) -> Any:
    """Return a dataclass field that declares an option.

    default      a bool, int, float, str or member of an Enum; None: ``unset``, by default empty
    name         ROS parameter; by default the name of the field
    kind         Enum of the values where the default is None
    flags        command-line flags; by default one made of the name
    constraints  unit, minimum, maximum, file_suffix, dynamic, is_path as of `Option`
    """
    if isinstance(default, Enum):
        kind = type(default)
    if default is None:
        unset = unset or ''
    if kind is not None:
        values = (member.value for member in kind)
        choices = (*((unset,) if unset else ()), *values)
    value: Any = unset if default is None else default.value if kind is not None else default
    declared = Option(
        name,
        '',
        value,
        description,
        choices=choices,
        flags=flags,
        unset=unset,
        to_field=kind or type(value),
        **constraints,
    )
    return dataclasses.field(default=default, metadata={Option: declared})


def options_of(options: type[Any]) -> tuple[Option, ...]:
    """Return the declared options of a dataclass, inherited ones first."""
    return tuple(
        _named(field.metadata[Option], field.name)
        for field in dataclasses.fields(options)
        if Option in field.metadata
    )


def _named(declared: Option, field: str) -> Option:
    name = declared.name or field
    flag = '--' + name.replace('_', '-').replace('.', '-')
    return dataclasses.replace(declared, name=name, field=field, flags=declared.flags or (flag,))


def from_values(options: type[Options], values: Mapping[str, object]) -> Options:
    """Return the dataclass of checked values by option name; missing ones have their default.

    Raise ConfigError if a value is not allowed or a name is unknown.
    """
    declared = {each.name: each for each in options_of(options)}
    unknown = sorted(set(values) - set(declared))
    if unknown:
        raise ConfigError(
            f'unknown option: {", ".join(unknown)}; give some of {", ".join(declared)}'
        )
    fields = {}
    for name, value in values.items():
        each = declared[name]
        checked = each.check(value)
        unset = each.unset is not None and checked == each.unset
        fields[each.field] = None if unset else each.to_field(checked)
    return options(**fields)


def to_values(options: Any) -> dict[str, Value]:
    """Return the values of a dataclass by option name, as ROS and YAML hold them."""
    values: dict[str, Value] = {}
    for each in options_of(type(options)):
        value = getattr(options, each.field)
        if value is None:
            value = each.unset
        values[each.name] = value.value if isinstance(value, Enum) else value
    return values


def check_options(options: Any) -> None:
    """Check the values of a dataclass, as in its ``__post_init__``; raise ConfigError."""
    values = to_values(options)
    for each in options_of(type(options)):
        each.check(values[each.name])
