# SPDX-License-Identifier: Apache-2.0
"""``videodepth refine``: consistent depth, intrinsics and camera poses of a recording."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.bags.camera_topics import NO_CAMERA_INFO
from videodepth_ros.cli.console import ProgressDisplay, log
from videodepth_ros.cli.flags import add_flags, options_from
from videodepth_ros.cli.options import describe
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.cli.rerun import add_rerun_flag, check_rerun, log_to_rerun
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.refine.metric_scale import MetricScaleSource
from videodepth_ros.refine.settings import RefineSettings

if TYPE_CHECKING:
    from videodepth_ros.refine.facts import RefineFacts


SHOWN_S = 0.05
"""Time of the shortest stage that is printed."""


@dataclass(frozen=True)
class CamerasFacts:
    """Results of several cameras of one bag, each in its own folder."""

    frames: int
    seconds: float
    outputs: tuple[str, ...]
    cameras: dict[str, RefineFacts]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'Starts from the depth of a prior and makes it consistent over the whole recording.\n'
        'OUT_BAG becomes a folder with an mcap bag (depth, camera_info, confidence, /tf, path,\n'
        'odometry), trajectory.tum, cloud.ply, map.ply (a mesh), preview.mp4 and report.html.\n'
        'The plan is printed first. An interrupted run resumes when the command is repeated.',
        'refine drive.mcap refined',
        'refine rgbd refined --prior bag',
        'refine robot refined --prior depth-pro --stride 3 --end-s 60',
        'refine scene refined --method coalign --json refined.json',
    )
    parser.add_argument('in_bag', metavar='IN_BAG', help='bag to read')
    parser.add_argument('out_bag', metavar='OUT_BAG', help='folder to write; it must not exist')
    add_flags(parser, RefineSettings, repeatable=('image_topic',))
    add_rerun_flag(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Refine the cameras of a bag."""
    topics = list(dict.fromkeys(args.image_topic or ['']))
    check_rerun(args)
    if len(topics) == 1:
        facts = _refine(args, topics[0], Path(args.out_bag))
        log_to_rerun(args, Path(args.out_bag))
        print('\n'.join(_lines(facts)))
        return outcome(facts)
    if args.rerun is not None:
        raise ConfigError(
            '--rerun is for one camera: run `videodepth view --rerun` on each folder'
        )
    if args.camera_info_topic not in ('', NO_CAMERA_INFO):
        raise ConfigError(
            '--camera-info-topic applies to one camera; omit it, the topic is found '
            'beside each image topic'
        )
    cameras = {}
    for topic in topics:
        name = topic.strip('/').replace('/', '_')
        cameras[topic] = _refine(args, topic, Path(args.out_bag) / name)
        print(f'{topic}: ' + '\n'.join(_lines(cameras[topic])))
    return outcome(
        CamerasFacts(
            sum(one.frames for one in cameras.values()),
            sum(one.seconds for one in cameras.values()),
            tuple(path for one in cameras.values() for path in one.outputs),
            cameras,
        )
    )


def _refine(args: argparse.Namespace, image_topic: str, output: Path) -> RefineFacts:
    """Refine one camera and show the progress."""
    from videodepth_ros.refine.job import refine_bag

    settings = options_from(args, RefineSettings, image_topic=image_topic)
    with Interruption() as interruption, ProgressDisplay() as display:
        return refine_bag(
            Path(args.in_bag),
            output,
            settings,
            display.show,
            lambda: interruption.requested,
            log.info,
        )


def _lines(facts: RefineFacts) -> list[str]:
    unit = 'm' if MetricScaleSource(facts.scale_source).is_metric else 'units'
    path = '' if facts.path_length_m is None else f', path {facts.path_length_m:.2f} {unit}'
    lines = [
        f'{facts.frames} frames in {facts.seconds:.1f} s; {facts.method} with '
        f'{facts.prior}, pairs {facts.pairs}; scale from {facts.scale_source}{path}'
    ]
    if facts.stages:
        cpu_s = sum(one.cpu_seconds for one in facts.stages)
        names = ', '.join(str(one) for one in facts.stages if one.seconds >= SHOWN_S)
        lines.append(f'stages: {names}; {cpu_s:.1f} s of processor time')
    if facts.lost:
        lines.append(f'lost: {facts.lost}')
    lines += [f'note: {note}' for note in facts.notes]
    return [*lines, *(f'  {output}' for output in facts.outputs)]
