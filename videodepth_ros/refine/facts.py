# SPDX-License-Identifier: Apache-2.0
"""The outcome of a refinement job."""

from __future__ import annotations

from dataclasses import dataclass

from videodepth_ros.core.stage_clock import StageTime


@dataclass(frozen=True)
class RefineFacts:
    """What a job has refined and written; the fields of ``videodepth refine --json``.

    frames, left_out  number of frames that were refined, and left out for reasons in ``notes``
    seconds           wall time of the call
    scale_source      where the metres come from; ``none``: the unit is arbitrary
    path_length_m     of the camera; in metres if ``scale_source`` is metric; None: no poses
    up_from           where the map's z axis comes from, see `GravityAlignment`; None: no poses
    lost              messages of the recording that could not be read, in words
    notes             warnings on the results
    outputs           files and folders that were written
    pieces            first and last frame of each run of frames whose poses hang together, and the
                      number of its sub-map: runs of one sub-map are joined; (): no poses
    focal_px, focal_sigma_px  focal length that the bundle adjustment has estimated, in pixels of
                      the camera's images, and its uncertainty (one sigma); None: not estimated
    lens              name, value and uncertainty of what was calibrated from the images: fx, k1
                      and k2 of OpenCV, cx, cy, in pixels of the camera's images; (): nothing
    readout_s         readout time of a rolling shutter, and its uncertainty; None: not found
    stages            wall and processor time of the stages of this run: those that an earlier one
                      has done take none; stereo depth is finished while it is written
    prior_frames      first and last frame of each run of frames whose depth is that of the prior,
                      since the views do not agree on another
    duration_s        of the recording, from its first message to the last; None: not indexed
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
    pieces: tuple[tuple[int, int, int], ...] = ()
    focal_px: float | None = None
    focal_sigma_px: float | None = None
    lens: tuple[tuple[str, float, float], ...] = ()
    readout_s: tuple[float, float] | None = None
    stages: tuple[StageTime, ...] = ()
    prior_frames: tuple[tuple[int, int], ...] = ()
    duration_s: float | None = None
