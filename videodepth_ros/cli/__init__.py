# SPDX-License-Identifier: Apache-2.0
"""The command line: ``videodepth COMMAND``; one module a command.

A command imports what it needs when it runs, so that ``videodepth --help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from videodepth_ros.cli import (
    build,
    demo,
    doctor,
    evaluate,
    export,
    import_footage,
    refine,
    run_bag,
    sample,
    weights,
)
from videodepth_ros.cli.outcome import FAILED, OK, failure_json, write_json
from videodepth_ros.core.errors import VideoDepthError

COMMANDS = (
    doctor,
    sample,
    import_footage,
    run_bag,
    refine,
    evaluate,
    export,
    build,
    weights,
    demo,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 if it did what it should, 1 if not. Wrong usage exits with 2."""
    args = _parser().parse_args(argv)
    try:
        outcome = args.run(args)
        sys.stdout.flush()
        if args.json:
            write_json(args.json, outcome.json)
        return OK if outcome.ok else FAILED
    except BrokenPipeError:  # whoever reads what we print, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return _fail('interrupted', args.json)
    except (VideoDepthError, OSError) as error:
        return _fail(' '.join(str(error).split()), args.json)


def _fail(message: str, json_path: str | None) -> int:
    print(f'videodepth: error: {message}', file=sys.stderr)
    if json_path:
        try:
            write_json(json_path, failure_json(message))
        except OSError as error:
            print(f'videodepth: error: {error}', file=sys.stderr)
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='videodepth',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Temporally stable depth from one camera, for ROS 2 bags and topics.',
        epilog='example:\n'
        '  videodepth sample scene && videodepth run-bag scene depth && '
        'videodepth eval depth scene',
    )
    commands = parser.add_subparsers(title='commands', metavar='COMMAND', required=True)
    for command in COMMANDS:
        command.add_to(commands)
    return parser
