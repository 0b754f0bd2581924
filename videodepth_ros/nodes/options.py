# SPDX-License-Identifier: Apache-2.0
"""Periods, timeouts and limits of the nodes; what users set are ROS parameters instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LiveNodeOptions:
    """Options of a live node, its worker and its health monitor."""

    watch_period_s: float = 0.1  # check of publishers, subscribers and the worker [s]
    worker_period_s: float = 0.1  # check of an idle worker for its end or a size to open [s]
    stop_timeout_s: float = 2.0  # wait of a transition for the frame in flight [s]
    build_log_period_s: float = 15.0  # log of a build; /diagnostics has every status [s]
    log_period_s: float = 5.0  # log of rejected images [s]
    calibration_wait_s: float = 0.02  # from an image to the camera_info of its stamp [s]
    info_reply_s: float = 1.0  # time for a latched camera_info to be sent again [s]
    calibrations_kept: int = 16  # camera_info messages of the last stamps
    storm_window_s: float = 10.0  # window in which rejected images and resets are a warning [s]
    storm_resets: int = 3  # resets in this window that are a warning
    statistics_window_s: float = 5.0  # sliding window of rates and ages [s]
    min_age_s: float = -0.1  # median age below this: stamps are of another clock [s]
    max_age_s: float = 10.0  # median age above this: likewise [s]
    gpu_period_s: float = 1.0  # query of the figures of the GPU [s]
    gpu_max_age_s: float = 5.0  # age above which they are not reported [s]
    colour_share: float = 0.1  # way of the colours of depth/color to those of a frame


@dataclass(frozen=True)
class OfflineNodeOptions:
    """Options of an offline node, its job and its playback."""

    watch_period_s: float = 0.1  # poll of the job process [s]
    cancel_timeout_s: float = 10.0  # from cancelling a job to killing its process [s]
    progress_period_s: float = 0.2  # least period of progress feedback [s]
    preview_period_s: float = 2.0  # least period of preview images [s]
    max_lag_s: float = 0.5  # lag at which playback is re-anchored instead of catching up [s]
    lag_warning_s: float = 1.0  # accumulated lag that is a warning in /diagnostics [s]


LIVE = LiveNodeOptions()
OFFLINE = OfflineNodeOptions()
