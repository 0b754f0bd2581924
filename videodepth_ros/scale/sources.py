# SPDX-License-Identifier: Apache-2.0
"""Sources of a stream's scale: evidence as it comes, matched with frames by stamp and transform.

Evidence and transforms arrive before or after the frame that they belong to; each source keeps
what waits for the other, up to a limit.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import GroundPlane
from videodepth_ros.geometry.transform_buffer import Transforms
from videodepth_ros.scale.camera_height import measure_camera_height
from videodepth_ros.scale.depth_ratio import (
    measure_depth_ratio,
    samples_of_depth,
    samples_of_points,
)
from videodepth_ros.scale.measurement import ScaleMeasurement
from videodepth_ros.scale.mount import CameraMount, MountLookup
from videodepth_ros.scale.odometry import OdometryScale, OdometryView
from videodepth_ros.scale.options import CameraHeightOptions, DepthRatioOptions, FusionOptions
from videodepth_ros.scale.plane_parallax import PlaneParallax

ODOM = 'odom'
"""Frame that a robot moves in without jumps (REP-105)."""


@dataclass(frozen=True)
class NetworkFrame:
    """Inverse depth (h, w) float32 of a frame, and the intrinsics at that size."""

    stamp_ns: int
    frame_id: str
    inverse_depth: Float32Array
    camera: Intrinsics


class ScaleEvidence(Protocol):
    """One source of scale; ``failures`` counts transforms that did not come in time."""

    failures: int

    def is_possible(self, camera_frame: str) -> bool:
        """Return whether there is evidence for a camera."""

    def measure(self, newest: NetworkFrame, frame: Frame) -> Iterator[ScaleMeasurement]:
        """Yield what can be measured now that a frame is there."""

    def restart(self) -> None:
        """Start another stream."""


class HeightEvidence:
    """Height of the camera above the ground in each frame.

    ground     newest plane in the unit 1 / inverse depth; None: no ground was seen
    is_raised  whether that plane is above the ground, as a bed is, by its parallax
    """

    def __init__(
        self,
        mounts: MountLookup,
        parallax: PlaneParallax | None = None,
        height: CameraHeightOptions | None = None,
        options: FusionOptions | None = None,
    ) -> None:
        """Create the source.

        parallax  of the plane, measured by odometry
        """
        self.failures = 0
        self.ground: GroundPlane | None = None
        self.is_raised = False
        self._ground_ns = 0
        self._parallax = parallax or PlaneParallax()
        self._mounts = mounts
        self._height = height or CameraHeightOptions()
        self._options = options or FusionOptions()
        self._waiting: deque[NetworkFrame] = deque(maxlen=self._options.frames)

    def restart(self) -> None:
        """Start another stream."""
        self._waiting.clear()
        self.ground, self.is_raised = None, False

    def plane_at(self, stamp_ns: int) -> GroundPlane | None:
        """Return the plane of a frame; None: none was seen, or another frame is newer."""
        return self.ground if stamp_ns == self._ground_ns else None

    def is_possible(self, camera_frame: str) -> bool:
        """Return whether down of the camera can be known."""
        return self._mounts.is_possible(camera_frame)

    def measure(self, newest: NetworkFrame, frame: Frame) -> Iterator[ScaleMeasurement]:
        """Yield the measurement of the newest frame whose mount is known."""
        self._waiting.append(newest)
        self.failures += _drop_late(self._waiting, newest.stamp_ns, self._options)
        for each in reversed(self._waiting):
            mount = self._mounts.at(each.frame_id, each.stamp_ns)
            if mount is None:
                continue
            while self._waiting[0] is not each:
                self._waiting.popleft()
            self._waiting.popleft()
            found = measure_camera_height(
                each.inverse_depth, each.camera, mount, each.stamp_ns, self._height
            )
            if found is not None:
                measurement, self.ground = found
                self._ground_ns = each.stamp_ns
                if measurement is not None:
                    yield self._checked(measurement, self.ground, mount)
            return

    def _checked(
        self, measurement: ScaleMeasurement, plane: GroundPlane, mount: CameraMount
    ) -> ScaleMeasurement:
        """Return the measurement, by the parallax of the plane where it is not the ground."""
        at_ns = measurement.stamp_ns
        self.is_raised = self._parallax.is_raised(plane, mount.height_m, at_ns)
        own = self._parallax.log_scale(at_ns)
        if not self.is_raised or own is None:
            return measurement
        return replace(measurement, log_scale=own)


class OdometryEvidence:
    """Odometry against followed corners."""

    def __init__(
        self,
        transforms: Transforms,
        odometry: Transforms,
        scale: OdometryScale | None = None,
        options: FusionOptions | None = None,
        plane_at: Callable[[int], GroundPlane | None] = lambda stamp_ns: None,
    ) -> None:
        """Create the source.

        odometry  transforms of odometry messages; where there is none, a frame ``odom`` above the
                  camera in ``transforms`` (REP-105)
        plane_at  returns the plane below the camera at a stamp, if one was seen
        """
        self.failures = 0
        self._transforms, self._odometry = transforms, odometry
        self._scale = scale or OdometryScale()
        self._options = options or FusionOptions()
        self._plane_at = plane_at
        self._waiting: deque[OdometryView] = deque(maxlen=self._options.frames)

    def restart(self) -> None:
        """Start another stream."""
        self._waiting.clear()
        self._scale.restart()

    def is_possible(self, camera_frame: str) -> bool:
        """Return whether there is odometry of a frame above the camera."""
        return self._base(camera_frame) is not None

    def measure(self, newest: NetworkFrame, frame: Frame) -> Iterator[ScaleMeasurement]:
        """Yield the measurements of the frames whose odometry is known by now, in order."""
        plane = self._plane_at(newest.stamp_ns)
        self._waiting.append(self._scale.view(frame, newest.inverse_depth, plane))
        while self._waiting:
            each = self._waiting[0]
            T_odom_cam = self.pose(each.frame_id, each.stamp_ns)
            if T_odom_cam is None:
                break
            self._waiting.popleft()
            found = self._scale.measure(each, T_odom_cam)
            if found is not None:
                yield found
        late = _drop_late(self._waiting, newest.stamp_ns, self._options)
        if late:
            self.failures += late
            self._scale.restart_motion()

    def pose(self, camera_frame: str, stamp_ns: int) -> Float64Array | None:
        """Return T_odom_cam (4, 4) at a stamp; None: not known."""
        found = self._base(camera_frame)
        if found is None:
            return None
        odom, base = found
        if base is None:
            return self._transforms.lookup(odom, stamp_ns, camera_frame, stamp_ns)
        T_odom_base = self._odometry.lookup(odom, stamp_ns, base, stamp_ns)
        T_base_cam = self._transforms.lookup(base, stamp_ns, camera_frame, stamp_ns)
        if T_odom_base is None or T_base_cam is None:
            return None
        return np.asarray(T_odom_base @ T_base_cam)

    def _base(self, camera_frame: str) -> tuple[str, str | None] | None:
        """Return the frame of the odometry and the frame that it moves; None: by transforms."""
        above = self._transforms.parents(camera_frame)
        for name in above:
            parents = self._odometry.parents(name)
            if len(parents) > 1:
                return parents[-1], name
        odom = next((name for name in above[1:] if name.rpartition('/')[2] == ODOM), None)
        return None if odom is None else (odom, None)


@dataclass(frozen=True)
class MeasuredDepth:
    """Points of a lidar, or a depth image, at a stamp in a frame.

    points_m  (P, 3) float32 in ``frame_id``, or depth_m (H, W) float32; the other is None
    camera    intrinsics of the depth image; None: the view of the camera
    """

    stamp_ns: int
    frame_id: str
    points_m: Float32Array | None = None
    depth_m: Float32Array | None = None
    camera: Intrinsics | None = None


@dataclass
class DepthEvidence:
    """Measured depth of one kind against the inverse depth of the frame nearest in time."""

    source: ScaleSource
    transforms: Transforms
    ratio: DepthRatioOptions = field(default_factory=DepthRatioOptions)
    options: FusionOptions = field(default_factory=FusionOptions)
    failures: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[MeasuredDepth] = deque(maxlen=self.options.max_queue)
        self._frames: deque[NetworkFrame] = deque(maxlen=self.options.frames)
        self._has_evidence = False

    def add(self, depth: MeasuredDepth) -> None:
        """Add evidence, from any thread; the oldest is dropped where many wait."""
        self._has_evidence = True
        with self._lock:
            self._waiting.append(depth)

    def is_possible(self, camera_frame: str) -> bool:
        """Return whether any came."""
        return self._has_evidence

    def restart(self) -> None:
        """Start another stream."""
        self._frames.clear()

    def measure(self, newest: NetworkFrame, frame: Frame) -> Iterator[ScaleMeasurement]:
        """Yield the measurements of the evidence that a frame belongs to."""
        self._frames.append(newest)
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for each in waiting:
            if each.stamp_ns > newest.stamp_ns:  # a nearer frame may come
                self._keep(each, newest)
                continue
            nearest = min(self._frames, key=lambda frame: abs(frame.stamp_ns - each.stamp_ns))
            if abs(nearest.stamp_ns - each.stamp_ns) > self.options.max_offset_s * 1e9:
                continue
            T_cam_sensor = self._transform(nearest, each)
            if T_cam_sensor is None:
                self._keep(each, newest)
                continue
            found = self._compare(nearest, each, T_cam_sensor)
            if found is not None:
                yield found

    def _transform(self, frame: NetworkFrame, depth: MeasuredDepth) -> Float64Array | None:
        camera = frame.frame_id
        return self.transforms.lookup(camera, frame.stamp_ns, depth.frame_id, depth.stamp_ns)

    def _keep(self, depth: MeasuredDepth, newest: NetworkFrame) -> None:
        """Keep evidence that waits for a frame or a transform, unless that took too long."""
        if abs(newest.stamp_ns - depth.stamp_ns) > self.options.transform_timeout_s * 1e9:
            self.failures += 1
            return
        with self._lock:
            if len(self._waiting) < self.options.max_queue:
                self._waiting.appendleft(depth)

    def _compare(
        self, frame: NetworkFrame, depth: MeasuredDepth, T_cam_sensor: Float64Array
    ) -> ScaleMeasurement | None:
        rotation, offset = T_cam_sensor[:3, :3].astype('f4'), T_cam_sensor[:3, 3].astype('f4')
        if depth.points_m is not None:
            points_m = depth.points_m @ rotation.T + offset
            samples = samples_of_points(points_m, frame.camera, self.ratio)
        else:
            assert depth.depth_m is not None
            samples = samples_of_depth(
                depth.depth_m, depth.camera, frame.camera, T_cam_sensor, self.ratio
            )
        return measure_depth_ratio(
            frame.inverse_depth, samples, frame.stamp_ns, self.source, self.ratio
        )


def _drop_late(
    waiting: deque[NetworkFrame] | deque[OdometryView], now_ns: int, options: FusionOptions
) -> int:
    """Drop frames that waited too long for a transform; return their number."""
    late = 0
    while waiting and now_ns - waiting[0].stamp_ns > options.transform_timeout_s * 1e9:
        waiting.popleft()
        late += 1
    return late
