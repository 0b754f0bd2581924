# SPDX-License-Identifier: Apache-2.0
"""``videodepth demo``: the live node on a sample camera in a ROS graph, with pictures."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
from pathlib import Path

from videodepth_ros.cli.console import log
from videodepth_ros.cli.flags import add_flags
from videodepth_ros.cli.options import describe
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.cli.sample import SampleOptions, make_sample
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.options import Value
from videodepth_ros.stream.parameters import StreamParameters

SAMPLE, SAMPLE_ARGUMENTS = 'sample', 'sample.json'
SCENE: dict[str, Value] = {'scene': 'car_parks', 'seed': 3, 'rate_hz': 30.0}
"""A scene of a family that the bundled network was not trained with, at a usual camera rate."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'Writes a video, a picture of depth and cloud, a bag for Foxglove and a page of figures.\n'
        'The sample is rendered once and reused by later runs. The scene families studios,\n'
        'car_parks and alleys were not used to train the bundled network.',
        'demo out/demo',
        'demo out/street --scene street --rate-hz 15',
    )
    parser.add_argument(
        'folder',
        metavar='FOLDER',
        nargs='?',
        default='out/demo',
        help='folder to write (default: %(default)s)',
    )
    add_flags(parser, SampleOptions, defaults=SCENE)
    add_flags(parser, StreamParameters, only=('model', 'engine'))


def run(args: argparse.Namespace) -> Outcome:
    """Run the demo."""
    if importlib.util.find_spec('rclpy') is None:
        raise ConfigError(
            'the demo needs ROS 2: run `make setup` in the source tree, or source '
            'a ROS 2 installation'
        )
    from videodepth_ros.demo.results import to_markdown
    from videodepth_ros.demo.show import DemoSettings, run_demo
    from videodepth_ros.models.catalogue import card, weights_path

    weights_path(card(args.model))  # raises ModelError if they are missing
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    sample = _sample(folder, args)
    settings = DemoSettings(
        args.scene, args.seed, args.seconds, args.rate_hz, args.model, args.engine
    )
    facts = run_demo(folder, sample, settings, log.info)
    print(f'\n{to_markdown(facts)}')
    return outcome(facts)


def _sample(folder: Path, args: argparse.Namespace) -> Path:
    """Return the sample bag; render it unless one with the same arguments exists."""
    sample, record = folder / SAMPLE, folder / SAMPLE_ARGUMENTS
    arguments = json.dumps([args.scene, args.seed, args.seconds, args.rate_hz])
    if sample.exists() and record.exists() and record.read_text() == arguments:
        return sample
    record.unlink(missing_ok=True)
    shutil.rmtree(sample, ignore_errors=True)
    log.info('rendering the sample ...')
    if make_sample(
        str(sample), args.scene, args.seed, args.seconds, args.rate_hz, (640, 480)
    ).interrupted:
        raise KeyboardInterrupt
    record.write_text(arguments)
    return sample
