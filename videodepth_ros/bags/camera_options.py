# SPDX-License-Identifier: Apache-2.0
"""Options that select the topics of one camera of a recording, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass

from videodepth_ros.core.options import option
from videodepth_ros.messages.rectify_option import RectifyOptions


@dataclass(frozen=True, kw_only=True)
class CameraTopicOptions(RectifyOptions):
    """Topics of one camera; None: found by `find_camera_topics`."""

    image_topic: str | None = option(
        None, 'Image topic of the camera; empty: the only image topic that is not depth.'
    )
    camera_info_topic: str | None = option(
        None,
        'Calibration topic of the camera; empty: camera_info beside the images; '
        'none: use no calibration.',
    )
