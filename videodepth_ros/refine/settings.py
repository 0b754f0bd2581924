# SPDX-License-Identifier: Apache-2.0
"""Options of the offline job; a new option is declared here and nowhere else.

After a change run ``python -m tools.parameters``: it writes the goal of Refine.action,
config/offline.yaml and docs/parameters.md anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from videodepth_ros.bags.camera_options import CameraTopicOptions
from videodepth_ros.bags.output_options import OutputOptions
from videodepth_ros.core.options import check_options, option
from videodepth_ros.engines.open import ENGINES
from videodepth_ros.refine.image_sequence import FrameRange
from videodepth_ros.rollingdepth.settings import PRESETS

_ELEVEN_DAYS_S = 1e6


class Method(str, Enum):
    """Method that makes the depth of a recording consistent."""

    ALIGN3R = 'align3r'  # global alignment of pairwise point maps
    ROLLINGDEPTH = 'rollingdepth'  # diffusion over snippets, co-aligned
    COALIGN = 'coalign'  # snippets of the streaming model, co-aligned


class Intrinsics(str, Enum):
    """Use of the focal length that camera_info states."""

    GIVEN = 'given'  # constant; a contradiction with the images is reported
    REFINE = 'refine'  # initial value of the focal length in bundle adjustment


class Pairs(str, Enum):
    """Provider of pairwise point maps, and with them of camera poses."""

    GEOMETRIC = 'geometric'  # features, geometry and the depth prior: no weights
    ALIGN3R = 'align3r'  # the network of Align3R
    NONE = 'none'  # no poses, depth only


@dataclass(frozen=True, kw_only=True)
class RefineSettings(OutputOptions, CameraTopicOptions):
    """Options of `videodepth refine`, of the offline node and of Refine.action.

    None in a field: the job finds the topic, or chooses the pairs that fit the method.
    """

    method: Method = option(
        Method.ALIGN3R,
        'Method that makes depth consistent: global alignment of pairs of frames (align3r), '
        'diffusion over snippets (rollingdepth), or co-aligned snippets of the prior (coalign).',
    )
    prior: str = option(
        'nano',
        'Initial depth of each frame: a network of the catalogue, the card of a network of your '
        'own, or bag for a depth topic of the recording.',
    )
    pairs: Pairs | None = option(
        None,
        'Provider of the point maps of pairs, and so of camera poses: features and the prior '
        '(geometric), the network of Align3R, or none; auto: geometric with method align3r, '
        'else none.',
        kind=Pairs,
        unset='auto',
        flags=('--pairs', '--poses'),
    )
    stereo: bool = option(
        True,
        'Refine depth by multi-view stereo where the camera moves and its poses are known; the '
        'depth of the prior fills what stereo cannot see.',
    )
    intrinsics: Intrinsics = option(
        Intrinsics.GIVEN,
        'Focal length: as camera_info states it (given), or estimated from that value on, with '
        'the distortion of the lens (refine); without camera_info it is always estimated.',
    )
    preset: str = option(
        'fast',
        'Preset of RollingDepth, as in its release.',
        choices=tuple(preset.name for preset in PRESETS),
    )
    engine: str = option('auto', 'Inference engine of a streaming prior.', choices=ENGINES)
    depth_topic: str | None = option(
        None, 'Depth topic for the prior bag; empty: the only depth topic of the recording.'
    )
    depth_unit_m: float = option(
        0.0,
        'Unit of the depth images of the prior bag; 0: as in REP-118, millimetres in 16 bits and '
        'metres in floating point; TUM RGB-D has 0.0002.',
        unit='m',
        minimum=0.0,
        maximum=1000.0,
    )
    start_s: float = option(
        0.0,
        'Time after the first image at which to start.',
        unit='s',
        minimum=0.0,
        maximum=_ELEVEN_DAYS_S,
        flags=('--start-s', '--start'),
    )
    end_s: float = option(
        0.0,
        'Time after the first image at which to stop; 0: the end of the recording.',
        unit='s',
        minimum=0.0,
        maximum=_ELEVEN_DAYS_S,
        flags=('--end-s', '--end'),
    )
    stride: int = option(1, 'Use every n-th frame.', minimum=1, maximum=10_000)
    frames: int = option(0, 'Maximum number of frames; 0: all.', minimum=0, maximum=10_000_000)
    max_pixels: int = option(
        320 * 240,
        'Pixel budget of the depth maps that are aligned.',
        unit='px',
        minimum=64 * 48,
        maximum=4096 * 4096,
    )
    clip: int = option(10, 'Frames from one keyframe to the next.', minimum=2, maximum=1000)
    processes: int = option(
        0, 'Processes that align clips; 0: one for each core.', minimum=0, maximum=1000
    )
    path_length_m: float = option(
        0.0,
        'Known length of the camera path, which sets the metric scale; 0: unknown.',
        unit='m',
        minimum=0.0,
        maximum=1e7,
    )
    odometry: bool = option(
        True,
        'Use odometry of the recording for scale and shape of the trajectory: a '
        'nav_msgs/Odometry topic, or the frame odom above the camera in /tf.',
    )
    max_range_m: float = option(
        200.0,
        'Depth beyond which a pixel is +inf (nothing hit); 0: no limit.',
        unit='m',
        minimum=0.0,
        maximum=1e5,
    )
    points_stride: int = option(
        4,
        'Columns and rows of the depth image for one point of videodepth/depth/points.',
        flags=('--points-stride', '--cloud-stride'),
        unit='px',
        minimum=1,
        maximum=64,
    )
    points_max_range_m: float = option(
        30.0,
        'Depth beyond which a point of videodepth/depth/points is NaN; 0: no limit.',
        flags=('--points-max-range-m', '--cloud-max-range-m'),
        unit='m',
        minimum=0.0,
        maximum=1e5,
    )
    occupancy: bool = option(
        False,
        'Write a 2D grid of ground and obstacles: videodepth/map in the bag (latched), map.pgm '
        'and map.yaml for map_server.',
    )
    copy_topics: bool = option(False, 'Copy the topics of the recording into the output.')
    voxel_m: float = option(
        0.0,
        'Voxel size of cloud.ply; 0: chosen from its extent.',
        unit='m',
        minimum=0.0,
        maximum=1000.0,
    )

    def __post_init__(self) -> None:
        check_options(self)
        assert self.selection  # raises ConfigError if the end is before the start

    @property
    def selection(self) -> FrameRange:
        """Selected frames of the recording."""
        return FrameRange(self.start_s, self.end_s, self.stride, self.frames)

    @property
    def chosen_pairs(self) -> Pairs:
        """Provider of pairs; by default the one that fits the method."""
        if self.pairs is not None:
            return self.pairs
        return Pairs.GEOMETRIC if self.method is Method.ALIGN3R else Pairs.NONE


DEFAULTS = RefineSettings()
