# SPDX-License-Identifier: Apache-2.0
"""The parameters of the live node, each declared once.

One declaration makes the field of ``LiveParameters``, the descriptor that ROS tools show, the
check of a new value, and the row of the documentation's table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from videodepth_ros.engines.open import ENGINES
from videodepth_ros.errors import ConfigError
from videodepth_ros.models.catalogue import cards

Value = bool | int | float | str

ROS_TYPES = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}


@dataclass(frozen=True)
class Declaration:
    """What is known of one parameter.

    least, greatest  range, inclusive, of a number
    choices          the only values, of a string
    dynamic          a change takes effect at once; otherwise at the next configure
    """

    name: str
    default: Value
    sentence: str
    unit: str = ''
    least: float = -math.inf
    greatest: float = math.inf
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    @property
    def constraint(self) -> str:
        """The values that are allowed, in words; empty where the type says all."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        if not isinstance(self.default, bool | str):
            return f'{self.least:.9g} to {self.greatest:.9g}'
        return ''

    def check(self, value: object) -> Value:
        """Return the value as this parameter's type.

        raises  ConfigError if it is none of the values that are allowed
        """
        wanted = type(self.default)
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            hint = ' (write 2.0 for 2)' if wanted is float else ''
            raise ConfigError(f'{self.name} is {value!r}; give a {ROS_TYPES[wanted]}{hint}')
        outside = (isinstance(value, int | float)
                   and not self.least <= value <= self.greatest)
        if outside or (self.choices and value not in self.choices):
            raise ConfigError(f'{self.name} is {value!r}; give {self.constraint}'
                              + (f' {self.unit}' if self.unit else ''))
        assert isinstance(value, bool | int | float | str)
        return value

    def descriptor(self) -> ParameterDescriptor:
        """Return what ``ros2 param describe`` shows."""
        when = '' if self.dynamic else ' A change takes effect at the next configure.'
        unit = f' [{self.unit}]' if self.unit else ''
        message = ParameterDescriptor(name=self.name, description=self.sentence + unit + when,
                                      additional_constraints=self.constraint)
        if type(self.default) is int:
            message.integer_range = [IntegerRange(from_value=int(self.least),
                                                  to_value=int(self.greatest))]
        if type(self.default) is float:
            message.floating_point_range = [FloatingPointRange(from_value=self.least,
                                                               to_value=self.greatest)]
        return message


def _declare(name: str, default: Value, sentence: str, **rest: Any) -> Any:
    return field(default=default, metadata={'': Declaration(name, default, sentence, **rest)})


@dataclass(frozen=True)
class LiveParameters:
    """The values of all parameters of one live node at one time."""

    autostart: bool = _declare(
        'autostart', True, 'Configure and activate the node when it starts.')
    model: str = _declare(
        'model', 'nano', 'Network that computes the depth, by its name in the catalogue.',
        choices=tuple(card.name for card in cards()))
    engine: str = _declare(
        'engine', 'auto', 'What runs the network; auto is ONNX Runtime.',
        choices=ENGINES)
    threads: int = _declare(
        'threads', 0, 'CPU threads of the network; 0 leaves the number to the engine.',
        least=0, greatest=256)
    max_pixels: int = _declare(
        'max_pixels', 0, 'Budget for the size of the network, whose aspect is that of the image; '
        "0 takes the model's own.", unit='px', least=0, greatest=2**24)
    image_transport: str = _declare(
        'image_transport', 'auto', 'Topic to listen to: image (raw) or image/compressed; auto '
        'takes the one that is published, raw before compressed.',
        choices=('auto', 'raw', 'compressed'))
    image_reliability: str = _declare(
        'image_reliability', 'auto', 'Reliability to ask of the camera; auto takes what it '
        'offers.',
        choices=('auto', 'best_effort', 'reliable'))
    rectify: str = _declare(
        'rectify', 'auto', 'Whether to take out the distortion that camera_info describes; auto '
        'does unless the name of the image topic holds "rect".',
        choices=('auto', 'always', 'never'))
    image_timeout_s: float = _declare(
        'image_timeout_s', 2.0, 'Silence of the camera after which the node says that it waits.',
        unit='s', least=0.1, greatest=3600.0, dynamic=True)
    output: str = _declare(
        'output', 'camera', 'Size of the depth: that of the image or that of the network.',
        choices=('camera', 'network'), dynamic=True)
    max_range_m: float = _declare(
        'max_range_m', 100.0, 'Depth beyond which nothing counts as hit (+inf); 0: no limit.',
        unit='m', least=0.0, greatest=1e5, dynamic=True)
    edge_ratio: float = _declare(
        'edge_ratio', 1.25, 'Ratio of neighbouring depths that makes them two surfaces: what '
        'hangs in between is unknown (NaN); 1 keeps every pixel.',
        least=1.0, greatest=100.0, dynamic=True)
    max_gap_s: float = _declare(
        'max_gap_s', 2.0, 'Step between two stamps above which the stream starts afresh.',
        unit='s', least=0.01, greatest=3600.0, dynamic=True)
    keep_state_warm: bool = _declare(
        'keep_state_warm', False, 'Compute while nobody subscribes, so that the first depth that '
        'somebody gets is already steady.', dynamic=True)
    scale_factor: float = _declare(
        'scale.factor', 1.0, 'Multiplies every depth.', least=1e-6, greatest=1e6, dynamic=True)
    cloud_stride: int = _declare(
        'cloud.stride', 4, 'One point for so many columns and rows of the depth.',
        unit='px', least=1, greatest=64, dynamic=True)
    cloud_max_range_m: float = _declare(
        'cloud.max_range_m', 30.0, 'Points with a greater depth are left out (NaN); 0: no limit.',
        unit='m', least=0.0, greatest=1e5, dynamic=True)
    cloud_max_rate_hz: float = _declare(
        'cloud.max_rate_hz', 0.0, 'Clouds a second of data time at most; 0: one for every depth.',
        unit='Hz', least=0.0, greatest=1000.0, dynamic=True)
    status_period_s: float = _declare(
        'status_period_s', 1.0, 'Time between two messages on ~/status and on /diagnostics.',
        unit='s', least=0.05, greatest=60.0)


DECLARATIONS: tuple[Declaration, ...] = tuple(f.metadata[''] for f in fields(LiveParameters))
"""All declarations, in the order of the documentation."""


def live_parameters(values: Mapping[str, object]) -> LiveParameters:
    """Return the checked values by parameter name; what is not given has its default.

    raises  ConfigError if a value is not allowed or a name is not known
    """
    unknown = sorted(set(values) - {declaration.name for declaration in DECLARATIONS})
    if unknown:
        raise ConfigError(f'no such parameter: {", ".join(unknown)}; '
                          'config/live.yaml lists all of them')
    given = {f.name: f.metadata[''].check(values[f.metadata[''].name])
             for f in fields(LiveParameters) if f.metadata[''].name in values}
    return LiveParameters(**given)


def markdown_table() -> str:
    """Return the documentation's table of parameters."""
    rows = ['| parameter | type | default | unit | values | at run time | what it does |',
            '|---|---|---|---|---|---|---|']
    for d in DECLARATIONS:
        default = str(d.default).lower() if isinstance(d.default, bool) else str(d.default)
        rows.append(f'| `{d.name}` | {ROS_TYPES[type(d.default)]} | `{default}` | {d.unit} | '
                    f'{d.constraint} | {"yes" if d.dynamic else "no"} | {d.sentence} |')
    return '\n'.join(rows) + '\n'
