# SPDX-License-Identifier: Apache-2.0
"""``videodepth demo``: the live node on a sample camera in a real ROS graph, with pictures."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from videodepth_ros.cli.options import add_command, add_network, positive_float, whole_number
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.core.errors import ConfigError

if TYPE_CHECKING:
    from videodepth_ros.cli.options import Commands

SAMPLE, MADE_WITH = 'sample', 'sample.json'


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        'demo',
        'stream a sample camera through the live node and show what comes out',
        'Leaves a video, a picture of depth and cloud, a bag for Foxglove and a page of figures.\n'
        'The sample is rendered once; later runs use it again.',
        ('demo out/demo', 'demo out/street --scene street --rate-hz 15'),
    )
    parser.add_argument(
        'folder',
        metavar='FOLDER',
        nargs='?',
        default='out/demo',
        help='where everything goes (default: out/demo)',
    )
    parser.add_argument(
        '--scene',
        default='car_parks',
        metavar='NAME',
        help='as in `videodepth sample`; studios, car_parks and alleys are '
        'families that the bundled network has never seen '
        '(default: car_parks)',
    )
    parser.add_argument('--seed', type=whole_number, default=3, metavar='N', help='default: 3')
    parser.add_argument(
        '--seconds',
        type=positive_float,
        default=5.0,
        metavar='S',
        help='length of the sample (default: 5)',
    )
    parser.add_argument(
        '--rate-hz',
        type=positive_float,
        default=30.0,
        metavar='HZ',
        help='of the camera (default: 30)',
    )
    add_network(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
    if importlib.util.find_spec('rclpy') is None:
        raise ConfigError(
            'the demo needs ROS 2: run `make setup` in the source tree, or source '
            'a ROS 2 installation'
        )
    from videodepth_ros.demo.results import page
    from videodepth_ros.demo.show import DemoSettings, run_demo
    from videodepth_ros.models.catalogue import card, weights_path

    weights_path(card(args.model))  # raises now where there are none
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    sample = _sample(folder, args)
    settings = DemoSettings(
        args.scene, args.seed, args.seconds, args.rate_hz, args.model, args.engine
    )
    facts = run_demo(folder, sample, settings, lambda line: print(line, flush=True))
    print(f'\n{page(facts)}')
    return outcome(facts)


def _sample(folder: Path, args: argparse.Namespace) -> Path:
    """Return the sample bag; rendered now unless there is one that was made in the same way."""
    sample, note = folder / SAMPLE, folder / MADE_WITH
    made_with = json.dumps([args.scene, args.seed, args.seconds, args.rate_hz])
    if sample.exists() and note.exists() and note.read_text() == made_with:
        return sample
    note.unlink(missing_ok=True)
    shutil.rmtree(sample, ignore_errors=True)
    print('rendering the sample ...', flush=True)
    if make_sample(
        str(sample), args.scene, args.seed, args.seconds, args.rate_hz, (640, 480)
    ).interrupted:
        raise KeyboardInterrupt
    note.write_text(made_with)
    return sample
