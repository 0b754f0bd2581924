# SPDX-License-Identifier: Apache-2.0
"""Frames of images that are no optical frames (REP-103: z forward, x right, y down)."""

from __future__ import annotations

from videodepth_ros.core.arrays import Float64Array

BODY_SUFFIXES = ('_link', '_base', '_body')
"""Ends of the names of body frames, x forward; REP-103 gives optical frames the end _optical."""
UP = 0.87
"""Cosine of the angle from up within which an axis points up: 30 degrees."""


def optical_frame_fault(frame_id: str) -> str:
    """Return what is wrong with the frame of an image, with the next step; empty if nothing is.

    By its name alone: a body frame is named after a part of the robot and is not optical.
    """
    if 'optical' in frame_id or not frame_id.endswith(BODY_SUFFIXES):
        return ''
    return _fault(frame_id, 'by its name has x forward')


def body_frame_fault(frame_id: str, base_frame: str, T_base_image: Float64Array) -> str:
    """Return what is wrong with the frame of an image by /tf; empty if nothing is.

    T_base_image  (4, 4), the frame of the image in a frame with z up. An optical frame has z along
                  the optical axis: where it points up, the camera sees the ceiling, or the frame
                  is that of a body.
    """
    if T_base_image[2, 2] < UP:
        return ''
    return _fault(frame_id, f'by /tf has z up in {base_frame!r}') + (
        ', unless the camera looks at the ceiling'
    )


def _fault(frame_id: str, why: str) -> str:
    optical = f'{frame_id.removesuffix("_link")}_optical_frame'
    return (
        f'the images have the frame {frame_id!r}, which {why}, but depth is '
        f'along z of their frame: stamp the images with {optical!r} in the camera driver, and run '
        f'`{optical_frame_command(frame_id, optical)}`'
    )


def optical_frame_command(body: str, optical: str) -> str:
    """Return the command that publishes an optical frame at the origin of a body frame."""
    return (
        'ros2 run tf2_ros static_transform_publisher --roll -1.5708 --pitch 0 --yaw -1.5708 '
        f'--frame-id {body} --child-frame-id {optical}'
    )
