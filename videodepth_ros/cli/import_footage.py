# SPDX-License-Identifier: Apache-2.0
"""``videodepth import``: convert a video or a folder of images to a bag."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.console import progress
from videodepth_ros.cli.options import describe, positive_float
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.core.errors import InputError
from videodepth_ros.core.interruption import Interruption

if TYPE_CHECKING:
    from videodepth_ros.bags.footage import Footage, FootageFrame
    from videodepth_ros.bags.writer import BagWriter
    from videodepth_ros.geometry.camera import Intrinsics

IMAGE, CAMERA_INFO = 'camera/image_raw/compressed', 'camera/camera_info'
OPTICAL = 'camera_optical_frame'
FIRST_STAMP_NS = 10**9
"""Stamp of the first image [ns]; 0 means an unset time in ROS."""


@dataclass(frozen=True)
class ImportFacts:
    """The written bag; ``lost`` describes frames that could not be read."""

    frames: int
    seconds: float
    calibrated: bool
    interrupted: bool
    lost: str | None
    outputs: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        f'Writes /{IMAGE}, and /{CAMERA_INFO} if a focal length is\n'
        'given. Frames of a video are stored as JPEG of high quality. JPEG and PNG files are\n'
        'stored unchanged, except for their rotation, in the order of the numbers in their names.',
        'import clip.mp4 clip && videodepth run-bag clip depth',
        'import frames/ drive --rate-hz 10 --hfov-deg 90',
    )
    parser.add_argument('input', metavar='VIDEO|FOLDER', help='video or folder of images to read')
    parser.add_argument('output', metavar='OUT_BAG', help='folder to write; it must not exist')
    parser.add_argument(
        '--rate-hz',
        type=positive_float,
        metavar='HZ',
        help='frame rate (default: that of the video; 30 for a folder)',
    )
    lens = parser.add_mutually_exclusive_group()
    lens.add_argument(
        '--fx',
        type=positive_float,
        metavar='PX',
        help='focal length in pixels; depth is metric only with a focal length',
    )
    lens.add_argument(
        '--hfov-deg',
        type=positive_float,
        metavar='DEG',
        help='horizontal field of view, instead of --fx',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Convert footage to a bag."""
    from videodepth_ros.bags.footage import open_footage

    if args.hfov_deg and args.hfov_deg >= 180:
        raise InputError(
            f'--hfov-deg {args.hfov_deg:g} is not below 180; rectify the images of a fisheye first'
        )
    footage = open_footage(Path(args.input), args.rate_hz)
    facts = import_footage(footage, args.output, args.fx, args.hfov_deg)
    print(
        f'{args.output}: {facts.frames} frames, {facts.seconds:.1f} s, '
        + ('with camera_info' if facts.calibrated else 'no camera_info')
        + (', interrupted' if facts.interrupted else '')
    )
    if facts.lost:
        print(f'lost: {facts.lost}')
    return outcome(facts, ok=not facts.interrupted)


def import_footage(
    footage: Footage, path: str, fx: float | None, hfov_deg: float | None
) -> ImportFacts:
    """Write footage into the bag ``path``, with a progress bar.

    fx, hfov_deg  focal length in pixels or horizontal field of view; neither: uncalibrated

    Raise InputError if an image cannot be read, BagError if the bag cannot be written.
    """
    from videodepth_ros.bags.writer import BagWriter

    count, last_s = 0, 0.0
    with BagWriter(path) as writer, Interruption() as interruption:
        for shot in interruption.iterate(progress(footage.frames(), footage.count or None)):
            _write(writer, shot, _camera(shot, fx, hfov_deg))
            count, last_s = count + 1, shot.time_s
        if not count:
            raise InputError(f'{footage.path} has no readable frame')
    lost = (
        None
        if interruption.requested or count >= footage.count
        else (
            f'{footage.count - count} of {footage.count} frames of {footage.path}: it is '
            f'damaged or truncated {last_s:.2f} s after its start'
        )
    )
    return ImportFacts(
        count, round(last_s, 3), bool(fx or hfov_deg), interruption.requested, lost, (path,)
    )


def _write(writer: BagWriter, shot: FootageFrame, camera: Intrinsics | None) -> None:
    stamp_ns = FIRST_STAMP_NS + round(shot.time_s * 1e9)
    writer.write_compressed_image(IMAGE, stamp_ns, OPTICAL, shot.data, shot.format)
    if camera:
        writer.write_camera_info(CAMERA_INFO, stamp_ns, OPTICAL, camera)


def _camera(shot: FootageFrame, fx: float | None, hfov_deg: float | None) -> Intrinsics | None:
    """Return centred intrinsics of a focal length or field of view; None without one."""
    from videodepth_ros.geometry.camera import Intrinsics

    if hfov_deg:
        fx = shot.width / 2 / math.tan(math.radians(hfov_deg) / 2)
    return Intrinsics.centred(shot.width, shot.height, fx) if fx else None
