# SPDX-License-Identifier: Apache-2.0
"""``videodepth run-bag``: streaming depth for the images of a bag, as fast as possible."""

from __future__ import annotations

import argparse
import itertools
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.bags.camera_options import CameraTopicOptions
from videodepth_ros.bags.output_options import OutputOptions
from videodepth_ros.cli.console import log, progress
from videodepth_ros.cli.flags import add_flags, options_from
from videodepth_ros.cli.options import describe
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.cli.rerun import add_rerun_flag, check_rerun, log_to_rerun
from videodepth_ros.core.errors import BagError
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.core.options import option
from videodepth_ros.stream.parameters import CloudParameters, StreamParameters, session_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from videodepth_ros.bags.camera_topics import CameraTopics
    from videodepth_ros.bags.reader import BagReader
    from videodepth_ros.cli.stream_bag import Tally
    from videodepth_ros.engines.engine import Engine
    from videodepth_ros.frames import Frame
    from videodepth_ros.results.depth_topics import PointOptions
    from videodepth_ros.scale.fusion import FusedScale
    from videodepth_ros.stream.session import DepthSession


@dataclass(frozen=True, kw_only=True)
class RunBagOptions(OutputOptions, CloudParameters, CameraTopicOptions, StreamParameters):
    """Options of the command; those of the stream are parameters of the live node too."""

    stride: int = option(1, 'Use every n-th frame.', minimum=1, maximum=10_000)


@dataclass(frozen=True)
class RunFacts:
    """Results of a run.

    images       in the bag
    frames       depth maps written
    seconds      wall time, including the opening of the engine
    rate_hz      frames per second from the first depth map on, including reading and writing
    rejected     frames that could not be computed; ``rejections`` has each reason once
    resets       resets of the recurrent state by reason
    lost         data of the input that could not be read or decoded
    notes        warnings on the choice of the input
    outputs      files and folders that were written
    duration_s   of the input, from its first message to the last; None: not indexed
    """

    images: int
    frames: int
    seconds: float
    rate_hz: float | None
    rejected: int
    rejections: tuple[str, ...]
    resets: dict[str, int]
    lost: str | None
    notes: tuple[str, ...]
    interrupted: bool
    model: str
    engine: str | None
    network_size: str | None
    scale_source: str | None
    topics: dict[str, int]
    outputs: tuple[str, ...]
    duration_s: float | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'Reads ROS 1 and ROS 2 bags with raw or compressed images. Writes an mcap bag with\n'
        'videodepth/depth/image (metres), camera_info, confidence and, on demand, points, with\n'
        'the headers of the images. Ctrl-C ends the run; the bag written so far is readable.',
        'run-bag drive.bag depth',
        'run-bag scene depth --points --max-range-m 10',
        'run-bag robot out --image-topic /front/image_raw --model flashdepth-s',
    )
    parser.add_argument('in_bag', metavar='IN_BAG', help='bag to read')
    parser.add_argument('out_bag', metavar='OUT_BAG', help='folder to write; it must not exist')
    add_flags(parser, RunBagOptions)
    add_rerun_flag(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Compute the depth of the images of a bag and print the facts."""
    check_rerun(args)
    with Interruption() as interruption:
        options = options_from(args, RunBagOptions)
        facts = run_bag(Path(args.in_bag), Path(args.out_bag), options, interruption)
    log_to_rerun(args, Path(args.out_bag))
    print('\n'.join(_lines(facts)))
    return outcome(facts, ok=not interruption.requested)


def run_bag(
    in_bag: Path, out_bag: Path, options: RunBagOptions, interruption: Interruption
) -> RunFacts:
    """Write the depth of the images of a bag to a new one.

    raises  BagError, ConfigError, ModelError or DeviceError with the next step in its message
    """
    from videodepth_ros.bags.camera_topics import find_camera_topics
    from videodepth_ros.bags.reader import open_bag
    from videodepth_ros.bags.writer import BagWriter
    from videodepth_ros.cli.stream_bag import stream
    from videodepth_ros.results.depth_topics import DepthTopics

    started_s = time.monotonic()
    with open_bag(in_bag) as bag:
        scale = _scale(options, bag)
        with (
            closing(_session(options, scale)) as session,
            BagWriter(out_bag, compression=options.compression) as writer,
        ):
            topics = find_camera_topics(bag.topics, options.image_topic, options.camera_info_topic)
            images = _frames(bag, topics, options, scale)
            outputs = DepthTopics(writer, options, _point_options(options))
            tally = stream(interruption.iterate(images), session, outputs)
            _check_any(tally, in_bag, bag.lost, interruption)
            spec = session.spec
    return RunFacts(
        topics.image.count,
        tally.frames,
        round(time.monotonic() - started_s, 3),
        tally.rate_hz,
        tally.rejected,
        tuple(tally.rejections),
        dict(tally.resets),
        bag.lost,
        (*topics.notes, *bag.notes),
        interruption.requested,
        options.model,
        f'{spec.engine} on {spec.device}' if spec else None,
        f'{spec.width}x{spec.height}' if spec else None,
        tally.scale_source,
        dict(tally.topics),
        (str(out_bag),),
        bag.duration_s,
    )


def _check_any(tally: Tally, bag: Path, lost: str | None, interruption: Interruption) -> None:
    """Raise BagError with the reasons if there is no depth map, unless it was interrupted."""
    if not tally.frames and not interruption.requested:
        why = '; '.join([*tally.rejections, *filter(None, [lost])])
        raise BagError(f'no depth of {bag}: {why or "it has no image"}')


def _frames(
    bag: BagReader, topics: CameraTopics, options: RunBagOptions, scale: FusedScale
) -> Iterator[Frame]:
    """Return every stride-th frame, each after the evidence of the scale that belongs to it."""
    from videodepth_ros.bags.frames import read_frames
    from videodepth_ros.bags.stamps import read_stamps, useful
    from videodepth_ros.cli.bag_scale import with_evidence

    stamps, notes = useful(read_stamps(bag, topics.image.name))
    for note in notes:
        bag.note(f'stamps of {topics.image.name}', note)
    index = itertools.count()
    frames = read_frames(
        bag,
        topics.image.name,
        options.camera_info_topic,
        lambda recorded_ns, stamp_ns: next(index) % options.stride == 0,
        stamps.stamp_of,
        options.rectify,
    )
    count = -(-topics.image.count // options.stride)
    return progress(with_evidence(frames, bag, scale), count, 'depth')


def _scale(options: RunBagOptions, bag: BagReader) -> FusedScale:
    from videodepth_ros.cli.bag_scale import open_scale
    from videodepth_ros.scale.parameters import fusion_settings

    return open_scale(bag, fusion_settings(options))


def _session(options: RunBagOptions, scale: FusedScale) -> DepthSession:
    from videodepth_ros.engines.open import open_engine
    from videodepth_ros.models.catalogue import card, weights_path
    from videodepth_ros.stream.session import DepthSession

    model = card(options.model)
    weights_path(model)  # raises here instead of at the first image
    if model.notice:
        log.warning(model.notice)

    def open_now(width: int, height: int) -> Engine:
        log.info('opening %s at %dx%d; its graph is built at first use', model.name, width, height)
        return open_engine(model.name, options.engine, width, height, threads=options.threads)

    return DepthSession(model, open_now, session_settings(options), scale)


def _point_options(options: RunBagOptions) -> PointOptions:
    from videodepth_ros.results.depth_topics import PointOptions

    range_m = options.cloud_max_range_m or options.max_range_m
    return PointOptions(options.cloud_stride, range_m, options.min_confidence)


def _lines(facts: RunFacts) -> list[str]:
    rate = f', {facts.rate_hz:.1f} Hz' if facts.rate_hz else ''
    lines = [
        f'{facts.outputs[0]}: {facts.frames} frames in {facts.seconds:.1f} s{rate} '
        f'({facts.model} at {facts.network_size}, {facts.engine}, '
        f'scale from {facts.scale_source})'
    ]
    lines += [
        f'{count} resets of the recurrent state: {reason}'
        for reason, count in facts.resets.items()
    ]
    if facts.rejected:
        lines += [
            f'{facts.rejected} frames could not be computed:',
            *(f'  {reason}' for reason in facts.rejections),
        ]
    if facts.lost:
        lines.append(f'lost: {facts.lost}')
    lines += [f'note: {note}' for note in facts.notes]
    if facts.interrupted:
        lines.append('interrupted: the output ends early and is readable')
    return lines
