# SPDX-License-Identifier: Apache-2.0
"""The measured scale of a live node: fusion, its evidence, status and warnings."""

from __future__ import annotations

from rclpy.node import Node
from videodepth.msg import Status

from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.nodes.image_frame import body_frame_fault
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.scale_evidence import ScaleEvidenceSubscriptions
from videodepth_ros.nodes.storms import HealthWarning
from videodepth_ros.scale.fusion import FusedScale, FusionSettings
from videodepth_ros.scale.parameters import is_measured
from videodepth_ros.stream.anchor import MetricAnchor

REMEDIES = {
    'camera_height': 'the ground must be visible, and its frame known: set base_frame, or '
    'scale.camera_height_m and scale.camera_pitch_deg',
    'lidar': 'remap scale/points or scale/scan to the lidar, whose frame /tf must connect with '
    'that of the image',
    'depth': 'remap scale/depth/image to a depth image, whose frame /tf must connect with that '
    'of the image',
    'odometry': 'remap scale/odometry, whose child frame /tf must connect with that of the '
    'image; the robot must move',
}


class MeasuredScale:
    """Scale of one live node from configure to cleanup.

    fused  the anchor of its session
    """

    def __init__(self, node: Node, settings: FusionSettings, prior: MetricAnchor | None) -> None:
        """Prepare the subscriptions; ``refresh`` makes them."""
        self.fused = FusedScale(settings, prior=prior)
        self._evidence = ScaleEvidenceSubscriptions(node, self.fused)

    def refresh(self, needs_transforms: bool = False) -> None:
        """Follow the publishers of evidence; call it a few times a second."""
        self._evidence.refresh(needs_transforms)

    def clear(self) -> None:
        """Drop transforms and odometry, as after a jump of the clock."""
        self._evidence.clear()

    def close(self) -> None:
        """Unsubscribe from everything."""
        self._evidence.close()

    def fill_status(self, status: Status) -> None:
        """Write the state of the scale into a status message."""
        scale = self.fused.status
        status.scale_spread, status.scale_age_s = scale.spread, scale.age_s
        status.scale_drift, status.scale_stale = scale.drift, scale.is_stale
        status.scale_accepted, status.scale_rejected = scale.accepted, scale.rejected
        status.transform_failures = scale.transform_failures

    def warnings(self, status: Status, parameters: LiveParameters) -> list[HealthWarning]:
        """Return the warnings of the scale, stale or never measured, and of the image's frame."""
        source = parameters.scale_source
        if status.state != Status.RUNNING:
            return []
        found = self._frame_warnings(status.header.frame_id, stamp_ns(status.header.stamp))
        if source == 'fixed':
            return found
        why = f': {self._evidence.last_error}' if self._evidence.last_error else ''
        if status.scale_stale and is_measured(status.scale_source):
            text = (
                f'no measurement of the scale by {status.scale_source} for '
                f'{status.scale_age_s:.1f} s; the last scale holds{why}'
            )
        elif source in REMEDIES and not status.scale_accepted:
            text = (
                f'the scale is not measured by {source}, but that of {status.scale_source}; '
                f'{REMEDIES[source]}{why}'
            )
        else:
            return found
        return [*found, HealthWarning('scale', text)]

    def _frame_warnings(self, frame_id: str, image_ns: int) -> list[HealthWarning]:
        """Return the warning of an image frame that is no optical one by /tf."""
        base = self.fused.mounts.base_frame(frame_id)
        if base is None:
            return []
        T_base_image = self.fused.transforms.lookup(base, image_ns, frame_id, image_ns)
        fault = '' if T_base_image is None else body_frame_fault(frame_id, base, T_base_image)
        return [HealthWarning('optical_frame', fault)] if fault else []
