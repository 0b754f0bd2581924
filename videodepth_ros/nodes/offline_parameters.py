# SPDX-License-Identifier: Apache-2.0
"""The parameters of the offline node, each declared once, and goals made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videodepth_ros.bags.bag_file import SCANNERS
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.engines.open import ENGINES
from videodepth_ros.nodes.declaration import checked, declarations_of, declare
from videodepth_ros.nodes.job_process import Request
from videodepth_ros.nodes.playlist import Sources
from videodepth_ros.refine.image_sequence import FrameRange
from videodepth_ros.refine.settings import DEFAULTS, Method, Pairs, RefineSettings
from videodepth_ros.results.bag import DepthEncoding
from videodepth_ros.rollingdepth.settings import PRESETS

AUTO = 'auto'
FAR_S = 1e6  # eleven days


@dataclass(frozen=True)
class OfflineParameters:
    """The values of all parameters of one offline node at one time."""

    bag: str = declare(
        'bag', '', 'Recording to refine when the node starts; empty: wait for goals.'
    )
    output: str = declare(
        'output',
        '',
        'Recording to write; where it is there already, it is only played. Empty: '
        'beside the recording, with _refined behind its name.',
    )
    method: str = declare(
        'method',
        Method.ALIGN3R.value,
        'What makes the depth consistent.',
        choices=tuple(method.value for method in Method),
    )
    prior: str = declare(
        'prior',
        'nano',
        "First guess of each frame's depth: a network, or bag for the depth "
        'images of the recording.',
    )
    pairs: str = declare(
        'pairs',
        AUTO,
        'What compares two frames; auto is geometric, and none with the methods '
        'that give no poses.',
        choices=(AUTO, *(pairs.value for pairs in Pairs)),
    )
    image_topic: str = declare(
        'image_topic', '', 'Images of the camera; empty: found where the recording has but one.'
    )
    camera_info_topic: str = declare(
        'camera_info_topic',
        '',
        'Its calibration; empty: found beside the images; none: left out, where it does not fit.',
    )
    start_s: float = declare(
        'start_s',
        0.0,
        'Time of the recording to leave out at its beginning.',
        unit='s',
        least=0.0,
        greatest=FAR_S,
    )
    end_s: float = declare(
        'end_s',
        0.0,
        'Time from the beginning of the recording to stop at; 0: its end.',
        unit='s',
        least=0.0,
        greatest=FAR_S,
    )
    stride: int = declare('stride', 1, 'Every stride-th frame is used.', least=1, greatest=10_000)
    frames: int = declare(
        'frames', 0, 'Frames to use at most; 0: all.', least=0, greatest=10_000_000
    )
    path_length_m: float = declare(
        'path_length_m',
        0.0,
        'Known length of the way of the camera, which then sets the scale; 0: not known.',
        unit='m',
        least=0.0,
        greatest=1e7,
    )
    depth_encoding: str = declare(
        'depth_encoding',
        DepthEncoding.METRES.value,
        'How depth images are written: metres, '
        'millimetres (up to 65.5 m), or compressed; the last two cannot say that nothing was hit, '
        'which is unknown in them.',
        choices=tuple(encoding.value for encoding in DepthEncoding),
    )
    copy_topics: bool = declare(
        'copy_topics', False, "Whether to write the recording's own topics too."
    )
    preset: str = declare(
        'preset',
        DEFAULTS.preset,
        'Of rollingdepth, as in its release.',
        choices=tuple(known.name for known in PRESETS),
    )
    engine: str = declare(
        'engine', DEFAULTS.engine, 'What runs a streaming prior.', choices=ENGINES
    )
    depth_topic: str = declare(
        'depth_topic', '', 'Depth for the prior bag; empty: found where the recording has but one.'
    )
    clip: int = declare(
        'clip', DEFAULTS.clip, 'Frames from one keyframe to the next.', least=2, greatest=1000
    )
    max_pixels: int = declare(
        'max_pixels',
        DEFAULTS.max_pixels,
        'Budget of the depth maps that are aligned.',
        unit='px',
        least=64 * 48,
        greatest=4096 * 4096,
    )
    processes: int = declare(
        'processes',
        DEFAULTS.processes,
        'Processes that align clips; 0: one for each core.',
        least=0,
        greatest=1000,
    )
    odometry: bool = declare(
        'odometry',
        DEFAULTS.odometry,
        "Whether the recording's odometry may set scale and "
        'shape of the trajectory: a nav_msgs/Odometry topic, or the frame odom above the camera.',
    )
    max_range_m: float = declare(
        'max_range_m',
        DEFAULTS.max_range_m,
        'Depth beyond which nothing counts as hit (+inf); 0: no limit.',
        unit='m',
        least=0.0,
        greatest=1e5,
    )
    voxel_m: float = declare(
        'voxel_m',
        DEFAULTS.voxel_m,
        'Edge of the voxels that thin cloud.ply; 0: by its extent.',
        unit='m',
        least=0.0,
        greatest=1000.0,
    )
    play: bool = declare('play', True, 'Whether to play the results when they are written.')
    play_topics: str = declare(
        'play_topics',
        'camera',
        'What of the recording is played beside the results: its camera '
        'and transforms, everything, or nothing.',
        choices=('camera', 'all', 'none'),
    )
    play_delay_s: float = declare(
        'play_delay_s',
        1.0,
        'Time before the first message, in which subscribers find the topics.',
        unit='s',
        least=0.0,
        greatest=3600.0,
    )
    rate: float = declare(
        'rate',
        1.0,
        'Seconds of the recording that are played in one second.',
        least=0.01,
        greatest=100.0,
        dynamic=True,
    )
    loop: bool = declare(
        'loop', False, 'Whether to play again from the beginning at the end.', dynamic=True
    )
    clock_rate_hz: float = declare(
        'clock_rate_hz',
        100.0,
        'Messages on /clock a second, beside one for each message that is played.',
        unit='Hz',
        least=1.0,
        greatest=1000.0,
        dynamic=True,
    )
    cloud_stride: int = declare(
        'cloud.stride',
        4,
        'One point for so many columns and rows of the depth.',
        unit='px',
        least=1,
        greatest=64,
        dynamic=True,
    )
    cloud_max_range_m: float = declare(
        'cloud.max_range_m',
        30.0,
        'Points with a greater depth are left out (NaN); 0: no limit.',
        unit='m',
        least=0.0,
        greatest=1e5,
        dynamic=True,
    )
    status_period_s: float = declare(
        'status_period_s',
        1.0,
        'Time between two messages on ~/status and on /diagnostics.',
        unit='s',
        least=0.05,
        greatest=60.0,
    )


DECLARATIONS = declarations_of(OfflineParameters)
"""All declarations, in the order of the documentation."""

_DECLARED = {declaration.name: declaration for declaration in DECLARATIONS}


def offline_parameters(values: Mapping[str, object]) -> OfflineParameters:
    """Return the checked values by parameter name; what is not given has its default.

    raises  ConfigError if a value is not allowed or a name is not known
    """
    return checked(OfflineParameters, values, 'config/offline.yaml')


def request_from(goal: Any, parameters: OfflineParameters) -> Request:
    """Return what a goal of Refine.action asks for; what it leaves empty or zero, the parameters.

    raises  ConfigError if there is no such recording, or a value is not allowed
    """

    def value(name: str) -> Any:
        return _DECLARED[name].check(getattr(goal, name) or getattr(parameters, name))

    bag = _existing(value('bag'))
    pairs = value('pairs')
    return Request(
        bag,
        output_of(bag, value('output')),
        RefineSettings(
            method=Method(value('method')),
            prior=value('prior'),
            pairs=None if pairs == AUTO else Pairs(pairs),
            image_topic=value('image_topic') or None,
            camera_info_topic=value('camera_info_topic') or None,
            selection=FrameRange(
                value('start_s'), value('end_s'), value('stride'), value('frames')
            ),
            path_length_m=value('path_length_m'),
            depth_encoding=DepthEncoding(value('depth_encoding')),
            copy_topics=value('copy_topics'),
            preset=value('preset'),
            engine=value('engine'),
            depth_topic=value('depth_topic') or None,
            clip=value('clip'),
            max_pixels=value('max_pixels'),
            processes=value('processes'),
            odometry=goal.odometry and parameters.odometry,  # either can leave it out
            max_range_m=value('max_range_m'),
            voxel_m=value('voxel_m'),
        ),
    )


def sources_from(parameters: OfflineParameters) -> Sources:
    """Return what the parameters name as the results of a recording."""
    bag = Path(parameters.bag).expanduser().absolute()
    return Sources(
        output_of(bag, parameters.output),
        bag if parameters.bag else None,
        parameters.image_topic or None,
        parameters.camera_info_topic or None,
    )


def output_of(bag: Path, output: str) -> Path:
    """Return where the results of a recording go; ``output`` is empty where nobody has chosen."""
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
