# SPDX-License-Identifier: Apache-2.0
"""What an operator may choose for the offline job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.refine.image_sequence import FrameRange
from videodepth_ros.results.bag import DepthEncoding

ALL_FRAMES = FrameRange()


class Method(str, Enum):
    """What makes the depth of a recording consistent."""

    ALIGN3R = 'align3r'  # global alignment of point maps of pairs of frames
    ROLLINGDEPTH = 'rollingdepth'  # diffusion over snippets, co-aligned
    COALIGN = 'coalign'  # snippets of the streaming model, co-aligned


class Pairs(str, Enum):
    """What makes the point maps of pairs, and so the camera's poses."""

    GEOMETRIC = 'geometric'  # features, geometry and the depth prior: no weights
    ALIGN3R = 'align3r'  # the network of Align3R
    NONE = 'none'  # no poses, depth only


@dataclass(frozen=True)
class RefineSettings:
    """How a recording is refined.

    method         what makes depth consistent
    prior          whose depth it begins with: a name of `depth_priors.PRIORS`
    preset         of RollingDepth, a name of `rolling_settings.PRESETS`
    pairs          None: geometric with Method.ALIGN3R, none with the others
    engine         what runs a streaming prior, as for `open_engine`
    image_topic, camera_info_topic, depth_topic   None: found; depth_topic for the prior ``bag``
    selection      which frames
    max_pixels     budget of the depth maps that are aligned
    clip           frames from one keyframe to the next
    processes      that align clips; 0: one for each core
    path_length_m  known length of the camera's path, which then sets the scale; 0: not known
    odometry       whether the bag's odometry may set scale and shape of the trajectory
    max_range_m    nothing was hit beyond this; 0: no limit
    depth_encoding, copy_topics   what the written bag holds: copy_topics the original topics too
    voxel_m        edge of the voxels that thin the cloud; 0: chosen from its extent
    """

    method: Method = Method.ALIGN3R
    prior: str = 'nano'
    preset: str = 'fast'
    pairs: Pairs | None = None
    engine: str = 'auto'
    image_topic: str | None = None
    camera_info_topic: str | None = None
    depth_topic: str | None = None
    selection: FrameRange = ALL_FRAMES
    max_pixels: int = 320 * 240
    clip: int = 10
    processes: int = 0
    path_length_m: float = 0.0
    odometry: bool = True
    max_range_m: float = 0.0
    depth_encoding: DepthEncoding = DepthEncoding.METRES
    copy_topics: bool = False
    voxel_m: float = 0.0

    def __post_init__(self) -> None:
        if self.clip < 2 or self.max_pixels < 64 * 48 or self.processes < 0:
            raise ConfigError(
                f'clip={self.clip}, max_pixels={self.max_pixels}, processes='
                f'{self.processes}: a clip has 2 frames or more, a depth map '
                f'{64 * 48} pixels or more, processes are 0 or more'
            )
        negative = [
            f'{name}={value}'
            for name, value in (
                ('path_length_m', self.path_length_m),
                ('max_range_m', self.max_range_m),
                ('voxel_m', self.voxel_m),
            )
            if not 0 <= value < float('inf')
        ]
        if negative:
            raise ConfigError(f'{", ".join(negative)}: give a length in metres, or 0')

    @property
    def chosen_pairs(self) -> Pairs:
        """What makes the pairs, where nobody has chosen too."""
        if self.pairs is not None:
            return self.pairs
        return Pairs.GEOMETRIC if self.method is Method.ALIGN3R else Pairs.NONE


DEFAULTS = RefineSettings()
