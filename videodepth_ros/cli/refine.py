# SPDX-License-Identifier: Apache-2.0
"""``videodepth refine``: consistent depth, intrinsics and camera poses of a recorded camera."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.bags.camera_topics import NO_CAMERA_INFO
from videodepth_ros.cli.options import (
    add_command,
    engine_name,
    float_from_zero,
    positive_int,
    whole_number,
)
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.interruption import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable

    from tqdm import tqdm

    from videodepth_ros.cli.options import Commands
    from videodepth_ros.core.progress import Progress
    from videodepth_ros.refine.facts import RefineFacts
    from videodepth_ros.refine.settings import RefineSettings

METHODS = ('align3r', 'rollingdepth', 'coalign')
PAIRS = ('geometric', 'align3r', 'none')
ENCODINGS = ('32FC1', '16UC1', 'compressed')
PRESETS = ('fast', 'fast1024', 'full', 'paper')
PER_MILLE = 1000


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        'refine',
        'turn a bag into consistent depth and camera poses, offline',
        'Begins with the depth that a prior says of each frame, and makes the whole recording\n'
        'agree. OUT_BAG becomes a folder with an mcap bag (depth, camera_info, confidence, /tf,\n'
        'path, odometry), trajectory.tum, cloud.ply, preview.mp4 and report.html. The plan is\n'
        'printed first. A run that was ended, in whatever way, goes on when it is called again.',
        (
            'refine drive.mcap refined',
            'refine rgbd refined --prior bag',
            'refine robot refined --prior depth-pro --stride 3 --end-s 60',
            'refine scene refined --method coalign --json refined.json',
        ),
    )
    parser.add_argument('input', metavar='IN_BAG', help='bag to read')
    parser.add_argument('output', metavar='OUT_BAG', help='folder to write, which must not exist')
    _add_method(parser)
    _add_selection(parser)
    _add_results(parser)
    parser.set_defaults(run=_run)


def _add_method(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--method',
        choices=METHODS,
        default='align3r',
        help='global alignment of pairs of frames (align3r), diffusion over '
        'snippets (rollingdepth), or snippets of the prior, co-aligned '
        '(coalign) (default: align3r)',
    )
    parser.add_argument(
        '--prior',
        default='nano',
        metavar='P',
        help='whose depth it begins with: nano, bag (a depth topic of the bag), '
        'depth-pro, depth-anything-v2-{small,base,large}, flashdepth-s, ... '
        '(default: nano)',
    )
    parser.add_argument(
        '--pairs',
        '--poses',
        choices=PAIRS,
        default=None,
        help='what makes the point maps of pairs, and so the poses: geometry and '
        'the prior, the network of Align3R, or nothing (default: geometric '
        'with --method align3r, else none)',
    )
    parser.add_argument(
        '--preset',
        default='fast',
        choices=PRESETS,
        help='of RollingDepth, as in its release (default: fast)',
    )
    parser.add_argument(
        '--engine',
        default='auto',
        type=engine_name,
        metavar='E',
        help='what runs a streaming prior: auto, onnx or torch (default: auto)',
    )
    parser.add_argument(
        '--path-length-m',
        type=float_from_zero,
        default=0.0,
        metavar='M',
        help="known length of the camera's path; it then sets the scale",
    )
    parser.add_argument(
        '--no-odometry',
        dest='odometry',
        action='store_false',
        help='leave out what odometry says (a nav_msgs/Odometry topic, or the '
        'frame odom above the camera in /tf)',
    )
    parser.add_argument(
        '--clip',
        type=positive_int,
        default=10,
        metavar='N',
        help='frames from one keyframe to the next (default: 10)',
    )
    parser.add_argument(
        '--max-pixels',
        type=positive_int,
        default=320 * 240,
        metavar='N',
        help='budget of the depth maps that are aligned (default: 76800)',
    )
    parser.add_argument(
        '--processes',
        type=whole_number,
        default=0,
        metavar='N',
        help='that align clips; 0: one for each core (default: 0)',
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--image-topic',
        metavar='T',
        action='append',
        help='images; given several times, each camera has a folder of its own '
        'in OUT_BAG (default: the only image topic that is not depth)',
    )
    parser.add_argument(
        '--camera-info-topic',
        metavar='T',
        help='calibration; none to do without, where it does not fit (default: '
        'camera_info beside the images)',
    )
    parser.add_argument(
        '--depth-topic', metavar='T', help='depth for --prior bag (default: the only depth topic)'
    )
    parser.add_argument(
        '--start-s',
        '--start',
        type=float_from_zero,
        default=0.0,
        metavar='S',
        help='after the first image (default: 0)',
    )
    parser.add_argument(
        '--end-s',
        '--end',
        type=float_from_zero,
        default=0.0,
        metavar='S',
        help='after the first image; 0: to the end (default: 0)',
    )
    parser.add_argument(
        '--stride',
        type=positive_int,
        default=1,
        metavar='N',
        help='use every N-th frame (default: 1)',
    )
    parser.add_argument(
        '--frames',
        type=whole_number,
        default=0,
        metavar='N',
        help='use at most so many; 0: all (default: 0)',
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--max-range-m',
        type=float_from_zero,
        default=0.0,
        metavar='M',
        help='nothing was hit beyond this; 0: no limit (default: 0)',
    )
    parser.add_argument(
        '--depth-encoding',
        choices=ENCODINGS,
        default='32FC1',
        help='metres, millimetres up to 65.5 m, or compressed metres; the last '
        'two have no sky, which is unknown in them (default: 32FC1)',
    )
    parser.add_argument(
        '--copy-topics', action='store_true', help='also copy the topics of IN_BAG'
    )
    parser.add_argument(
        '--voxel-m',
        type=float_from_zero,
        default=0.0,
        metavar='M',
        help='voxels that thin cloud.ply; 0: by its extent (default: 0)',
    )


@dataclass(frozen=True)
class CamerasFacts:
    """What became of several cameras of one bag, each in a folder of its own."""

    frames: int
    seconds: float
    outputs: tuple[str, ...]
    cameras: dict[str, RefineFacts]


def _run(args: argparse.Namespace) -> Outcome:
    topics = list(dict.fromkeys(args.image_topic or [None]))
    if len(topics) == 1:
        facts = _refine(args, topics[0], Path(args.output))
        print('\n'.join(_lines(facts)))
        return outcome(facts)
    if args.camera_info_topic not in (None, NO_CAMERA_INFO):
        raise ConfigError(
            '--camera-info-topic is that of one camera; leave it out, it is found '
            'beside each image topic'
        )
    cameras = {}
    for topic in topics:
        name = topic.strip('/').replace('/', '_')
        cameras[topic] = _refine(args, topic, Path(args.output) / name)
        print(f'{topic}: ' + '\n'.join(_lines(cameras[topic])))
    return outcome(
        CamerasFacts(
            sum(one.frames for one in cameras.values()),
            sum(one.seconds for one in cameras.values()),
            tuple(path for one in cameras.values() for path in one.outputs),
            cameras,
        )
    )


def _refine(args: argparse.Namespace, image_topic: str | None, output: Path) -> RefineFacts:
    """Refine one camera with a bar of progress."""
    from tqdm import tqdm

    from videodepth_ros.refine.job import refine_bag

    settings = _settings(args, image_topic)
    with (
        Interruption() as interruption,
        tqdm(
            total=PER_MILLE,
            disable=None,
            bar_format='{desc:<10} {percentage:3.0f} % |{bar}| {postfix}',
        ) as bar,
    ):
        return refine_bag(
            Path(args.input),
            output,
            settings,
            _shown(bar),
            lambda: interruption.requested,
            lambda line: bar.write(line, file=sys.stderr),
        )


def _settings(args: argparse.Namespace, image_topic: str | None) -> RefineSettings:
    from videodepth_ros.refine.image_sequence import FrameRange
    from videodepth_ros.refine.settings import Method, Pairs, RefineSettings
    from videodepth_ros.results.bag import DepthEncoding

    return RefineSettings(
        method=Method(args.method),
        prior=args.prior,
        preset=args.preset,
        pairs=Pairs(args.pairs) if args.pairs else None,
        engine=args.engine,
        image_topic=image_topic,
        camera_info_topic=args.camera_info_topic,
        depth_topic=args.depth_topic,
        selection=FrameRange(args.start_s, args.end_s, args.stride, args.frames),
        max_pixels=args.max_pixels,
        clip=args.clip,
        processes=args.processes,
        path_length_m=args.path_length_m,
        odometry=args.odometry,
        max_range_m=args.max_range_m,
        depth_encoding=DepthEncoding(args.depth_encoding),
        copy_topics=args.copy_topics,
        voxel_m=args.voxel_m,
    )


def _shown(bar: tqdm[None]) -> Callable[[Progress], None]:
    """Return what shows progress on a bar."""

    def show(progress: Progress) -> None:
        bar.set_description_str(progress.stage, refresh=False)
        if progress.seconds_left is not None:
            bar.set_postfix_str(f'about {progress.seconds_left:.0f} s left', refresh=False)
        bar.update(int(PER_MILLE * progress.fraction) - bar.n)

    return show


def _lines(facts: RefineFacts) -> list[str]:
    path = '' if facts.path_length_m is None else f', path {facts.path_length_m:.2f} m'
    lines = [
        f'{facts.frames} frames in {facts.seconds:.1f} s; {facts.method} with '
        f'{facts.prior}, pairs {facts.pairs}; scale from {facts.scale_source}{path}'
    ]
    if facts.lost:
        lines.append(f'lost: {facts.lost}')
    lines += [f'note: {note}' for note in facts.notes]
    return [*lines, *(f'  {output}' for output in facts.outputs)]
