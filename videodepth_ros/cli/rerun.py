# SPDX-License-Identifier: Apache-2.0
"""The flag ``--rerun`` of the commands that write a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from videodepth_ros.cli.console import ProgressDisplay, log


def add_rerun_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag."""
    parser.add_argument(
        '--rerun',
        metavar='FILE',
        help='log the frames to a .rrd file of Rerun too, or to a viewer (rerun+http://...)',
    )


def log_to_rerun(args: argparse.Namespace, results: Path) -> None:
    """Log results and the images that they were computed from, if the flag was given.

    Raise ConfigError if the extra is missing, or the target is no file of Rerun or exists.
    """
    if args.rerun is None:
        return
    from videodepth_ros.view.rerun_log import log_recording

    with ProgressDisplay() as display:
        frames = log_recording(results, Path(args.in_bag), args.rerun, display.show)
    log.info('%s: %d frames', args.rerun, frames)


def check_rerun(args: argparse.Namespace) -> None:
    """Check the flag before the work; raise ConfigError as `log_to_rerun`."""
    if args.rerun is not None:
        from videodepth_ros.view.rerun_log import check_target

        check_target(args.rerun)
