# SPDX-License-Identifier: Apache-2.0
"""Deprecated module of version 0.1; import `videodepth_ros.alignment`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from videodepth_ros.alignment import global_alignment
from videodepth_ros.alignment.constraints import Constraints as Priors
from videodepth_ros.alignment.constraints import RelativePose as Odometry
from videodepth_ros.alignment.constraints import ScaleReference as ScaleFrom
from videodepth_ros.alignment.global_alignment import GlobalAlignment
from videodepth_ros.alignment.options import AlignmentOptions, FocalModel
from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.alignment.problem import Cost
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.offline import accept_old_keywords

__all__ = [
    'AS_PUBLISHED',
    'NO_PRIORS',
    'Alignment',
    'Cost',
    'FocalModel',
    'Intrinsics',
    'Odometry',
    'PointMapPair',
    'Priors',
    'ScaleFrom',
    'Settings',
    'align',
]

Settings = accept_old_keywords(
    AlignmentOptions,
    focal='focal_model',
    smoothing='rotation_smoothing',
    pixels='max_pixels',
    levels='grid_levels',
    iterations='max_iterations',
    tolerance='function_tolerance',
)
AS_PUBLISHED, NO_PRIORS = AlignmentOptions(), Priors()


@dataclass(frozen=True)
class Alignment(GlobalAlignment):
    """Result with the field `scale_from` of version 0.1."""

    @property
    def scale_from(self) -> ScaleFrom:
        """Return `scale_reference`."""
        return self.scale_reference


def align(
    pairs: Sequence[PointMapPair],
    settings: AlignmentOptions = AS_PUBLISHED,
    priors: Priors = NO_PRIORS,
) -> Alignment:
    """Align pairs, as `videodepth_ros.alignment.align`."""
    return Alignment(**vars(global_alignment.align(pairs, settings, priors)))


warnings.warn(
    'videodepth_ros.offline.alignment is deprecated; import videodepth_ros.alignment',
    DeprecationWarning,
    stacklevel=2,
)
