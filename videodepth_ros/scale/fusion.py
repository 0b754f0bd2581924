# SPDX-License-Identifier: Apache-2.0
"""Scale of a stream from all the evidence that there is: an `Anchor` of a session.

Frames come from the thread that steps the session, evidence from any thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics
from videodepth_ros.geometry.ground_plane import GroundPlane
from videodepth_ros.geometry.transform_buffer import TransformBuffer, Transforms
from videodepth_ros.scale.filter import ScaleFilter
from videodepth_ros.scale.measurement import ScaleMeasurement, ScaleStatus
from videodepth_ros.scale.mount import CameraMount, MountLookup, MountSettings, Orientations
from videodepth_ros.scale.odometry import OdometryScale
from videodepth_ros.scale.options import FusionOptions
from videodepth_ros.scale.plane_parallax import PlaneParallax
from videodepth_ros.scale.sources import (
    DepthEvidence,
    HeightEvidence,
    MeasuredDepth,
    NetworkFrame,
    OdometryEvidence,
    ScaleEvidence,
)
from videodepth_ros.stream.scale import Anchor

DEFAULTS = FusionOptions()
MEASURED = (
    ScaleSource.CAMERA_HEIGHT,
    ScaleSource.LIDAR,
    ScaleSource.DEPTH,
    ScaleSource.ODOMETRY,
    ScaleSource.PRIOR,
)
"""Sources that are measured frame by frame, all of which ``auto`` fuses."""


@dataclass(frozen=True)
class FusionSettings:
    """What of a stream's scale is measured.

    sources       those that set the scale; ground is found without any
    mount         parameters of the camera's mount
    needs_ground  whether the ground is needed where the height sets no scale
    """

    sources: tuple[ScaleSource, ...] = MEASURED
    mount: MountSettings = field(default_factory=MountSettings)
    needs_ground: bool = False


class FusedScale:
    """Scale of one stream, see ``stream.scale.Anchor``.

    transforms    of the robot, which the owner fills
    odometry      transforms by odometry messages, likewise
    orientations  of an IMU, likewise
    """

    def __init__(
        self,
        settings: FusionSettings,
        transforms: Transforms | None = None,
        prior: Anchor | None = None,
        options: FusionOptions = DEFAULTS,
    ) -> None:
        self.settings = settings
        self.transforms: Transforms = transforms or TransformBuffer()
        self.odometry = TransformBuffer()
        self.orientations = Orientations()
        self.status = ScaleStatus()
        self._options = options
        self._prior = prior
        self._prior_ns = 0
        self._filter = ScaleFilter()
        self._metres: float | None = None
        self.mounts = MountLookup(settings.mount, self.transforms, self.orientations)
        parallax = PlaneParallax()
        self._height = HeightEvidence(self.mounts, parallax, options=options)
        self._depth = {
            source: DepthEvidence(source, self.transforms, options=options)
            for source in (ScaleSource.LIDAR, ScaleSource.DEPTH)
        }
        self._evidence: dict[ScaleSource, ScaleEvidence] = {
            ScaleSource.CAMERA_HEIGHT: self._height,
            **self._depth,
            ScaleSource.ODOMETRY: OdometryEvidence(
                self.transforms,
                self.odometry,
                OdometryScale(plane=parallax),
                options,
                self._height.plane_at,
            ),
        }

    @property
    def source(self) -> ScaleSource | None:
        """Leading source of the scale; None before the first measurement."""
        return self.status.source

    def add_points(self, stamp_ns: int, frame_id: str, points_m: Float32Array) -> None:
        """Add points (P, 3) of a lidar in its frame; thread-safe."""
        self._depth[ScaleSource.LIDAR].add(MeasuredDepth(stamp_ns, frame_id, points_m=points_m))

    def add_depth(
        self, stamp_ns: int, frame_id: str, depth_m: Float32Array, camera: Intrinsics | None
    ) -> None:
        """Add a depth image (H, W) [m] with its intrinsics, if known; thread-safe."""
        self._depth[ScaleSource.DEPTH].add(
            MeasuredDepth(stamp_ns, frame_id, depth_m=depth_m, camera=camera)
        )

    def metres(self, stamp_ns: int) -> float | None:
        """Return the scale of the next frame: depth [m] = scale / inverse depth; None if unknown.

        raises  what the prior's ``metres`` raises
        """
        self._measure_prior(stamp_ns)
        log_scale = self._filter.step(stamp_ns)
        failures = sum(each.failures for each in self._evidence.values())
        self.status = self._filter.status(stamp_ns, failures)
        self._metres = None if log_scale is None else math.exp(log_scale)
        return self._metres

    def needs(self, camera_frame: str) -> bool:
        """Return whether frames of a camera should be offered: there is evidence to compare."""
        return self._prior is not None or any(
            evidence.is_possible(camera_frame) for _, evidence in self._used()
        )

    def offer(self, frame: Frame, inverse_depth: Float32Array) -> None:
        """Measure the scale of a frame with its inverse depth (h, w) float32."""
        if self._prior is not None:
            self._prior.offer(frame, inverse_depth)
        newest = self._network_frame(frame, inverse_depth)
        for source, evidence in self._used():
            if not evidence.is_possible(frame.frame_id):
                continue
            for measurement in evidence.measure(newest, frame):
                if source in self.settings.sources:
                    self._filter.update(measurement)

    def _used(self) -> Iterator[tuple[ScaleSource, ScaleEvidence]]:
        sources = self.settings.sources
        with_ground = self.settings.needs_ground or ScaleSource.CAMERA_HEIGHT in sources
        of_ground = (ScaleSource.CAMERA_HEIGHT, ScaleSource.ODOMETRY) if with_ground else ()
        for source, evidence in self._evidence.items():
            if source in sources or source in of_ground:
                yield source, evidence

    def restart(self) -> None:
        """Start another stream; the old scale holds until the first measurement of the new one."""
        if self._prior is not None:
            self._prior.restart()
        for evidence in self._evidence.values():
            evidence.restart()
        self._filter.restart()

    def mount(self, camera_frame: str, stamp_ns: int) -> CameraMount | None:
        """Return the mount of a camera, and whether the ground is in view; None: not known."""
        mount = self.mounts.at(camera_frame, stamp_ns)
        return mount and replace(mount, sees_ground=not self._height.is_raised)

    def ground(self, metres: float) -> GroundPlane | None:
        """Return the newest ground in metres under a scale; None: none was seen."""
        plane = self._height.ground
        return plane and plane.scaled(metres)

    def pose(self, camera_frame: str, stamp_ns: int) -> Float64Array | None:
        """Return T_odom_cam (4, 4) of the camera by odometry; None: not known."""
        odometry = self._evidence[ScaleSource.ODOMETRY]
        assert isinstance(odometry, OdometryEvidence)
        return odometry.pose(camera_frame, stamp_ns)

    def _measure_prior(self, stamp_ns: int) -> None:
        if self._prior is None or ScaleSource.PRIOR not in self.settings.sources:
            return
        metres = self._prior.metres(stamp_ns)
        elapsed_s = (stamp_ns - self._prior_ns) * 1e-9
        if metres is not None and not 0 <= elapsed_s < self._options.prior_period_s:
            self._prior_ns = stamp_ns
            self._filter.update(
                ScaleMeasurement(
                    math.log(metres), self._options.prior_sigma, stamp_ns, ScaleSource.PRIOR
                )
            )

    def _network_frame(self, frame: Frame, inverse_depth: Float32Array) -> NetworkFrame:
        """Return a copy of at most the configured width, with intrinsics at that size."""
        height, width = inverse_depth.shape
        step = -(-width // self._options.max_width_px)
        camera = frame.camera or Intrinsics.centred(
            *frame.size, DEFAULT_FOCAL_LENGTH_FACTOR * frame.size[0]
        )
        thinned = np.ascontiguousarray(inverse_depth[::step, ::step])
        if step == 1:
            thinned = inverse_depth.copy()
        return NetworkFrame(
            frame.stamp_ns, frame.frame_id, thinned, camera.scaled_to(width, height).strided(step)
        )
