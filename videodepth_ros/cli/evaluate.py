# SPDX-License-Identifier: Apache-2.0
"""``videodepth eval``: compare depth and trajectory with ground truth."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.console import log
from videodepth_ros.cli.flags import add_flags, options_from
from videodepth_ros.cli.options import describe, new_file
from videodepth_ros.cli.outcome import Outcome
from videodepth_ros.core.errors import BagError, InputError
from videodepth_ros.core.options import option

if TYPE_CHECKING:
    from videodepth_ros.bags.reader import BagReader
    from videodepth_ros.cli.depth_pairs import DepthPairs
    from videodepth_ros.evaluation.depth import DepthReport
    from videodepth_ros.evaluation.report import Evaluation
    from videodepth_ros.evaluation.trajectory import (
        RpeDelta,
        TrajectoryAlignment,
        TrajectoryReport,
    )
    from videodepth_ros.geometry.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Topics and alignment of a comparison."""

    align: str = option(
        'none',
        'Alignment of depth to the ground truth in inverse depth, one for the sequence.',
        choices=('none', 'scale', 'scale_shift'),
    )
    align_poses: str = option(
        'auto',
        'Alignment of the trajectory: rigid, with scale, or scale only, about a common first '
        'pose; auto: se3, or sim3 with --align.',
        choices=('auto', 'se3', 'sim3', 'scale'),
    )
    depth_topic: str | None = option(
        None, 'Topic of predicted depth; empty: videodepth/depth/image.'
    )
    truth_topic: str | None = option(None, 'Topic of true depth; empty: ground_truth/depth/image.')
    pose_topic: str | None = option(
        None, 'Topic of predicted poses; empty: videodepth/path, else the only one with poses.'
    )
    truth_pose_topic: str | None = option(
        None, 'Topic of true poses; empty: ground_truth/pose, else the only one with poses.'
    )
    max_depth_m: float = option(
        70.0, 'Maximum true depth of the compared pixels.', unit='m', minimum=1e-3, maximum=1e6
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'Each input is a bag, a .tum or .txt file (timestamp tx ty tz qx qy qz qw), or a .csv\n'
        'file of EuRoC (ns, x y z, qw qx qy qz).\n'
        'Depth is compared at the stamps of both bags and at the size of the ground truth. Poses\n'
        'are compared at the stamps of both after a rigid alignment, or one with scale if depth\n'
        'is aligned. As a reference, a constant and a vertical gradient are fitted to the ground\n'
        'truth; a prediction with larger errors has no information about the scene.',
        'eval depth scene',
        'eval depth scene --align scale_shift --json metrics.json',
        'eval both_in_one_bag',
        'eval refined/trajectory.tum truth.txt --align-poses sim3',
        'eval refined scene --plot errors.png',
    )
    parser.add_argument('predicted', metavar='PREDICTED', help='bag or file with the prediction')
    parser.add_argument(
        'truth',
        metavar='TRUTH',
        nargs='?',
        help='bag or file with the ground truth (default: the same bag)',
    )
    add_flags(parser, EvaluateOptions)
    parser.add_argument(
        '--rpe-delta',
        type=_delta,
        metavar='D',
        help='Distance of relative pose errors, in frames (10) or seconds (1s). (default: 1)',
    )
    parser.add_argument(
        '--plot',
        type=_png_file,
        metavar='FILE',
        help='Write a PNG picture: errors over time, the frame with the largest error, and the '
        'trajectory.',
    )


def _png_file(text: str) -> Path:
    """Parse --plot; raise ArgumentTypeError unless it is a .png file in an existing folder."""
    if not text.lower().endswith('.png'):
        raise argparse.ArgumentTypeError(f'{text!r} does not end in .png')
    return Path(new_file(text))


def _delta(text: str) -> RpeDelta:
    """Parse --rpe-delta; raise ArgumentTypeError unless it is positive."""
    from videodepth_ros.evaluation.trajectory import RpeDelta

    try:
        delta = RpeDelta(seconds=float(text[:-1])) if text.endswith('s') else RpeDelta(int(text))
    except ValueError:
        delta = RpeDelta(0)
    if delta.frames < 1 or (delta.seconds is not None and not 0 < delta.seconds < 1e9):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a number of frames, such as 10, or of seconds, such as 1s'
        )
    return delta


@dataclass(frozen=True)
class _Input:
    """One input of a comparison: a bag, or the trajectory of a file."""

    path: Path
    bag: BagReader | None
    trajectory: Trajectory | None

    def __str__(self) -> str:
        if self.bag is None:
            return f'{self.path} has a trajectory'
        names = ', '.join(sorted(topic.name for topic in self.bag.topics))
        return f'{self.path} has {names or "no messages"}'


def _open(path: Path, stack: ExitStack) -> _Input:
    """Open a bag or read a file; raise BagError or InputError if that fails."""
    from videodepth_ros.bags.reader import open_bag
    from videodepth_ros.evaluation.tum import TUM_SUFFIXES, read_tum

    if path.suffix in TUM_SUFFIXES and not path.is_dir():
        return _Input(path, None, read_tum(path))
    return _Input(path, stack.enter_context(open_bag(path)), None)


def run(args: argparse.Namespace) -> Outcome:
    """Compare a prediction with ground truth and print the errors."""
    from videodepth_ros.evaluation.report import format_table, to_json

    evaluation = evaluate(
        Path(args.predicted),
        Path(args.truth or args.predicted),
        options_from(args, EvaluateOptions),
        args.rpe_delta,
        args.plot,
    )
    print(format_table(evaluation))
    return Outcome(True, to_json(evaluation))


def evaluate(
    predicted_path: Path,
    truth_path: Path,
    options: EvaluateOptions,
    rpe_delta: RpeDelta | None = None,
    plot: Path | None = None,
) -> Evaluation:
    """Compare a prediction with ground truth; both may be topics of one bag.

    plot    picture to write; None: none
    raises  BagError if there is nothing to compare; ConfigError, InputError
    """
    from videodepth_ros.evaluation.report import Evaluation

    with ExitStack() as stack:
        predicted = _open(predicted_path, stack)
        is_same = truth_path == predicted_path
        truth = predicted if is_same else _open(truth_path, stack)
        pairs = _depth_pairs(predicted, truth, options)
        depth = _compare_depth(pairs, options)
        paths = _paths(predicted, truth, options)
        trajectory = _compare_trajectories(paths, rpe_delta, is_needed=not depth)
        evaluation = Evaluation(depth, trajectory)
        if evaluation == Evaluation(None, None):
            raise BagError(f'nothing to compare: {predicted}, and {truth}')
        for bag in (predicted.bag, truth.bag):
            if bag and bag.lost:
                log.warning('%s: %s', bag.path, bag.lost)
        if plot:
            _plot(plot, evaluation, pairs, paths)
    return evaluation


@dataclass(frozen=True)
class _Paths:
    """Predicted and true trajectory, and the alignment of the first to the second."""

    predicted: Trajectory
    truth: Trajectory
    alignment: TrajectoryAlignment


def _depth_pairs(predicted: _Input, truth: _Input, options: EvaluateOptions) -> DepthPairs | None:
    """Return the depth of both inputs; None if an input has none."""
    from videodepth_ros.cli.depth_pairs import PREDICTED_DEPTH, DepthPairs, depth_topic
    from videodepth_ros.evaluation.true_depth import TRUE_DEPTH

    if predicted.bag is None or truth.bag is None:
        return None
    topic = depth_topic(predicted.bag, options.depth_topic, PREDICTED_DEPTH)
    true_topic = depth_topic(truth.bag, options.truth_topic, TRUE_DEPTH)
    if topic is None or true_topic is None:
        return None
    return DepthPairs(predicted.bag, topic, truth.bag, true_topic)


def _compare_depth(pairs: DepthPairs | None, options: EvaluateOptions) -> DepthReport | None:
    from videodepth_ros.evaluation.accumulators import DepthAlignment
    from videodepth_ros.evaluation.depth import evaluate_depth

    if pairs is None:
        return None
    return evaluate_depth(pairs, DepthAlignment(options.align), options.max_depth_m)


def _paths(predicted: _Input, truth: _Input, options: EvaluateOptions) -> _Paths | None:
    """Return the trajectories of both inputs; None if an input has none."""
    from videodepth_ros.cli.poses import PREDICTED, PREDICTED_BELOW, TRUE, TRUE_BELOW
    from videodepth_ros.evaluation.trajectory import TrajectoryAlignment

    found = _poses(predicted, options.pose_topic, PREDICTED, TRUE_BELOW)
    true = _poses(truth, options.truth_pose_topic, TRUE, PREDICTED_BELOW)
    if found is None or true is None or (predicted is truth and found[1] == true[1]):
        return None
    alignment = options.align_poses
    if alignment == 'auto':
        alignment = 'se3' if options.align == 'none' else 'sim3'
    return _Paths(found[0], true[0], TrajectoryAlignment(alignment))


def _compare_trajectories(
    paths: _Paths | None, delta: RpeDelta | None, *, is_needed: bool
) -> TrajectoryReport | None:
    """Compare trajectories; None without them.

    is_needed  raise InputError if the trajectories do not overlap, instead of a warning
    """
    from videodepth_ros.evaluation.trajectory import CONSECUTIVE_FRAMES, evaluate_trajectory

    if paths is None:
        return None
    try:
        return evaluate_trajectory(
            paths.predicted, paths.truth, paths.alignment, delta or CONSECUTIVE_FRAMES
        )
    except InputError as error:
        if is_needed:
            raise
        log.warning('trajectories are not compared: %s', error)
        return None


def _plot(
    path: Path, evaluation: Evaluation, pairs: DepthPairs | None, paths: _Paths | None
) -> None:
    """Write the picture of an evaluation."""
    from videodepth_ros.evaluation.plot import plot_depth, plot_trajectory, stack_plots
    from videodepth_ros.evaluation.trajectory import aligned_positions
    from videodepth_ros.pictures import write_picture

    plots = []
    if evaluation.depth is not None and pairs is not None:
        plots += plot_depth(evaluation.depth, pairs)
    if evaluation.trajectory is not None and paths is not None:
        plots += plot_trajectory(*aligned_positions(paths.predicted, paths.truth, paths.alignment))
    write_picture(path, stack_plots(plots))
    log.info('%s: errors over time, error map, trajectory', path)


def _poses(
    source: _Input, name: str | None, usual: tuple[str, ...], not_below: str
) -> tuple[Trajectory, str] | None:
    from videodepth_ros.cli.poses import find_poses

    if source.trajectory is not None:
        return source.trajectory, str(source.path)
    assert source.bag
    return find_poses(source.bag, name, usual, not_below)
