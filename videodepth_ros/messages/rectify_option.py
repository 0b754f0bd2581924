# SPDX-License-Identifier: Apache-2.0
"""The option of the nodes and commands that rectify images."""

from __future__ import annotations

from dataclasses import dataclass

from videodepth_ros.core.options import option
from videodepth_ros.messages.frame import RECTIFY


@dataclass(frozen=True, kw_only=True)
class RectifyOptions:
    """Rectification of the images of one camera."""

    rectify: str = option(
        'auto',
        'Remove the lens distortion that camera_info describes; auto: unless the name of the '
        'image topic has the word rect, rectified, undistorted, dewarped or rectilinear.',
        choices=RECTIFY,
    )
