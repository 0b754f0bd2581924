# SPDX-License-Identifier: Apache-2.0
"""Help texts and argument types that several commands share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any


def describe(parser: argparse.ArgumentParser, details: str, *examples: str) -> None:
    """Add details and examples to the help; examples are without ``videodepth``."""
    lines = '\n'.join(f'  videodepth {example}' for example in examples)
    parser.description = f'{parser.description}\n{details}'
    parser.epilog = f'examples:\n{lines}'


def add_common_options(parser: argparse.ArgumentParser, **default: Any) -> None:
    """Add the options that all commands have.

    default  argparse.SUPPRESS where a parent parser has them too
    """
    common = parser.add_argument_group('common options')
    common.add_argument(
        '--json', metavar='FILE', type=new_file, help='write the results as JSON too', **default
    )
    common.add_argument(
        '-q',
        '--quiet',
        action='store_true',
        help='print results, warnings and errors only',
        **default,
    )


def new_file(text: str) -> str:
    """Parse the path of a file to write; its folder must exist."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f'{text!r} is not a file in an existing folder')
    return text


def size(text: str) -> tuple[int, int]:
    """Parse ``WxH`` in pixels."""
    match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    if not match or 0 in map(int, match.groups()):
        raise argparse.ArgumentTypeError(f'{text!r} is not a size; write it as 640x480')
    return int(match[1]), int(match[2])


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    value = _float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number above 0')
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number') from error
