# SPDX-License-Identifier: Apache-2.0
"""``videodepth sample``: a synthetic bag with images and ground truth."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from videodepth_ros.cli.console import progress
from videodepth_ros.cli.flags import add_flags
from videodepth_ros.cli.options import describe, size
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.core.options import option

if TYPE_CHECKING:
    from videodepth_ros.bags.writer import BagWriter
    from videodepth_ros.synthetic.render import SyntheticFrame

MIN_SIDE_PX = 16
"""Shortest side of an image that is rendered [px]."""

MAP, LINK, OPTICAL = 'map', 'camera_link', 'camera_optical_frame'


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Scene and camera of a sample."""

    scene: str = option(
        'living_room',
        'Scene: living_room, kitchen, desk, corridor, office, workshop, street, courtyard, '
        'terrain or flight; or a family that generates a scene from the seed: rooms, kitchens, '
        'corridors, offices, halls, desks, homes, streets, courtyards, wilds, aerials, studios, '
        'car_parks or alleys.',
    )
    seed: int = option(0, 'Seed of the scene.', minimum=0, maximum=2**31 - 1)
    seconds: float = option(5.0, 'Length of the recording.', unit='s', minimum=1e-3, maximum=1e5)
    rate_hz: float = option(15.0, 'Frame rate.', unit='Hz', minimum=1e-3, maximum=1e4)


@dataclass(frozen=True)
class SampleFacts:
    """The written bag."""

    scene: str
    seed: int
    frames: int
    size: str
    rate_hz: float
    interrupted: bool
    outputs: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'Writes /camera/image_raw, /camera/camera_info, /ground_truth/depth/image (exact Z),\n'
        '/ground_truth/pose, /tf and /tf_static. The same arguments produce the same bag.',
        'sample scene',
        'sample street --scene street --seconds 10 --size 1280x720',
    )
    parser.add_argument('output', metavar='OUT_BAG', help='folder to write; it must not exist')
    add_flags(parser, SampleOptions)
    parser.add_argument(
        '--size',
        type=size,
        default=(640, 480),
        metavar='WxH',
        help='Size of the images. (default: 640x480)',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Render a scene into a bag."""
    facts = make_sample(args.output, args.scene, args.seed, args.seconds, args.rate_hz, args.size)
    print(
        f'{args.output}: {facts.frames} frames of {facts.scene} at {facts.size}, '
        f'{facts.rate_hz:g} Hz' + (', interrupted' if facts.interrupted else '')
    )
    return outcome(facts, ok=not facts.interrupted)


def make_sample(
    path: str, scene: str, seed: int, seconds: float, rate_hz: float, size_px: tuple[int, int]
) -> SampleFacts:
    """Render a scene into the bag ``path``, with a progress bar.

    Raise ConfigError for an unknown scene or a size below `MIN_SIDE_PX`, BagError if the bag
    exists or cannot be written.
    """
    from videodepth_ros.bags.writer import BagWriter
    from videodepth_ros.synthetic.scenes import render_scene

    width, height = size_px
    if min(size_px) < MIN_SIDE_PX:
        raise ConfigError(
            f'--size {width}x{height} is too small; give at least {MIN_SIDE_PX}x{MIN_SIDE_PX}'
        )
    frames = max(1, round(seconds * rate_hz))
    rendered = render_scene(scene, seed, frames, width, height, rate_hz)
    first = next(rendered)  # raises for an unknown scene before anything is written
    with BagWriter(path) as writer, Interruption() as interruption:
        written = write_sample(
            writer, interruption.iterate(progress(chain([first], rendered), frames, 'render'))
        )
    return SampleFacts(
        scene, seed, written, f'{width}x{height}', rate_hz, interruption.requested, (path,)
    )


def write_sample(writer: BagWriter, frames: Iterable[SyntheticFrame]) -> int:
    """Write frames with their ground truth; return their number."""
    import numpy as np

    from videodepth_ros.evaluation.true_depth import TRUE_DEPTH

    # REP-103: x of the body points forward and z up; z of the optical frame forward, y down.
    T_link_optical = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    count = 0
    for frame in frames:
        stamp_ns = frame.stamp_ns
        if count == 0:
            writer.write_transform(stamp_ns, LINK, OPTICAL, T_link_optical, static=True)
        writer.write_image('camera/image_raw', stamp_ns, OPTICAL, frame.image)
        writer.write_camera_info('camera/camera_info', stamp_ns, OPTICAL, frame.camera)
        writer.write_depth(TRUE_DEPTH, stamp_ns, OPTICAL, frame.depth_m)
        writer.write_pose('ground_truth/pose', stamp_ns, MAP, frame.T_map_cam)
        writer.write_transform(stamp_ns, MAP, LINK, frame.T_map_cam @ T_link_optical.T)
        count += 1
    return count
