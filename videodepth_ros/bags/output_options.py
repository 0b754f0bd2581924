# SPDX-License-Identifier: Apache-2.0
"""Options of the depth recordings that `videodepth run-bag` and `videodepth refine` write."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from videodepth_ros.core.options import option


class Compression(str, Enum):
    """Compression of the chunks of an mcap file."""

    ZSTD = 'zstd'
    NONE = 'none'


class DepthEncoding(str, Enum):
    """Encoding of the depth images."""

    METRES = '32FC1'  # float32: REP-118's canonical form
    MILLIMETRES = '16UC1'  # up to 65.535 m; 0 is unknown or nothing hit
    COMPRESSED = 'compressed'  # compressedDepth of 32FC1: 16-bit inverse depth in PNG


class ConfidenceEncoding(str, Enum):
    """Encoding of the confidence images: the value that stands for confidence 1."""

    FLOAT = '32FC1'  # 1.0
    BYTE = 'mono8'  # 255
    SHORT = '16UC1'  # 65535


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Topics of a depth recording, and how they are stored."""

    points: bool = option(
        False, 'Write videodepth/depth/points, an organised PointCloud2 of each frame.'
    )
    confidence: bool = option(
        True,
        'Write videodepth/depth/confidence: 1 - expected relative error of depth; in refine '
        'with the pairs of Align3R and no stereo, a rank of the pixels.',
    )
    min_confidence: float = option(
        0.0,
        'Minimum confidence of the pixels of points and, in refine, of cloud.ply; 0: chosen.',
        minimum=0.0,
        maximum=1.0,
    )
    depth_encoding: DepthEncoding = option(
        DepthEncoding.METRES,
        'Encoding of depth images: metres, millimetres up to 65.5 m, or compressed metres; the '
        'last two store +inf (nothing hit) as unknown.',
    )
    confidence_encoding: ConfidenceEncoding = option(
        ConfidenceEncoding.FLOAT,
        'Encoding of confidence images: 0 to 1 as float (32FC1), 0 to 255 (mono8) or 0 to 65535 '
        '(16UC1).',
    )
    compression: Compression = option(
        Compression.ZSTD, 'Compression of the chunks of the mcap file.'
    )


OUTPUT = OutputOptions()
