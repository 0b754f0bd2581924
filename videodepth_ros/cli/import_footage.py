# SPDX-License-Identifier: Apache-2.0
"""``videodepth import``: convert a video or a folder of images to a bag."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class ImportFacts:
    """The written bag.

    lost   description of frames that could not be read
    notes  on stamps and pixels
    """

    frames: int
    seconds: float
    calibrated: bool
    interrupted: bool
    lost: str | None
    notes: tuple[str, ...]
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
        help='frame rate (default: that of the video; of a folder the stamps in the names of its '
        'files, such as 1305031102.175304.png, or else 30)',
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
    for note in facts.notes:
        print(f'note: {note}')
    return outcome(facts, ok=not facts.interrupted)


def import_footage(
    footage: Footage, path: str, fx: float | None, hfov_deg: float | None
) -> ImportFacts:
    """Write footage into the bag ``path``, with a progress bar.

    fx, hfov_deg  focal length in pixels or horizontal field of view; neither: uncalibrated

    Raise InputError if an image cannot be read, BagError if the bag cannot be written.
    """
    from videodepth_ros.bags.writer import BagWriter

    count, first_ns, last_ns = 0, 0, 0
    sizes: Counter[str] = Counter()
    aspect = footage.pixel_aspect
    with BagWriter(path) as writer, Interruption() as interruption:
        for shot in interruption.iterate(progress(footage.frames(), footage.count, 'import')):
            _write(writer, shot, _camera(shot, fx, hfov_deg, aspect))
            first_ns = first_ns if count else shot.stamp_ns
            count, last_ns = count + 1, shot.stamp_ns
            sizes[f'{shot.width}x{shot.height}'] += 1
        if not count:
            raise InputError(f'{footage.path} has no readable frame')
    last_s = (last_ns - first_ns) / 1e9
    lost = None if interruption.requested else footage.lost(count, last_s)
    notes = footage.notes
    if len(sizes) > 1:
        described = ', '.join(f'{many} of {size}' for size, many in sizes.most_common())
        notes = (*notes, f'the images have several sizes: {described}; import those of one alone')
    if aspect != 1.0:
        camera_info = 'in camera_info fy is fx times that'
        notes = (
            *notes,
            f'the pixels of {footage.path.name} are {aspect:g} times as wide as high: '
            + (
                camera_info if fx or hfov_deg else 'give --fx or --hfov-deg, or depth is distorted'
            ),
        )
    return ImportFacts(
        count, round(last_s, 3), bool(fx or hfov_deg), interruption.requested, lost, notes, (path,)
    )


def _write(writer: BagWriter, shot: FootageFrame, camera: Intrinsics | None) -> None:
    writer.write_compressed_image(IMAGE, shot.stamp_ns, OPTICAL, shot.data, shot.format)
    if camera:
        writer.write_camera_info(CAMERA_INFO, shot.stamp_ns, OPTICAL, camera)


def _camera(
    shot: FootageFrame, fx: float | None, hfov_deg: float | None, pixel_aspect: float
) -> Intrinsics | None:
    """Return centred intrinsics of a focal length or field of view; None without one."""
    from videodepth_ros.geometry.camera import Intrinsics

    if hfov_deg:
        fx = shot.width / 2 / math.tan(math.radians(hfov_deg) / 2)
    if not fx:
        return None
    return replace(Intrinsics.centred(shot.width, shot.height, fx), fy=fx * pixel_aspect)
