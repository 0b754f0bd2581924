# SPDX-License-Identifier: Apache-2.0
"""``videodepth eval``: depth and trajectory of one bag against the truth in another."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import add_command, positive_float
from videodepth_ros.cli.outcome import Outcome
from videodepth_ros.errors import BagError

if TYPE_CHECKING:
    from videodepth_ros.bags.reader import BagReader
    from videodepth_ros.cli.options import Commands
    from videodepth_ros.evaluation.depth import DepthReport
    from videodepth_ros.evaluation.sums import Alignment
    from videodepth_ros.evaluation.trajectory import TrajectoryReport

ALIGNMENTS = ('none', 'scale', 'scale_shift')


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, 'eval', 'measure depth and trajectory against ground truth',
        'Depth is compared at the stamps that both bags have, at the size of the truth; poses\n'
        'likewise, after a rigid alignment, or one with scale where depth is aligned too.\n'
        'The best constant and the best vertical gradient are fitted to the truth: a prediction\n'
        'that does not beat them says nothing about the scene.',
        ('eval depth scene', 'eval depth scene --align scale_shift --json metrics.json',
         'eval both_in_one_bag'))
    parser.add_argument('predicted', metavar='PREDICTED', help='bag with the prediction')
    parser.add_argument('truth', metavar='TRUTH', nargs='?',
                        help='bag with the truth (default: the same bag)')
    parser.add_argument('--align', choices=ALIGNMENTS, default='none',
                        help='fit to the truth in inverse depth, once a sequence (default: none)')
    parser.add_argument('--depth-topic', metavar='T', help='predicted depth '
                        '(default: videodepth/depth/image)')
    parser.add_argument('--truth-topic', metavar='T', help='true depth '
                        '(default: ground_truth/depth/image)')
    parser.add_argument('--max-depth-m', type=positive_float, default=70.0, metavar='M',
                        help='judge pixels whose truth is nearer (default: 70)')
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
    from videodepth_ros.bags.reader import open_bag
    from videodepth_ros.evaluation.report import Evaluation, table, to_json
    from videodepth_ros.evaluation.sums import Alignment
    alignment = Alignment(args.align)
    with ExitStack() as stack:
        predicted = stack.enter_context(open_bag(Path(args.predicted)))
        truth = stack.enter_context(open_bag(Path(args.truth))) if args.truth else predicted
        evaluation = Evaluation(_depth(args, predicted, truth, alignment),
                                _trajectory(predicted, truth, alignment))
        if evaluation == Evaluation(None, None):
            raise BagError(f'nothing to compare: {_has(predicted)}, and {_has(truth)}')
        for bag in (predicted, truth):
            if bag.lost:
                print(f'{bag.path}: {bag.lost}', file=sys.stderr)
    print(table(evaluation))
    return Outcome(True, to_json(evaluation))


def _depth(args: argparse.Namespace, predicted: BagReader, truth: BagReader,
           alignment: Alignment) -> DepthReport | None:
    """Compare depth; None where one of the bags has none."""
    from videodepth_ros.cli.pairs import PREDICTED_DEPTH, TRUE_DEPTH, DepthPairs, depth_topic
    from videodepth_ros.evaluation.depth import evaluate_depth
    topic = depth_topic(predicted, args.depth_topic, PREDICTED_DEPTH)
    true_topic = depth_topic(truth, args.truth_topic, TRUE_DEPTH)
    if topic is None or true_topic is None:
        return None
    return evaluate_depth(DepthPairs(predicted, topic, truth, true_topic), alignment,
                          args.max_depth_m)


def _trajectory(predicted: BagReader, truth: BagReader,
                alignment: Alignment) -> TrajectoryReport | None:
    """Compare trajectories; None where one of the bags has none."""
    from videodepth_ros.cli.pairs import (
        PREDICTED_PATH,
        TRUE_POSE,
        present_topic,
        read_path,
        read_poses,
    )
    from videodepth_ros.evaluation.trajectory import evaluate_trajectory
    path, true_poses = present_topic(predicted, PREDICTED_PATH), present_topic(truth, TRUE_POSE)
    if path is None or true_poses is None:
        return None
    return evaluate_trajectory(read_path(predicted, path), read_poses(truth, true_poses),
                               with_scale=alignment.value != 'none')


def _has(bag: BagReader) -> str:
    names = ', '.join(sorted(topic.name for topic in bag.topics))
    return f'{bag.path} has {names or "no messages"}'
