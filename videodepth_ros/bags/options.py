# SPDX-License-Identifier: Apache-2.0
"""Tuning constants of reading and importing recordings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StampOptions:
    """Rejection of stamps that are out of order."""

    # Gap after which a short run of messages is rejected [median periods]: a pause of the camera
    # is followed by many frames, a wrong stamp by few.
    max_gap_periods: int = 1000
    # Messages in a run that is never rejected.
    min_run: int = 3
    # Share of stamps in their longest increasing subsequence below which none is used.
    min_increasing: float = 0.5


@dataclass(frozen=True)
class TopicOptions:
    """Choice among several image topics."""

    # Images of a raw topic below which its compressed one is used [share of the latter].
    min_raw_share: float = 0.9
    # Images of a topic below which it is no camera [share of those of the fullest topic].
    min_camera_share: float = 0.02


@dataclass(frozen=True)
class ScanOptions:
    """Recovery of damaged files."""

    # Length of a record above which its header is damaged [bytes].
    max_record_bytes: int = 1 << 30
    # Rows of a database that a damaged place spans at most.
    max_row_gap: int = 100_000
    # Block that a compressed file is decompressed by [bytes].
    block_bytes: int = 1 << 20


@dataclass(frozen=True)
class ClockOptions:
    """Comparison of stamps with the times of recording."""

    # Difference below which both are of the same clock [ns].
    max_offset_ns: int = 10_000_000_000


@dataclass(frozen=True)
class FootageOptions:
    """Import of videos and folders of images."""

    # Frame rate of a folder of images [Hz].
    folder_rate_hz: float = 30.0
    # Quality of the JPEG images made of video frames [0, 100].
    jpeg_quality: int = 95
    # Stamp of the first image where footage has only relative times [ns]; 0 is an unset time.
    first_stamp_ns: int = 1_000_000_000


@dataclass(frozen=True)
class FileStampOptions:
    """Stamps in the names of image files."""

    # Range of the median time between two images [s]; outside of it names hold no stamps.
    min_gap_s: float = 1e-4
    max_gap_s: float = 3600.0


TOPICS = TopicOptions()
STAMPS = StampOptions()
SCANNING = ScanOptions()
CLOCK = ClockOptions()
FOOTAGE = FootageOptions()
FILE_STAMPS = FileStampOptions()
