# SPDX-License-Identifier: Apache-2.0
"""``videodepth run-bag``: streaming depth for the images of a bag, as fast as it goes."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import (
    add_command,
    add_network,
    float_from_zero,
    positive_float,
    positive_int,
)
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.core.errors import BagError
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.stream.feature_mode import FEATURE_MODES, is_enabled

if TYPE_CHECKING:
    from videodepth_ros.cli.options import Commands
    from videodepth_ros.cli.sequence import CloudSettings
    from videodepth_ros.engines.engine import Engine
    from videodepth_ros.stream.session import DepthSession


@dataclass(frozen=True)
class RunFacts:
    """What became of a bag.

    images       in the bag
    frames       depth maps written
    seconds      wall time, opening of the engine included
    rate_hz      frames a second while they were computed, reading and writing included
    rejected     frames that could not be computed; ``rejections`` says why, each reason once
    resets       how often the stream started afresh, by reason
    lost         what could not be read or decoded of the input, in words
    outputs      files and folders that were written
    """

    images: int
    frames: int
    seconds: float
    rate_hz: float | None
    rejected: int
    rejections: tuple[str, ...]
    resets: dict[str, int]
    lost: str | None
    interrupted: bool
    model: str
    engine: str | None
    network_size: str | None
    scale_source: str | None
    topics: dict[str, int]
    outputs: tuple[str, ...]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        'run-bag',
        'compute depth for the images of a bag, as fast as it goes',
        'Reads ROS 1 and ROS 2 bags, raw or compressed images. Writes an mcap bag with\n'
        'videodepth/depth/image (32FC1, metres) and videodepth/depth/camera_info under the\n'
        'headers of the images. Ctrl-C ends it; what has been written stays readable.',
        (
            'run-bag drive.bag depth',
            'run-bag scene depth --points --max-range-m 10',
            'run-bag robot out --image-topic /front/image_raw --model flashdepth-s',
        ),
    )
    parser.add_argument('input', metavar='IN_BAG', help='bag to read')
    parser.add_argument('output', metavar='OUT_BAG', help='folder to write, which must not exist')
    add_network(parser)
    parser.add_argument(
        '--image-topic',
        metavar='T',
        help='images (default: the only image topic that is not depth)',
    )
    parser.add_argument(
        '--camera-info-topic',
        metavar='T',
        help='calibration; none to do without, where it does not fit (default: '
        'camera_info beside the images)',
    )
    parser.add_argument(
        '--output',
        dest='depth_size',
        choices=('camera', 'network'),
        default='camera',
        help='size of the depth (default: camera)',
    )
    parser.add_argument(
        '--max-pixels',
        type=positive_int,
        default=0,
        metavar='N',
        help="budget for the network's size (default: the model's own)",
    )
    parser.add_argument(
        '--max-range-m',
        type=float_from_zero,
        default=0.0,
        metavar='M',
        help='nothing was hit beyond this; 0: no limit (default: 0)',
    )
    parser.add_argument(
        '--edge-ratio',
        type=float_from_zero,
        default=1.25,
        metavar='R',
        help='neighbours whose depths differ by more are two surfaces, and what '
        'hangs in between is unknown; 0: keep it (default: 1.25)',
    )
    parser.add_argument(
        '--max-gap-s',
        type=positive_float,
        default=2.0,
        metavar='S',
        help='a longer step between stamps starts afresh (default: 2)',
    )
    parser.add_argument(
        '--scale-factor',
        type=positive_float,
        default=1.0,
        metavar='F',
        help='multiplies every depth (default: 1)',
    )
    parser.add_argument(
        '--guided-edges',
        choices=FEATURE_MODES,
        default='auto',
        help='lay the edges of depth on those of the image, where it is finer '
        'than the network (default: auto, for models whose own are soft)',
    )
    parser.add_argument(
        '--steady',
        choices=FEATURE_MODES,
        default='auto',
        help='keep depth steady from frame to frame by corners that are '
        'followed (default: auto, for models whose scale drifts)',
    )
    parser.add_argument('--points', action='store_true', help='also write videodepth/depth/points')
    parser.add_argument(
        '--stride',
        type=positive_int,
        default=4,
        metavar='N',
        help='one point for so many rows and columns (default: 4)',
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
    from tqdm import tqdm

    from videodepth_ros.bags.camera_topics import find_camera_topics
    from videodepth_ros.bags.frames import frames
    from videodepth_ros.bags.reader import open_bag
    from videodepth_ros.bags.writer import BagWriter
    from videodepth_ros.cli.sequence import stream

    started_s = time.monotonic()
    session = _session(args)
    try:
        with (
            open_bag(args.input) as bag,
            BagWriter(args.output) as writer,
            Interruption() as interruption,
        ):
            topics = find_camera_topics(bag.topics, args.image_topic, args.camera_info_topic)
            images = tqdm(
                frames(bag, topics.image.name, args.camera_info_topic),
                total=topics.image.count,
                unit='frame',
                disable=None,
            )
            tally = stream(interruption.iterate(images), session, writer, _cloud(args))
            if not tally.frames and not interruption.requested:
                why = '; '.join([*tally.rejections, *filter(None, [bag.lost])])
                raise BagError(f'no image of {args.input} became depth: {why or "it has none"}')
        spec = session.spec
    finally:
        session.close()
    facts = RunFacts(
        images=topics.image.count,
        frames=tally.frames,
        seconds=round(time.monotonic() - started_s, 3),
        rate_hz=tally.rate_hz,
        rejected=tally.rejected,
        rejections=tuple(tally.rejections),
        resets=dict(tally.resets),
        lost=bag.lost,
        interrupted=interruption.requested,
        model=args.model,
        engine=f'{spec.engine} on {spec.device}' if spec else None,
        network_size=f'{spec.width}x{spec.height}' if spec else None,
        scale_source=tally.scale_source,
        topics=dict(tally.topics),
        outputs=(str(Path(args.output)),),
    )
    print('\n'.join(_lines(facts)))
    return outcome(facts, ok=not interruption.requested)


def _session(args: argparse.Namespace) -> DepthSession:
    from videodepth_ros.engines.open import open_engine
    from videodepth_ros.models.catalogue import card, weights_path
    from videodepth_ros.stream.session import DepthSession, SessionSettings

    model = card(args.model)
    weights_path(model)  # raises now, rather than at the first image, where there are none
    if model.notice:
        print(model.notice, file=sys.stderr)

    def open_now(width: int, height: int) -> Engine:
        print(
            f'opening {args.model} at {width}x{height}; the first time its graph is built ...',
            file=sys.stderr,
            flush=True,
        )
        return open_engine(args.model, args.engine, width, height)

    return DepthSession(
        model,
        open_now,
        SessionSettings(
            max_gap_s=args.max_gap_s,
            max_pixels=args.max_pixels,
            output=args.depth_size,
            max_range_m=args.max_range_m,
            edge_ratio=args.edge_ratio,
            scale_factor=args.scale_factor,
            guided=is_enabled(args.guided_edges, model.soft),
            steady=is_enabled(args.steady, model.drifts),
        ),
    )


def _cloud(args: argparse.Namespace) -> CloudSettings | None:
    from videodepth_ros.cli.sequence import CloudSettings

    if not args.points:
        return None
    return CloudSettings(args.stride, args.max_range_m or float('inf'))


def _lines(facts: RunFacts) -> list[str]:
    rate = f', {facts.rate_hz:.1f} Hz' if facts.rate_hz else ''
    lines = [
        f'{facts.outputs[0]}: {facts.frames} frames in {facts.seconds:.1f} s{rate} '
        f'({facts.model} at {facts.network_size}, {facts.engine}, '
        f'scale from {facts.scale_source})'
    ]
    lines += [f'started afresh {count} times: {reason}' for reason, count in facts.resets.items()]
    if facts.rejected:
        lines += [
            f'{facts.rejected} frames could not be computed:',
            *(f'  {reason}' for reason in facts.rejections),
        ]
    if facts.lost:
        lines.append(f'lost: {facts.lost}')
    if facts.interrupted:
        lines.append('interrupted: the output ends here, and is readable')
    return lines
