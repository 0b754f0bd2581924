# SPDX-License-Identifier: Apache-2.0
"""ROS parameters that are generated from declared options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.options import Option, from_values, options_of

Options = TypeVar('Options')
NAN = 'nan'


def declare_parameters(node: Node, options: type, applied_at: str) -> None:
    """Declare the options of a dataclass as parameters of a node.

    applied_at  when a parameter that is not dynamic takes effect, such as ``the next configure``
    """
    for option in options_of(options):
        node.declare_parameter(option.name, option.default, descriptor(option, applied_at))


def read_parameters(node: Node, options: type[Options]) -> Options:
    """Return the values of the parameters of a node as a dataclass of options.

    Raise ConfigError if a value is not allowed.
    """
    return from_values(
        options,
        {
            option.name: _value(option, node.get_parameter(option.name))
            for option in options_of(options)
        },
    )


def find_error(changes: Sequence[Parameter], options: type) -> str:
    """Return why one of the new parameter values is not allowed; empty if all are."""
    declared = {option.name: option for option in options_of(options)}
    try:
        for change in changes:
            if change.name in declared:
                declared[change.name].check(_value(declared[change.name], change))
    except ConfigError as error:
        return str(error)
    return ''


def find_static_change(node: Node, changes: Sequence[Parameter], options: type) -> str:
    """Return why a change must wait for the next configure; empty if none must."""
    static = {each.name for each in options_of(options) if not each.dynamic}
    for change in changes:
        is_new = change.value != node.get_parameter_or(change.name, change).value
        if change.name in static and is_new:
            return (
                f'{change.name} cannot change while the node is configured: '
                'deactivate, clean up, set it, and configure again'
            )
    return ''


def descriptor(option: Option, applied_at: str) -> ParameterDescriptor:
    """Return the descriptor of a parameter, as shown by ``ros2 param describe``."""
    unit = f' [{option.unit}]' if option.unit else ''
    when = '' if option.dynamic else f' Applied at {applied_at}.'
    message = ParameterDescriptor(
        name=option.name,
        description=option.description + unit + when,
        additional_constraints=option.constraint,
    )
    message.dynamic_typing = _reads_as_number(option)
    if option.type is int:
        message.integer_range = [
            IntegerRange(from_value=int(option.minimum), to_value=int(option.maximum))
        ]
    if option.type is float:
        message.floating_point_range = [
            FloatingPointRange(from_value=option.minimum, to_value=option.maximum)
        ]
    return message


def _reads_as_number(option: Option) -> bool:
    """Return whether rcl takes a choice of an option for a number where it has no quotes: nan."""
    return NAN in option.choices


def _value(option: Option, parameter: Parameter) -> Any:
    """Return the value of a parameter; the text of a choice that rcl has read as a number."""
    value = parameter.value
    is_nan = _reads_as_number(option) and isinstance(value, float) and math.isnan(value)
    return NAN if is_nan else value
