# SPDX-License-Identifier: Apache-2.0
"""Command-line flags that are generated from declared options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.options import Option, Value, from_values, options_of

Options = TypeVar('Options')


def add_flags(
    parser: argparse._ActionsContainer,
    options: type,
    *,
    only: Collection[str] = (),
    repeatable: Collection[str] = (),
    defaults: Mapping[str, Value] | None = None,
) -> None:
    """Add a flag for each option of a dataclass.

    only        names of the options to add; empty: all
    repeatable  names of flags that may be given several times; their values are a list
    defaults    values by name where the default of the command differs
    """
    for option in options_of(options):
        if not only or option.name in only:
            default = (defaults or {}).get(option.name, option.default)
            _add_flag(parser, option, default, repeatable=option.name in repeatable)


def _add_flag(
    parser: argparse._ActionsContainer, option: Option, default: Value, *, repeatable: bool
) -> None:
    argument: dict[str, Any] = {'default': default}
    if repeatable:
        argument.update(action='append', default=None)
    text = option.description.replace('%', '%%') + (f' [{option.unit}]' if option.unit else '')
    if option.type is bool:
        argument['action'] = argparse.BooleanOptionalAction
    else:
        argument['type'] = parser_of(option)
        if option.choices and not option.file_suffix:
            argument['choices'] = option.choices
        else:
            argument['metavar'] = option.name.replace('.', '_').rpartition('_')[2].upper()
    if default != '':
        text += ' (default: %(default)s)'
    parser.add_argument(*option.flags, dest=option.name, help=text, **argument)


def options_from(args: argparse.Namespace, options: type[Options], **changes: Value) -> Options:
    """Return the values of the flags as a dataclass; options without a flag have their default.

    Raise ConfigError if a value is not allowed.
    """
    given = vars(args)
    names = [option.name for option in options_of(options) if option.name in given]
    return from_values(options, {**{name: given[name] for name in names}, **changes})


def parser_of(option: Option) -> Callable[[str], Value]:
    """Return a function that parses the text of a flag, for ``type`` of ``add_argument``."""

    def parse(text: str) -> Value:
        if option.choices and not option.file_suffix:
            return text  # argparse names the choices
        try:
            return option.parse(text)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(f'{text!r}: {option.expectation}') from error

    return parse
