# SPDX-License-Identifier: Apache-2.0
"""``videodepth import``: a video or a folder of images as a bag."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import add_command, positive_float
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.core.errors import InputError
from videodepth_ros.core.interruption import Interruption

if TYPE_CHECKING:
    from videodepth_ros.bags.footage import Footage, FootageFrame
    from videodepth_ros.bags.writer import BagWriter
    from videodepth_ros.cli.options import Commands
    from videodepth_ros.geometry.camera import Intrinsics

IMAGE, CAMERA_INFO = 'camera/image_raw/compressed', 'camera/camera_info'
OPTICAL = 'camera_optical_frame'
FIRST_STAMP_NS = 10**9
"""Not zero, which in ROS says that there is no time."""


@dataclass(frozen=True)
class ImportFacts:
    """What was written; ``lost`` says what could not be read, in words."""

    frames: int
    seconds: float
    calibrated: bool
    interrupted: bool
    lost: str | None
    outputs: tuple[str, ...]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        'import',
        'make a bag of a video or of a folder of images',
        f'Writes /{IMAGE}, and /{CAMERA_INFO} where a lens is given. A video is\n'
        'stored as JPEG of high quality, JPEG and PNG files as they are but upright, in the\n'
        'order of the numbers in their names.',
        (
            'import clip.mp4 clip && videodepth run-bag clip depth',
            'import frames/ drive --rate-hz 10 --hfov-deg 90',
        ),
    )
    parser.add_argument('input', metavar='VIDEO|FOLDER')
    parser.add_argument('output', metavar='OUT_BAG', help='folder to write, which must not exist')
    parser.add_argument(
        '--rate-hz',
        type=positive_float,
        metavar='HZ',
        help='images a second (default: what the video says; 30 for a folder)',
    )
    lens = parser.add_mutually_exclusive_group()
    lens.add_argument(
        '--fx',
        type=positive_float,
        metavar='PX',
        help='focal length in pixels: depth is metric only where the lens is known',
    )
    lens.add_argument(
        '--hfov-deg',
        type=positive_float,
        metavar='DEG',
        help='horizontal field of view in its place',
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
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

    fx, hfov_deg  focal length in pixels or horizontal field of view; neither: not known
    raises        InputError if an image cannot be read, BagError if the bag cannot be written
    """
    from tqdm import tqdm

    from videodepth_ros.bags.writer import BagWriter

    count, last_s = 0, 0.0
    with BagWriter(path) as writer, Interruption() as interruption:
        for shot in interruption.iterate(
            tqdm(footage.frames(), total=footage.count or None, unit='frame', disable=None)
        ):
            _write(writer, shot, _camera(shot, fx, hfov_deg))
            count, last_s = count + 1, shot.time_s
        if not count:
            raise InputError(f'{footage.path} holds no frame that can be read')
    lost = (
        None
        if interruption.requested or count >= footage.count
        else (
            f'{footage.count - count} of {footage.count} frames in {footage.path}: it is '
            f'damaged or cut off {last_s:.2f} s after its beginning'
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
    """Return the lens of which one figure is known; None if none is."""
    from videodepth_ros.geometry.camera import Intrinsics

    if hfov_deg:
        fx = shot.width / 2 / math.tan(math.radians(hfov_deg) / 2)
    return Intrinsics.centred(shot.width, shot.height, fx) if fx else None
