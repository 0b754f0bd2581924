# SPDX-License-Identifier: Apache-2.0
"""``videodepth eval``: depth and trajectory of one bag or file against the truth in another."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import add_command, positive_float
from videodepth_ros.cli.outcome import Outcome
from videodepth_ros.core.errors import BagError, InputError

if TYPE_CHECKING:
    from videodepth_ros.bags.reader import BagReader
    from videodepth_ros.cli.options import Commands
    from videodepth_ros.evaluation.accumulators import DepthAlignment
    from videodepth_ros.evaluation.depth import DepthReport
    from videodepth_ros.evaluation.trajectory import RpeDelta, TrajectoryReport
    from videodepth_ros.geometry.trajectory import Trajectory

ALIGNMENTS = ('none', 'scale', 'scale_shift')
POSE_ALIGNMENTS = ('se3', 'sim3', 'scale')


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        'eval',
        'measure depth and trajectory against ground truth',
        'Each side is a bag, or a .tum or .txt file (timestamp tx ty tz qx qy qz qw).\n'
        'Depth is compared at the stamps that both bags have, at the size of the truth; poses\n'
        'likewise, after a rigid alignment, or one with scale where depth is aligned too.\n'
        'The best constant and the best vertical gradient are fitted to the truth: a prediction\n'
        'that does not beat them says nothing about the scene.',
        (
            'eval depth scene',
            'eval depth scene --align scale_shift --json metrics.json',
            'eval both_in_one_bag',
            'eval refined/trajectory.tum truth.txt --align-poses sim3',
        ),
    )
    parser.add_argument('predicted', metavar='PREDICTED', help='bag or file with the prediction')
    parser.add_argument(
        'truth',
        metavar='TRUTH',
        nargs='?',
        help='bag or file with the truth (default: the same bag)',
    )
    parser.add_argument(
        '--align',
        choices=ALIGNMENTS,
        default='none',
        help='fit to the truth in inverse depth, once a sequence (default: none)',
    )
    parser.add_argument(
        '--align-poses',
        choices=POSE_ALIGNMENTS,
        help='fit of the trajectory: rigid, with scale, or a scale alone about a '
        'common first pose (default: se3; sim3 with --align)',
    )
    parser.add_argument(
        '--rpe-delta',
        type=_delta,
        metavar='D',
        help='relative error of poses so many frames (10) or seconds (1s) apart (default: 1)',
    )
    parser.add_argument(
        '--depth-topic', metavar='T', help='predicted depth (default: videodepth/depth/image)'
    )
    parser.add_argument(
        '--truth-topic', metavar='T', help='true depth (default: ground_truth/depth/image)'
    )
    parser.add_argument(
        '--pose-topic',
        metavar='T',
        help='predicted poses (default: videodepth/path, or what else has poses)',
    )
    parser.add_argument(
        '--truth-pose-topic',
        metavar='T',
        help='true poses (default: ground_truth/pose, or what else has poses)',
    )
    parser.add_argument(
        '--max-depth-m',
        type=positive_float,
        default=70.0,
        metavar='M',
        help='judge pixels whose truth is nearer (default: 70)',
    )
    parser.set_defaults(run=_run)


def _delta(text: str) -> RpeDelta:
    """Return what --rpe-delta says; raises ArgumentTypeError if that is nothing positive."""
    from videodepth_ros.evaluation.trajectory import RpeDelta

    try:
        delta = RpeDelta(seconds=float(text[:-1])) if text.endswith('s') else RpeDelta(int(text))
    except ValueError:
        delta = RpeDelta(0)
    if delta.frames < 1 or (delta.seconds is not None and not 0 < delta.seconds < 1e9):
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither a number of frames, such as 10, nor of seconds, such as 1s'
        )
    return delta


@dataclass(frozen=True)
class _Side:
    """What is compared: a bag, or a trajectory of a file."""

    path: Path
    bag: BagReader | None
    trajectory: Trajectory | None

    def __str__(self) -> str:
        if self.bag is None:
            return f'{self.path} has a trajectory'
        names = ', '.join(sorted(topic.name for topic in self.bag.topics))
        return f'{self.path} has {names or "no messages"}'


def _open(path: Path, stack: ExitStack) -> _Side:
    """Open a bag or read a file; raises BagError or InputError if that is not possible."""
    from videodepth_ros.bags.reader import open_bag
    from videodepth_ros.cli.poses import is_trajectory_file
    from videodepth_ros.evaluation.tum import read_tum

    if is_trajectory_file(path):
        return _Side(path, None, read_tum(path))
    return _Side(path, stack.enter_context(open_bag(path)), None)


def _run(args: argparse.Namespace) -> Outcome:
    from videodepth_ros.evaluation.accumulators import DepthAlignment
    from videodepth_ros.evaluation.report import Evaluation, format_table, to_json

    alignment = DepthAlignment(args.align)
    with ExitStack() as stack:
        predicted = _open(Path(args.predicted), stack)
        truth = _open(Path(args.truth), stack) if args.truth else predicted
        depth = _depth(args, predicted, truth, alignment)
        evaluation = Evaluation(depth, _trajectory(args, predicted, truth, is_needed=not depth))
        if evaluation == Evaluation(None, None):
            raise BagError(f'nothing to compare: {predicted}, and {truth}')
        for bag in (predicted.bag, truth.bag):
            if bag and bag.lost:
                print(f'{bag.path}: {bag.lost}', file=sys.stderr)
    print(format_table(evaluation))
    return Outcome(True, to_json(evaluation))


def _depth(
    args: argparse.Namespace, predicted: _Side, truth: _Side, alignment: DepthAlignment
) -> DepthReport | None:
    """Compare depth; None where one of the sides has none."""
    from videodepth_ros.cli.pairs import PREDICTED_DEPTH, TRUE_DEPTH, DepthPairs, depth_topic
    from videodepth_ros.evaluation.depth import evaluate_depth

    if predicted.bag is None or truth.bag is None:
        return None
    topic = depth_topic(predicted.bag, args.depth_topic, PREDICTED_DEPTH)
    true_topic = depth_topic(truth.bag, args.truth_topic, TRUE_DEPTH)
    if topic is None or true_topic is None:
        return None
    return evaluate_depth(
        DepthPairs(predicted.bag, topic, truth.bag, true_topic), alignment, args.max_depth_m
    )


def _trajectory(
    args: argparse.Namespace, predicted: _Side, truth: _Side, *, is_needed: bool
) -> TrajectoryReport | None:
    """Compare trajectories; None where one of the sides has none.

    is_needed  whether there is nothing else: then poses that do not fit are an error
    """
    from videodepth_ros.cli.poses import PREDICTED, PREDICTED_BELOW, TRUE, TRUE_BELOW
    from videodepth_ros.evaluation.trajectory import (
        CONSECUTIVE_FRAMES,
        TrajectoryAlignment,
        evaluate_trajectory,
    )

    found = _poses(predicted, args.pose_topic, PREDICTED, TRUE_BELOW)
    true = _poses(truth, args.truth_pose_topic, TRUE, PREDICTED_BELOW)
    if found is None or true is None or (predicted is truth and found[1] == true[1]):
        return None
    fit = TrajectoryAlignment(args.align_poses or ('se3' if args.align == 'none' else 'sim3'))
    try:
        return evaluate_trajectory(found[0], true[0], fit, args.rpe_delta or CONSECUTIVE_FRAMES)
    except InputError as error:
        if is_needed:
            raise
        print(f'no trajectory is compared: {error}', file=sys.stderr)
        return None


def _poses(
    side: _Side, name: str | None, usual: tuple[str, ...], not_below: str
) -> tuple[Trajectory, str] | None:
    from videodepth_ros.cli.poses import find_poses

    if side.trajectory is not None:
        return side.trajectory, str(side.path)
    assert side.bag
    return find_poses(side.bag, name, usual, not_below)
