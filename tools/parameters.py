# SPDX-License-Identifier: Apache-2.0
"""Write the files that follow from declared options; run it after a change of an option.

    python -m tools.parameters           write them
    python -m tools.parameters --check   exit with 1 if one of them is not up to date

config/live.yaml and config/offline.yaml have every parameter with its default, docs/parameters.md
describes parameters and flags, and the goal of action/Refine.action has every option of `refine`.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from videodepth_ros.cli.run_bag import RunBagOptions
from videodepth_ros.core.options import ROS_TYPES, Option, Value, options_of
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.offline_parameters import OfflineParameters
from videodepth_ros.refine.settings import RefineSettings

ROOT = Path(__file__).parents[1]
WIDTH = 110
ACTION_TYPES = {bool: 'bool', int: 'uint32', float: 'float64', str: 'string'}
GOAL_MARK = '# Options of videodepth_ros/refine/settings.py, written by tools/parameters.py.\n'


def sorted_by_group(options: Sequence[Option]) -> list[Option]:
    """Return options with those of one prefix, such as ``cloud.``, side by side."""
    groups = list(dict.fromkeys(each.name.rpartition('.')[0] or each.name for each in options))
    return sorted(
        options, key=lambda each: groups.index(each.name.rpartition('.')[0] or each.name)
    )


def config_yaml(options: type, applied_at: str) -> str:
    """Return a parameter file with every option, its description and its default."""
    lines = [
        '# SPDX-License-Identifier: Apache-2.0',
        '# Written by tools/parameters.py: every parameter with its default. "Dynamic" parameters '
        'are applied at once,',
        f'# the others at {applied_at}.',
        '/**:',
        '  ros__parameters:',
    ]
    group = ''
    for option in sorted_by_group(options_of(options)):
        prefix, _, name = option.name.rpartition('.')
        if prefix != group and prefix:
            lines.append(f'    {prefix}:')
        group, indent = prefix, '      ' if prefix else '    '
        lines += textwrap.wrap(
            _comment(option),
            WIDTH,
            initial_indent=f'{indent}# ',
            subsequent_indent=f'{indent}# ',
            break_on_hyphens=False,
        )
        lines.append(f'{indent}{name}: {_yaml(option.default)}')
    return '\n'.join(lines) + '\n'


def _comment(option: Option) -> str:
    unit = f' [{option.unit}]' if option.unit else ''
    parts = [part for part in (option.constraint, 'dynamic' if option.dynamic else '') if part]
    return option.description + unit + (f' ({"; ".join(parts)})' if parts else '')


def _yaml(value: Value) -> str:
    if value == 'nan':  # a text for PyYAML, but a number for rcl
        return "'nan'"
    text: str = yaml.safe_dump(value)
    return text.removesuffix('\n').removesuffix('\n...')


def parameter_table(options: Sequence[Option]) -> str:
    """Return a table of ROS parameters in Markdown."""
    rows = [
        '| parameter | type | default | unit | values | dynamic | description |',
        '|---|---|---|---|---|---|---|',
    ]
    rows += [
        f'| `{each.name}` | {ROS_TYPES[each.type]} | {_code(each.default)} | {each.unit} | '
        f'{each.constraint} | {"yes" if each.dynamic else ""} | {each.description} |'
        for each in sorted_by_group(options)
    ]
    return '\n'.join(rows) + '\n'


def flag_table(options: Sequence[Option]) -> str:
    """Return a table of command-line flags in Markdown."""
    rows = ['| flag | default | unit | values | description |', '|---|---|---|---|---|']
    for each in options:
        flags = ', '.join(f'`{flag}`' for flag in _flags(each))
        rows.append(
            f'| {flags} | {_code(each.default)} | {each.unit} | {each.constraint} '
            f'| {each.description} |'
        )
    return '\n'.join(rows) + '\n'


def _flags(option: Option) -> Iterator[str]:
    yield from option.flags
    if option.type is bool:
        yield from (flag.replace('--', '--no-', 1) for flag in option.flags)


def _code(value: Value) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'`{text}`' if text else ''


def parameters_page() -> str:
    """Return docs/parameters.md."""
    return f"""\
# Parameters and flags

<!-- Written by tools/parameters.py; do not edit. -->

Each option is declared once, in a dataclass; ROS parameters, launch arguments, parameter files,
command-line flags, the goal of `Refine.action` and this page are generated from it. *Dynamic*
parameters are applied at once. In a launch file every parameter is an argument of the same name;
an empty argument leaves the parameter file in effect.

## Live node

`config/live.yaml` has all parameters. Those that are not dynamic are applied at the next
configure. `multi_camera.launch.py` gives them to the nodes of all cameras.

{parameter_table(options_of(LiveParameters))}
## Offline node

`config/offline.yaml` has all parameters. Those that are not dynamic are applied at the next goal.
A goal of `Refine.action` has the options of `videodepth refine`; the parameter of the same name
replaces a field that is empty or zero.

{parameter_table(options_of(OfflineParameters))}
## videodepth refine

`--image-topic` may be repeated: each camera has its own folder in OUT_BAG.

{flag_table(options_of(RefineSettings))}
## videodepth run-bag

{flag_table(options_of(RunBagOptions))}"""


def refine_action() -> str:
    """Return action/Refine.action with the goal fields of all options of `refine`."""
    text = (ROOT / 'action/Refine.action').read_text()
    head, _, rest = text.partition(GOAL_MARK)
    _, line, tail = rest.partition('---\n')
    return head + GOAL_MARK + ''.join(map(_goal_field, options_of(RefineSettings))) + line + tail


def _goal_field(option: Option) -> str:
    default = ' true' if option.default is True else ''
    comment = textwrap.wrap(_comment(option), WIDTH, initial_indent='# ', subsequent_indent='# ')
    return '\n'.join(comment) + f'\n{ACTION_TYPES[option.type]} {option.name}{default}\n'


FILES: dict[str, Callable[[], str]] = {
    'config/live.yaml': lambda: config_yaml(LiveParameters, 'the next configure'),
    'config/offline.yaml': lambda: config_yaml(OfflineParameters, 'the next goal'),
    'docs/parameters.md': parameters_page,
    'action/Refine.action': refine_action,
}


def outdated() -> list[str]:
    """Return the files whose content does not follow from the declarations."""
    return [
        name
        for name, content in FILES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text() != content()
    ]


def main() -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description='Write the files that follow from options.')
    parser.add_argument('--check', action='store_true', help='write nothing; exit 1 if outdated')
    check = parser.parse_args().check
    names = outdated()
    for name in names:
        if not check:
            (ROOT / name).write_text(FILES[name]())
        print(f'{"outdated" if check else "written"}: {name}')
    return 1 if check and names else 0


if __name__ == '__main__':
    raise SystemExit(main())
