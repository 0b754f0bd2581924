# SPDX-License-Identifier: Apache-2.0
"""``videodepth fleet``: refine, run-bag or eval of many bags, on this machine or on Ray."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from videodepth_ros.cli.console import ProgressDisplay, log
from videodepth_ros.cli.flags import add_flags, options_from
from videodepth_ros.cli.options import add_common_options, describe
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.core.options import options_of, to_values
from videodepth_ros.core.words import counted
from videodepth_ros.fleet.options import FleetOptions

if TYPE_CHECKING:
    from videodepth_ros.fleet.run import FleetFacts, FleetJob

SUMMARIES = {
    'refine': 'refine each bag into a folder of its name',
    'run-bag': 'compute streaming depth of each bag into a folder of its name',
    'eval': 'compare each bag with its ground truth',
}
SELF = 'self'
"""Value of --truth for the topics of each bag itself."""

EXAMPLES = (
    "fleet refine 'drives/*.mcap' --out refined",
    "fleet refine 's3://bucket/*.mcap' --out s3://bucket/refined --address ray://head:10001",
    "fleet run-bag 'drives/*.mcap' --out depth --engine local --workers 4",
    "fleet eval 'refined/*' --truth drives --out errors --align scale_shift",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'One bag is one task. Tasks run on Ray where it is installed (pip install\n'
        "'videodepth[fleet]'), else in processes of this machine. OUT gets a folder per bag,\n"
        'manifest.jsonl, manifest.parquet and summary.html. A bag that is done with the same\n'
        'settings and bytes is skipped; an interrupted fleet resumes when the command is\n'
        'repeated.',
        *EXAMPLES,
    )
    children = parser.add_subparsers(title='jobs', metavar='JOB', required=True, dest='job')
    for name, summary in SUMMARIES.items():
        child = children.add_parser(
            name,
            help=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            description=f'{summary[0].upper()}{summary[1:]}.',
        )
        details = f'The flags of `videodepth {name}` and those of the fleet.'
        describe(child, details, *(one for one in EXAMPLES if one.split()[1] == name))
        _add_flags(child, name)
        add_common_options(child, default=argparse.SUPPRESS)
        child.set_defaults(parser=child)


def _add_flags(parser: argparse.ArgumentParser, job: str) -> None:
    parser.add_argument(
        'bags', metavar='BAG', nargs='+', help='bags: paths, globs (quoted) and URIs of fsspec'
    )
    parser.add_argument('--out', metavar='OUT', required=True, help='folder or URI of the results')
    parser.add_argument(
        '--truth',
        metavar='FOLDER',
        default=SELF if job == 'eval' else '',
        help='folder or URI of bags of the same names with the ground truth; self: each bag has '
        'its own (default: %(default)s)'
        if job == 'eval'
        else 'compare the results with the '
        'ground truth: self, of each bag itself, or a folder or URI of bags of the same names',
    )
    add_flags(parser.add_argument_group('fleet'), FleetOptions)
    settings = _settings_of(job)
    names = [option.name for option in options_of(settings) if option.name != 'engine']
    group = parser.add_argument_group(job)
    add_flags(group, settings, only=names)
    engine = next((one for one in options_of(settings) if one.name == 'engine'), None)
    if engine:
        group.add_argument(
            '--network-engine',
            choices=engine.choices,
            default=engine.default,
            help=f'{engine.description} (default: %(default)s)',
        )


def _settings_of(job: str) -> Any:
    """Return the class of the settings of a job."""
    from videodepth_ros.cli.evaluate import EvaluateOptions
    from videodepth_ros.cli.run_bag import RunBagOptions
    from videodepth_ros.refine.settings import RefineSettings

    return {'refine': RefineSettings, 'run-bag': RunBagOptions, 'eval': EvaluateOptions}[job]


def run(args: argparse.Namespace) -> Outcome:
    """Run a job on all bags, and print the counts and the failures."""
    from videodepth_ros.fleet.place import Place, find_recordings
    from videodepth_ros.fleet.run import Fleet

    bags, notes = find_recordings(args.bags)
    for note in notes:
        log.info('%s', note)
    options = options_from(args, FleetOptions)
    with Interruption() as interruption, ProgressDisplay() as display:
        facts = Fleet(
            _job(args, options),
            bags,
            Place.of(args.out),
            options,
            display.show,
            lambda: interruption.requested,
            log.info,
            log.warning,
        ).run()
    print('\n'.join(_lines(facts)))
    return outcome(facts, ok=not facts.failed)


def _job(args: argparse.Namespace, options: FleetOptions) -> FleetJob:
    """Return the job with its settings of the flags."""
    from videodepth_ros.cli import fleet_jobs
    from videodepth_ros.fleet.memory import refine_memory_mb
    from videodepth_ros.fleet.place import Place
    from videodepth_ros.fleet.run import FleetJob
    from videodepth_ros.fleet.task import Job

    kind = _settings_of(args.job)
    engine = {'engine': args.network_engine} if args.job != 'eval' else {}
    settings = options_from(args, kind, **engine)
    values, defaults = to_values(settings), to_values(kind())
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    truth = Place.of(args.truth) if args.truth not in ('', SELF) else None
    functions: dict[str, Job] = {
        'refine': fleet_jobs.refine_job,
        'run-bag': fleet_jobs.run_bag_job,
        'eval': fleet_jobs.eval_job,
    }
    job = FleetJob(args.job, functions[args.job], settings, changed, truth, args.truth == SELF)
    if args.job == 'refine':
        return replace(
            job, memory_mb=partial(refine_memory_mb, settings=settings, processes=options.cpus)
        )
    return job


def _lines(facts: FleetFacts) -> list[str]:
    lines = [
        f'{counted(facts.bags, "bag")}: {facts.done} done in {facts.seconds:.1f} s, '
        f'{facts.skipped} done before, {facts.failed} failed'
        + (f' ({facts.engine})' if facts.engine else '')
    ]
    return [*lines, *(f'  {output}' for output in facts.outputs)]
