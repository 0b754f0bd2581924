# SPDX-License-Identifier: Apache-2.0
"""``videodepth sample``: a synthetic bag with images and ground truth."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import add_command, positive_float, size, whole_number
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.core.interruption import Interruption

if TYPE_CHECKING:
    from videodepth_ros.bags.writer import BagWriter
    from videodepth_ros.cli.options import Commands
    from videodepth_ros.synthetic.render import SyntheticFrame

MAP, LINK, OPTICAL = 'map', 'camera_link', 'camera_optical_frame'


@dataclass(frozen=True)
class SampleFacts:
    """What was written."""

    scene: str
    seed: int
    frames: int
    size: str
    rate_hz: float
    interrupted: bool
    outputs: tuple[str, ...]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        'sample',
        'render a synthetic scene into a bag, with ground truth',
        'Writes /camera/image_raw, /camera/camera_info, /ground_truth/depth/image (exact Z),\n'
        '/ground_truth/pose, /tf and /tf_static. The same arguments give the same bag.',
        ('sample scene', 'sample street --scene street --seconds 10 --size 1280x720'),
    )
    parser.add_argument('output', metavar='OUT_BAG', help='folder to write, which must not exist')
    parser.add_argument(
        '--scene',
        default='living_room',
        metavar='NAME',
        help='living_room, kitchen, desk, corridor, office, workshop, street, courtyard, terrain '
        'or flight; or a family that draws a scene from the seed: rooms, kitchens, corridors, '
        'offices, halls, desks, homes, streets, courtyards, wilds, aerials, studios, car_parks '
        'or alleys (default: living_room)',
    )
    parser.add_argument(
        '--seconds', type=positive_float, default=5.0, metavar='S', help='length (default: 5)'
    )
    parser.add_argument(
        '--size',
        type=size,
        default=(640, 480),
        metavar='WxH',
        help='of the images (default: 640x480)',
    )
    parser.add_argument(
        '--rate-hz',
        type=positive_float,
        default=15.0,
        metavar='HZ',
        help='images a second (default: 15)',
    )
    parser.add_argument('--seed', type=whole_number, default=0, metavar='N', help='default: 0')
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
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

    raises  ConfigError for an unknown scene, BagError if the bag exists or cannot be written
    """
    from tqdm import tqdm

    from videodepth_ros.bags.writer import BagWriter
    from videodepth_ros.synthetic.scenes import render_scene

    width, height = size_px
    frames = max(1, round(seconds * rate_hz))
    rendered = render_scene(scene, seed, frames, width, height, rate_hz)
    first = next(rendered)  # a wrong name of a scene ends here, before anything is written
    with BagWriter(path) as writer, Interruption() as interruption:
        written = write_sample(
            writer,
            interruption.iterate(
                tqdm(chain([first], rendered), total=frames, unit='frame', disable=None)
            ),
        )
    return SampleFacts(
        scene, seed, written, f'{width}x{height}', rate_hz, interruption.requested, (path,)
    )


def write_sample(writer: BagWriter, frames: Iterable[SyntheticFrame]) -> int:
    """Write frames with their truth and return how many there were."""
    import numpy as np

    # REP-103: the body looks along x with z up, its optical frame along z with y down.
    T_link_optical = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    count = 0
    for frame in frames:
        stamp_ns = frame.stamp_ns
        if count == 0:
            writer.write_transform(stamp_ns, LINK, OPTICAL, T_link_optical, static=True)
        writer.write_image('camera/image_raw', stamp_ns, OPTICAL, frame.image)
        writer.write_camera_info('camera/camera_info', stamp_ns, OPTICAL, frame.camera)
        writer.write_depth('ground_truth/depth/image', stamp_ns, OPTICAL, frame.depth_m)
        writer.write_pose('ground_truth/pose', stamp_ns, MAP, frame.T_map_cam)
        writer.write_transform(stamp_ns, MAP, LINK, frame.T_map_cam @ T_link_optical.T)
        count += 1
    return count
