# SPDX-License-Identifier: Apache-2.0
"""``videodepth view``: a live node or a recording in a browser."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.console import ProgressDisplay, log
from videodepth_ros.cli.flags import add_flags, options_from
from videodepth_ros.cli.options import describe
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.cli.rerun import add_rerun_flag, check_rerun
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.view.options import ViewOptions

if TYPE_CHECKING:
    from videodepth_ros.view.source import Source


@dataclass(frozen=True)
class ViewFacts:
    """What was shown."""

    source: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'Serves a page with image, depth, confidence and the cloud in 3D. Without IN_BAG it\n'
        'shows a live node, with its rate, age, scale, warnings and parameters; with it a\n'
        'recording or a refined folder, with a time line. Ctrl-C ends it.',
        'view',
        'view --node /robot1/front/videodepth --host 0.0.0.0',
        'view refined --images scene',
        'view --rerun live.rrd',
    )
    parser.add_argument('in_bag', metavar='IN_BAG', nargs='?', help='recording to show')
    parser.add_argument(
        '--images', metavar='BAG', help='recording of the camera, where IN_BAG has no images'
    )
    parser.add_argument(
        '--node',
        default='/videodepth',
        metavar='NAME',
        help='name of the live node, with its namespace (default: %(default)s)',
    )
    parser.add_argument(
        '--ros-args', nargs=argparse.REMAINDER, default=[], help='ROS arguments of the live view'
    )
    add_flags(parser, ViewOptions)
    add_rerun_flag(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Serve the page until an interruption."""
    if args.rerun is not None:
        return _run_rerun(args)
    try:
        from videodepth_ros.view.server import ViewServer
    except ImportError as error:
        raise ConfigError(
            f'the page needs websockets ({error}): pip install "videodepth[view]"'
        ) from error
    options = options_from(args, ViewOptions)
    with ExitStack() as stack:
        interruption, source = stack.enter_context(_source(args))
        server = ViewServer(source, options)

        def on_start(address: str) -> None:
            log.info('%s; Ctrl-C ends it', address)
            _warn_of_network(options)

        asyncio.run(server.run(on_start, lambda: interruption.requested))
        facts = ViewFacts(source.facts()['title'])
    return outcome(facts)


def _run_rerun(args: argparse.Namespace) -> Outcome:
    """Log the frames to Rerun instead: all of a recording, or of a live node until Ctrl-C."""
    check_rerun(args)
    from videodepth_ros.view.rerun_log import log_frames, new_frames

    with _source(args) as (interruption, source):
        if source.facts()['stamps'] is None:
            numbers = new_frames(source, lambda: interruption.requested)
        else:
            numbers = interruption.iterate(range(source.newest() + 1))
        frames = log_frames(source, args.rerun, numbers)
        log.info('%s: %d frames', args.rerun, frames)
        return outcome(ViewFacts(source.facts()['title']))


def _warn_of_network(options: ViewOptions) -> None:
    from videodepth_ros.view.access import is_loopback

    if not is_loopback(options.host):
        may = 'see the images and change parameters' if options.control else 'see the images'
        log.warning('who reaches port %d of this machine can %s', options.port, may)


@contextmanager
def _source(args: argparse.Namespace) -> Iterator[tuple[Interruption, Source]]:
    """Open the recording, or join the graph of the live node."""
    if args.in_bag is None:
        with _live(args) as found:
            yield found
        return
    from videodepth_ros.view.recording import open_recording

    images = Path(args.images) if args.images else None
    with ExitStack() as stack:
        interruption = stack.enter_context(Interruption())
        with ProgressDisplay() as display:
            source = stack.enter_context(open_recording(Path(args.in_bag), images, display.show))
        yield interruption, source


@contextmanager
def _live(args: argparse.Namespace) -> Iterator[tuple[Interruption, Source]]:
    try:
        from videodepth_ros.nodes.process import ros_context
        from videodepth_ros.view.live import LiveSource
    except ImportError as error:
        raise ConfigError(
            f'a live node needs ROS 2 ({error}): source its setup.bash, or give a recording'
        ) from error
    with ros_context(['--ros-args', *args.ros_args] if args.ros_args else []) as interruption:
        with LiveSource(args.node) as source:
            yield interruption, source
