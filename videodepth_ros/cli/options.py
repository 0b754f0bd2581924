# SPDX-License-Identifier: Apache-2.0
"""Options and types of arguments that several commands share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(
    commands: Commands, name: str, summary: str, details: str = '', examples: tuple[str, ...] = ()
) -> argparse.ArgumentParser:
    """Add a command with ``--json``; ``examples`` are command lines without ``videodepth``."""
    lines = '\n'.join(f'  videodepth {example}' for example in examples)
    parser = commands.add_parser(
        name,
        help=summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f'{summary[0].upper()}{summary[1:]}.\n{details}',
        epilog=f'examples:\n{lines}' if examples else None,
    )
    parser.add_argument(
        '--json', metavar='FILE', type=new_file, help='also write the results as JSON'
    )
    return parser


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a network and what runs it."""
    from videodepth_ros.models.catalogue import cards

    parser.add_argument(
        '--model',
        default='nano',
        choices=[card.name for card in cards()],
        help='network, by its name in `videodepth weights` (default: nano)',
    )
    parser.add_argument(
        '--engine',
        default='auto',
        type=engine_name,
        metavar='E',
        help='what runs it: auto, tensorrt, torch-cuda, onnx or torch (default: auto)',
    )


def engine_name(text: str) -> str:
    """Parse the name of an engine; they are asked for their names only here, for it takes time."""
    from videodepth_ros.engines.open import ENGINES

    if text not in ENGINES:
        raise argparse.ArgumentTypeError(f'{text!r} is not one of {", ".join(ENGINES)}')
    return text


def new_file(text: str) -> str:
    """Parse the name of a file to write; its folder must be there before the work begins."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f'{text!r} is no file in a folder that exists')
    return text


def size(text: str) -> tuple[int, int]:
    """Parse ``WxH`` in pixels."""
    match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    if not match or 0 in map(int, match.groups()):
        raise argparse.ArgumentTypeError(f'{text!r} is no size; write it as 640x480')
    return int(match[1]), int(match[2])


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    value = _float(text)
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number above 0')
    return value


def float_from_zero(text: str) -> float:
    """Parse a finite number, 0 or above."""
    value = _float(text)
    if not 0 <= value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of 0 or above')
    return value


def positive_int(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number above 0')
    return int(text)


def whole_number(text: str) -> int:
    """Parse a whole number, 0 or above."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number of 0 or above')
    return int(text)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number') from error
