# SPDX-License-Identifier: Apache-2.0
"""The command line: ``videodepth COMMAND``, with one module for each command.

Only the module of the given command is imported, so that ``videodepth --help`` is fast.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from videodepth_ros.cli import console
from videodepth_ros.cli.outcome import FAILED, OK, failure_json, write_json
from videodepth_ros.core.errors import VideoDepthError


@dataclass(frozen=True)
class Command:
    """A command: its module defines ``add_arguments(parser)`` and ``run(args) -> Outcome``."""

    name: str
    module: str
    summary: str


COMMANDS = (
    Command('doctor', 'doctor', 'check ROS, GPU, engines and weights, with a fix for each fault'),
    Command('sample', 'sample', 'render a synthetic scene into a bag, with ground truth'),
    Command('import', 'import_footage', 'convert a video or a folder of images to a bag'),
    Command('run-bag', 'run_bag', 'compute depth for the images of a bag, as fast as possible'),
    Command('refine', 'refine', 'compute consistent depth and camera poses of a bag, offline'),
    Command('fleet', 'fleet', 'refine, run-bag or eval of many bags: on all cores, or on Ray'),
    Command('eval', 'evaluate', 'evaluate depth and trajectory against ground truth'),
    Command('view', 'view', 'show a live node or a recording in a browser'),
    Command('export', 'export', 'export a model as an ONNX graph of one static size'),
    Command('build', 'build', 'build the engine of a model ahead of time'),
    Command('weights', 'weights', 'list models and licences, import a checkpoint, print its path'),
    Command('demo', 'demo', 'stream a sample camera through the live node and show the results'),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 on success, 1 on failure. Wrong usage exits with 2."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not words:
        make_parser('none').print_help()
        return OK
    args = _parse(words)
    console.configure(quiet=args.quiet)
    try:
        outcome = args.run(args)
        sys.stdout.flush()
        if args.json:
            write_json(args.json, outcome.json)
        return OK if outcome.ok else FAILED
    except BrokenPipeError:  # the reader of stdout, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return _fail('interrupted', args.json)
    except (VideoDepthError, OSError) as error:
        return _fail(' '.join(str(error).split()), args.json)


def make_parser(only: str = '') -> argparse.ArgumentParser:
    """Return the parser of all commands.

    only  the command to add the arguments of; empty: all
    """
    parser = _Parser(
        prog='videodepth',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Temporally consistent depth from one camera, for ROS 2 bags and topics.',
        epilog='example:\n'
        '  videodepth sample scene && videodepth run-bag scene depth && '
        'videodepth eval depth scene',
    )
    parser.add_argument('--version', action=_Version)
    subparsers = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    for command in COMMANDS:
        child = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=f'{command.summary[0].upper()}{command.summary[1:]}.',
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if only in ('', command.name):
            _add_arguments(child, command)
    return parser


def _add_arguments(parser: argparse.ArgumentParser, command: Command) -> None:
    from videodepth_ros.cli.options import add_common_options

    module = importlib.import_module(f'videodepth_ros.cli.{command.module}')
    module.add_arguments(parser)
    add_common_options(parser)
    parser.set_defaults(run=module.run, parser=parser)


def _parse(argv: list[str]) -> argparse.Namespace:
    """Parse the arguments; on an error exit with 2, see `_Parser`."""
    named = next((word for word in argv if not word.startswith('-')), '')
    only = named if named in {command.name for command in COMMANDS} else 'none'
    args, unknown = make_parser(only).parse_known_args(argv)
    if unknown:
        args.parser.error(_unknown_text(args.parser, unknown))
    return args


def _unknown_text(parser: argparse.ArgumentParser, unknown: list[str]) -> str:
    """Return the message of unknown arguments, with the most similar flag of the first."""
    flags = [flag for action in parser._actions for flag in action.option_strings]
    similar = difflib.get_close_matches(unknown[0].partition('=')[0], flags, n=1)
    hint = f'; did you mean {similar[0]}?' if similar else ''
    return f'unrecognized arguments: {" ".join(unknown)}{hint}'


def _fail(message: str, json_path: str | None) -> int:
    console.close_bars()
    print(f'videodepth: error: {message}', file=sys.stderr)
    if json_path:
        try:
            write_json(json_path, failure_json(message))
        except OSError as error:
            print(f'videodepth: error: {error}', file=sys.stderr)
    return FAILED


class _Parser(argparse.ArgumentParser):
    """Parser of the program or of one command, with errors of two lines."""

    def error(self, message: str) -> NoReturn:
        """Print the reason and then the required arguments; exit with 2."""
        formatter = argparse.HelpFormatter(self.prog)
        required = [action for action in self._actions if not action.option_strings]
        formatter.add_usage(None, required, [], prefix='usage: ')
        usage = ' '.join(formatter.format_help().split())
        self.exit(2, f'{self.prog}: error: {message}\n{usage} [options]; options: -h\n')


class _Version(argparse.Action):
    """Print the version and exit; it is read only then."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help='print the version and exit')

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from videodepth_ros.core.version import version

        print(f'videodepth {version()}')
        parser.exit()
