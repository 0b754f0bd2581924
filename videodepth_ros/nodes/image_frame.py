# SPDX-License-Identifier: Apache-2.0
"""Frames of images that are no optical frames (REP-103: z forward, x right, y down)."""

from __future__ import annotations

BODY_SUFFIXES = ('_link', '_base', '_body')
"""Ends of the names of body frames, x forward; REP-103 gives optical frames the end _optical."""


def optical_frame_fault(frame_id: str) -> str:
    """Return what is wrong with the frame of an image, with the next step; empty if nothing is.

    By its name alone: a body frame is named after a part of the robot and is not optical.
    """
    if 'optical' in frame_id or not frame_id.endswith(BODY_SUFFIXES):
        return ''
    optical = f'{frame_id.removesuffix("_link")}_optical_frame'
    return (
        f'the images have the frame {frame_id!r}, which by its name has x forward, but depth is '
        f'along z of their frame: stamp the images with {optical!r} in the camera driver, and run '
        f'`{optical_frame_command(frame_id, optical)}`'
    )


def optical_frame_command(body: str, optical: str) -> str:
    """Return the command that publishes an optical frame at the origin of a body frame."""
    return (
        'ros2 run tf2_ros static_transform_publisher --roll -1.5708 --pitch 0 --yaw -1.5708 '
        f'--frame-id {body} --child-frame-id {optical}'
    )
