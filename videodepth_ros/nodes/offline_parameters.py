# SPDX-License-Identifier: Apache-2.0
"""Parameters of the offline node, and requests made of goals and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videodepth_ros.bags.bag_file import SCANNERS
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.options import Value, from_values, option, options_of, to_values
from videodepth_ros.nodes.job_process import RefineRequest
from videodepth_ros.nodes.live_parameters import StatusParameters
from videodepth_ros.nodes.playlist import PlaybackSources
from videodepth_ros.refine.settings import RefineSettings
from videodepth_ros.stream.parameters import CloudParameters


@dataclass(frozen=True, kw_only=True)
class RecordingParameters:
    """Recording to refine at start-up."""

    bag: str = option(
        '', 'Recording to refine when the node starts; empty: wait for goals.', is_path=True
    )
    output: str = option(
        '',
        'Recording to write; an existing one is only played; empty: the path of the recording '
        'with _refined appended.',
        is_path=True,
    )


@dataclass(frozen=True, kw_only=True)
class PlaybackParameters:
    """Parameters of the playback of results."""

    play: bool = option(True, 'Play the results when they are written.')
    play_topics: str = option(
        'camera',
        'Topics of the recording that are played beside the results: camera and transforms, all, '
        'or none.',
        choices=('camera', 'all', 'none'),
    )
    play_delay_s: float = option(
        1.0,
        'Time before the first message, for the discovery of subscribers.',
        unit='s',
        minimum=0.0,
        maximum=3600.0,
    )
    rate: float = option(
        1.0,
        'Playback rate: recorded time per wall time.',
        minimum=0.01,
        maximum=100.0,
        dynamic=True,
    )
    loop: bool = option(False, 'Start the playback again at its end.', dynamic=True)
    clock_rate_hz: float = option(
        100.0,
        'Rate of /clock between the messages that are played.',
        unit='Hz',
        minimum=1.0,
        maximum=1000.0,
        dynamic=True,
    )


@dataclass(frozen=True, kw_only=True)
class OfflineParameters(
    StatusParameters, CloudParameters, PlaybackParameters, RefineSettings, RecordingParameters
):
    """Parameters of one offline node at one time."""

    def __post_init__(self) -> None:
        """Accept any combination: parameters are set one by one; a request is checked."""


def request_from(goal: Any, parameters: OfflineParameters) -> RefineRequest:
    """Return the request of a goal of Refine.action.

    The parameter of the same name replaces a field that is empty or zero. A boolean option has
    the value that is not its default if goal or parameter has it.

    Raise ConfigError if the recording is missing or a value is not allowed.
    """
    defaults = to_values(parameters)
    bag = _existing(goal.bag or parameters.bag)
    return RefineRequest(
        bag,
        output_path(bag, goal.output or parameters.output),
        from_values(RefineSettings, _merge(goal, defaults)),
    )


def _merge(goal: Any, defaults: Mapping[str, Value]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for each in options_of(RefineSettings):
        given, default = getattr(goal, each.name), defaults[each.name]
        if each.type is bool and each.default:
            values[each.name] = given and default
        else:
            values[each.name] = given or default
    return values


def sources_from(parameters: OfflineParameters) -> PlaybackSources:
    """Return the results and the recording that the parameters name."""
    bag = Path(parameters.bag).expanduser().absolute()
    return PlaybackSources(
        output_path(bag, parameters.output),
        bag if parameters.bag else None,
        parameters.image_topic,
        parameters.camera_info_topic,
    )


def output_path(bag: Path, output: str) -> Path:
    """Return the folder of the results of a recording; beside it if ``output`` is empty."""
    if output:
        return Path(output).expanduser().absolute()
    name = bag.stem if bag.suffix in SCANNERS else bag.name
    return bag.with_name(f'{name}_refined')


def _existing(bag: str) -> Path:
    if not bag:
        raise ConfigError("bag is ''; give the folder or file of a recording")
    path = Path(bag).expanduser().absolute()
    if not path.exists():
        raise ConfigError(f'bag {path} does not exist; give the folder or file of a recording')
    return path
