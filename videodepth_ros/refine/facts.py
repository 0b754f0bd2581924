# SPDX-License-Identifier: Apache-2.0
"""The outcome of a refinement job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RefineFacts:
    """What became of a recording.

    frames, left_out  refined; and left out for what ``notes`` say
    seconds           wall time of this call
    scale_source      where the metres come from; ``none`` where the unit is arbitrary
    path_length_m     of the camera, in metres as far as ``scale_source`` says; None: no poses
    up_from           what knew the map's z axis; None: no poses
    lost              what could not be read of the recording, in words
    notes             what a reader of the results should know
    outputs           files and folders that were written
    """

    frames: int
    left_out: int
    seconds: float
    method: str
    prior: str
    pairs: str
    scale_source: str
    path_length_m: float | None
    up_from: str | None
    lost: str | None
    notes: tuple[str, ...]
    outputs: tuple[str, ...]
