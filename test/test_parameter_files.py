# SPDX-License-Identifier: Apache-2.0
"""Parameter files, documentation and action, which follow from the declared options."""

from __future__ import annotations

import pytest
import yaml

from test.support.parameter_trees import flat
from tools import parameters
from videodepth_ros.core.options import options_of
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.offline_parameters import OfflineParameters
from videodepth_ros.refine.settings import RefineSettings


@pytest.mark.parametrize('name', parameters.FILES)
def test_a_written_file_is_up_to_date(name):
    assert name not in parameters.outdated(), 'run `python -m tools.parameters`'


@pytest.mark.parametrize(
    ('name', 'options'), [('live', LiveParameters), ('offline', OfflineParameters)]
)
def test_a_parameter_file_has_every_parameter_with_its_default(root, name, options):
    tree = yaml.safe_load((root / f'config/{name}.yaml').read_text())['/**']['ros__parameters']
    values = flat(tree)
    assert values == {each.name: each.default for each in options_of(options)}
    assert all(type(values[each.name]) is each.type for each in options_of(options))


def read_by_rcl(options, *arguments):
    """Return the options that a node reads from the command line of a ROS program."""
    rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    from rclpy.node import Node

    from videodepth_ros.nodes.ros_parameters import declare_parameters, read_parameters

    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = Node('probe', context=context, cli_args=['--ros-args', *arguments])
        declare_parameters(node, options, 'once')
        found = read_parameters(node, options)
        node.destroy_node()
    finally:
        context.try_shutdown()
    return found


@pytest.mark.ros
@pytest.mark.parametrize(
    ('name', 'options'), [('live', LiveParameters), ('offline', OfflineParameters)]
)
def test_rcl_reads_the_defaults_from_a_parameter_file(root, name, options):
    found = read_by_rcl(options, '--params-file', str(root / f'config/{name}.yaml'))
    assert found == options()


@pytest.mark.ros
@pytest.mark.parametrize('text', ['nan', 'zero'])
def test_rcl_reads_a_choice_without_quotes(text):
    found = read_by_rcl(LiveParameters, '-p', f'depth.invalid_value:={text}')
    assert found.depth_invalid_value == text


@pytest.mark.parametrize('options', [LiveParameters, OfflineParameters])
def test_a_table_has_a_row_for_each_parameter(options):
    rows = parameters.parameter_table(options_of(options)).splitlines()
    assert len(rows) == 2 + len(options_of(options))
    assert {row.split('`')[1] for row in rows[2:]} == {each.name for each in options_of(options)}
    assert {row.count('|') for row in rows} == {8}


def test_the_built_action_has_every_option():
    action = pytest.importorskip('videodepth.action', reason='the package is not built')
    fields = action.Refine.Goal.get_fields_and_field_types()
    assert set(fields) == {'bag', 'output', 'play', *(o.name for o in options_of(RefineSettings))}
    for option in options_of(RefineSettings):
        ros_type = {'bool': 'boolean', 'float64': 'double'}
        expected = parameters.ACTION_TYPES[option.type]
        assert fields[option.name] == ros_type.get(expected, expected)


def test_a_new_option_reaches_every_file(monkeypatch):
    """The only other change is its declaration."""
    from dataclasses import dataclass

    from videodepth_ros.core.options import option

    @dataclass(frozen=True, kw_only=True)
    class Extended(RefineSettings):
        blur_px: float = option(1.5, 'Blur of depth.', unit='px', minimum=0.0, maximum=9.0)

    monkeypatch.setattr(parameters, 'RefineSettings', Extended)
    assert 'float64 blur_px\n' in parameters.refine_action()
    assert '| `--blur-px` | `1.5` | px | 0 to 9 | Blur of depth. |' in parameters.parameters_page()
    assert '    # Blur of depth. [px] (0 to 9)\n    blur_px: 1.5\n' in parameters.config_yaml(
        Extended, 'the next goal'
    )
