# SPDX-License-Identifier: Apache-2.0
"""Fuzz the readers of bytes from outside. Run as ``python -m bench.fuzz TARGET``; prints JSON.

The inputs are edits of valid ones, which the targets make (test/support/fuzz_targets.py). With
``--engine atheris`` libFuzzer chooses them by the branches that they reach. A finding is another
exception than one of the package, a hang of more than 1 s, memory of more than 10 times the input
and 64 MB, or the death of the process. The inputs of findings are kept in ``--out``.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import itertools
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MAX_STALL_S = 60.0
"""Wall time of one input after which its process is ended with a traceback."""
MAX_DEATHS = 20
REPORTED_RUNS = 100
"""Inputs that atheris reads from one count to the next."""
CURRENT = 'current'
"""File with the input that is being read, for the case that the process dies."""


def main() -> None:
    is_child = '--child' in sys.argv  # atheris must see the imports of the targets
    known = [] if is_child else target_names()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('targets', nargs='+', choices=None if is_child else ['all', *known])
    parser.add_argument('--minutes', type=float, default=10.0, help='for each target')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--engine', choices=['random', 'atheris'], default='random')
    parser.add_argument('--out', type=Path, default=ROOT / 'out' / 'fuzz')
    parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        fuzz = fuzz_with_atheris if arguments.engine == 'atheris' else fuzz_at_random
        fuzz(arguments.targets[0], arguments.minutes * 60, arguments.seed, arguments.out)
        return
    names = known if 'all' in arguments.targets else arguments.targets
    reports = [supervise(name, arguments) for name in names]
    print(json.dumps({'bench': 'fuzz', 'engine': arguments.engine, 'targets': reports}, indent=1))
    sys.exit(any(report['findings'] for report in reports))


def target_names() -> list[str]:
    """Return the names of all targets."""
    from test.support.fuzz_targets import TARGETS

    return list(TARGETS)


def supervise(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fuzz one target in processes of its own until the time is over; a death is a finding."""
    out, seed = arguments.out / name, arguments.seed
    out.mkdir(parents=True, exist_ok=True)
    end_s = time.monotonic() + arguments.minutes * 60
    runs, findings = 0, {}
    for _ in range(MAX_DEATHS):
        left_min = (end_s - time.monotonic()) / 60
        if left_min <= 0:
            break
        (out / CURRENT).unlink(missing_ok=True)
        command = [sys.executable, '-m', 'bench.fuzz', name, '--child', '--out', str(out)]
        command += ['--minutes', str(left_min), '--seed', str(seed), '--engine', arguments.engine]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        for line in child.stdout.splitlines():
            if line.startswith('{'):
                record = json.loads(line)
                runs += record.pop('runs', 0)
                if record:
                    findings[record['kind'], record['place']] = record
        seed += 1
        if child.returncode == 0:
            break
        place, record = f'exit status {child.returncode}', {'kind': 'death'}
        if (out / CURRENT).exists():
            record['input'] = str(keep(out, 'death', (out / CURRENT).read_bytes()))
        findings['death', place] = {**record, 'place': place, 'detail': child.stderr[-2000:]}
    (out / CURRENT).unlink(missing_ok=True)
    return {'target': name, 'inputs': runs, 'findings': list(findings.values())}


def fuzz_at_random(name: str, seconds: float, seed: int, out: Path) -> None:
    """Read edited inputs for some time; print findings and the number of inputs as JSON."""
    from test.support.fuzz_targets import TARGETS
    from test.support.fuzzing import Finding, check, edited, random_edits

    logging.disable()
    target, generator = TARGETS[name], random.Random(f'{name} {seed}')
    seeds, found = target.seeds(), set[tuple[str, str]]()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / 'input'
        for data in 2 * seeds:  # what is compiled or imported once
            check(target, data, work)
        runs, end_s = 0, time.monotonic() + seconds
        while time.monotonic() < end_s:
            data = edited(generator.choice(seeds), random_edits(generator))
            (out / CURRENT).write_bytes(data)
            faulthandler.dump_traceback_later(MAX_STALL_S, exit=True)
            finding = check(target, data, work)
            if finding and finding.kind != 'crash':  # once more: others use the machine, too
                finding = check(target, data, work)
            runs += 1
            if isinstance(finding, Finding) and (finding.kind, finding.place) not in found:
                found.add((finding.kind, finding.place))
                path = keep(out, finding.kind, data)
                print(json.dumps({**vars(finding), 'input': str(path)}), flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps({'runs': runs}), flush=True)


def fuzz_with_atheris(name: str, seconds: float, seed: int, out: Path) -> None:
    """Let libFuzzer choose the inputs; it ends the process at the first finding."""
    import atheris

    with atheris.instrument_imports(include=['videodepth_ros', 'rosbags']):
        from test.support.fuzz_targets import TARGETS
    from test.support.fuzzing import check

    logging.disable()
    target = TARGETS[name]
    corpus = out / 'corpus'
    corpus.mkdir(exist_ok=True)
    for data in target.seeds():
        keep(corpus, 'seed', data)
    work = Path(tempfile.mkdtemp()) / 'input'
    for data in 2 * target.seeds():
        check(target, data, work)

    runs = itertools.count(1)

    def read(data: bytes) -> None:
        (out / CURRENT).write_bytes(data)
        if next(runs) % REPORTED_RUNS == 0:  # libFuzzer ends the process without returning here
            print(json.dumps({'runs': REPORTED_RUNS}), flush=True)
        finding = check(target, data, work)
        if finding:
            print(json.dumps({**vars(finding), 'input': str(keep(out, finding.kind, data))}))
            sys.stdout.flush()
            raise RuntimeError(finding.detail)

    options = [f'-max_total_time={max(1, round(seconds))}', f'-seed={seed + 1}', '-max_len=65536']
    atheris.Setup([sys.argv[0], *options, str(corpus)], read)
    atheris.Fuzz()


def keep(folder: Path, kind: str, data: bytes) -> Path:
    """Write an input under the name of its digest."""
    path = folder / f'{kind}-{hashlib.sha256(data).hexdigest()[:12]}'
    path.write_bytes(data)
    return path


if __name__ == '__main__':
    main()
