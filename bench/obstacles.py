# SPDX-License-Identifier: Apache-2.0
"""How right are the obstacles of a network's depth? Prints JSON.

python -m bench.obstacles [--model nano] [--frames 60] [SEQUENCE ...]

A sequence is SCENE:SEED of `videodepth sample`, or a folder as in bench/scale_sources.py. Depth is
streamed with the parameters of the preset nav2; the scale is that of the camera's height, which,
as the odometry, is exact. A sequence ends where the camera touches something: the paths of samples
may lead through a window. Of each frame after the first second:

phantom  share of the marked points within 2.5 m that lie more than 0.3 m before the true surface
missed   share of the true obstacles within 2.5 m (points of voxels of 10 cm) without a marked
         point within 0.3 m, seen from above

for `obstacles`, for the same without frames before (`unfiltered`), and for the band of heights of
`depth/points`, as a voxel layer marks it (`points`).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from itertools import takewhile

import cv2
import numpy as np

from bench.scale_sources import BASE, CAMERA, ODOM, read_frames, with_ground
from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.engines.open import open_engine
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.geometry.transform_buffer import TransformBuffer
from videodepth_ros.models.catalogue import card
from videodepth_ros.obstacles.detector import ObstacleDetector
from videodepth_ros.obstacles.options import ObstacleOptions, ObstacleParameters
from videodepth_ros.obstacles.voxels import thin
from videodepth_ros.scale.fusion import FusedScale, FusionSettings
from videodepth_ros.scale.mount import CameraMount
from videodepth_ros.stream.session import DepthSession, SessionSettings
from videodepth_ros.stream.upsample import resize_nearest

SEQUENCES = ('../shared/data/rendered_livingroom', 'studios:11', 'studios:12')
NEAR_M, TOLERANCE_M, SETTLED_S = 2.5, 0.3, 1.0
CONTACT_M = 0.25
"""Least distance of a camera on a robot from what is in view."""
PARAMETERS = ObstacleParameters()


@dataclass(frozen=True)
class View:
    """Depth of one frame, by the network and true, (h, w) float32, and its poses."""

    stamp_ns: int
    depth_m: Float32Array
    confidence: Float32Array | None
    truth_m: Float32Array
    camera: Intrinsics
    T_base_cam: Float64Array
    T_map_cam: Float64Array
    sees_ground: bool = True

    @property
    def mount(self) -> CameraMount:
        """Where the camera is against the ground."""
        down, height_m = -self.T_base_cam[2, :3], float(self.T_base_cam[2, 3])
        return CameraMount(down, height_m, self.sees_ground)


def above_ground(T_map_cam: Float64Array, up: Float64Array, floor: float) -> Float64Array:
    """Return T_base_cam (4, 4) of a base on the ground below the camera, z up."""
    z = T_map_cam[:3, :3].T @ up
    x = np.array([0.0, 0.0, 1.0]) - z[2] * z
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = x, np.cross(z, x), z
    T[2, 3] = T_map_cam[:3, 3] @ up - floor
    return T


def is_touching(depth_m: Float32Array) -> bool:
    """Return whether something in true depth (H, W) is as near as a camera on a robot never is."""
    return bool((depth_m[depth_m > 0] < CONTACT_M).any())


def stream(name: str, model: str, frames: int) -> list[View]:
    """Return the views of a sequence, streamed as the live node does."""
    read = list(takewhile(lambda each: not is_touching(each[2]), read_frames(name, frames)))[
        :frames
    ]
    stamps, _, truth, cameras, poses = zip(*read, strict=True)
    small = [resize_nearest(depth_m, 128, 96).astype(np.float32) for depth_m in truth]
    ground = with_ground(
        name, list(stamps), [], np.array(small), np.array(small), np.array(poses), cameras[0]
    )
    known = card(model)
    settings = SessionSettings(
        output='network',
        edge_ratio=1.1,
        guided=known.soft,
        steady=known.drifts,
        motion_stereo=known.drifts,
        max_gap_s=10.0,
    )
    scale = FusedScale(FusionSettings((ScaleSource.CAMERA_HEIGHT,)))
    session = DepthSession(
        known, lambda width, height: open_engine(model, 'auto', width, height), settings, scale
    )
    assert isinstance(scale.transforms, TransformBuffer)
    views = []
    for stamp_ns, image, depth_m, camera, pose in read:
        at_ns = stamp_ns + 10**9
        T_base_cam = above_ground(pose, ground.up, ground.floor)
        scale.transforms.add(BASE, CAMERA, at_ns, T_base_cam)
        scale.transforms.add(ODOM, BASE, at_ns, pose @ np.linalg.inv(T_base_cam))
        result = session.step(Frame(at_ns, CAMERA, image, camera)).depth
        height, width = result.depth_m.shape
        true_m = np.asarray(resize_nearest(depth_m, width, height), np.float32)
        lens = camera.scaled_to(width, height)
        mount = scale.mount(CAMERA, at_ns)
        sees_ground = mount is None or mount.sees_ground
        views.append(
            View(
                at_ns,
                result.depth_m,
                result.confidence,
                true_m,
                lens,
                T_base_cam,
                pose,
                sees_ground,
            )
        )
    session.close()
    return views


def shares(views: list[View], marked: list[Float32Array]) -> dict[str, float]:
    """Return phantom and missed of the marked points (P, 3) of each view, optical frame."""
    phantoms = points = missed = true = 0
    for view, each in zip(views, marked, strict=True):
        if view.stamp_ns - views[0].stamp_ns < SETTLED_S * 1e9:
            continue
        near = each[np.linalg.norm(_over_ground(each, view), axis=1) < NEAR_M]
        phantoms += int(np.count_nonzero(_is_phantom(near, view)))
        points += len(near)
        real = true_obstacles(view)
        gaps = _over_ground(real, view)[:, None] - _over_ground(each, view)[None]
        lost = ~(np.linalg.norm(gaps, axis=2) < TOLERANCE_M).any(axis=1)
        missed += int(np.count_nonzero(lost))
        true += len(real)
    return {
        'phantom': round(phantoms / max(points, 1), 3),
        'missed': round(missed / max(true, 1), 3),
        'marked': points,
        'true': true,
    }


def _over_ground(points_m: Float32Array, view: View) -> Float32Array:
    """Return x ahead and y left (P, 2) of points (P, 3) about the point below the camera."""
    return np.asarray(points_m @ view.T_base_cam[:2, :3].T)


def _is_phantom(points_m: Float32Array, view: View) -> Float32Array:
    """Return which points (P, 3) lie before the true surface about their pixel."""
    known = np.where(view.truth_m > 0, view.truth_m, np.float32(np.inf))
    nearest = cv2.erode(known, np.ones((3, 3), np.uint8))
    x, y, z = points_m.T
    columns = np.clip(np.rint(view.camera.fx * x / z + view.camera.cx), 0, view.camera.width - 1)
    rows = np.clip(np.rint(view.camera.fy * y / z + view.camera.cy), 0, view.camera.height - 1)
    return np.asarray(nearest[rows.astype(int), columns.astype(int)] > z + TOLERANCE_M)


def in_band(depth_m: Float32Array, view: View, reach_m: float) -> Float32Array:
    """Return the points (P, 3) of a depth map in the band of heights, a point of each voxel."""
    points = backproject(depth_m, view.camera).reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1) & (points[:, 2] > 0)]
    heights = points @ view.T_base_cam[2, :3] + view.T_base_cam[2, 3]
    kept = heights > PARAMETERS.obstacles_min_height_m
    kept &= heights < PARAMETERS.obstacles_max_height_m
    kept &= np.linalg.norm(_over_ground(points, view), axis=1) < reach_m
    return thin(points[kept].astype(np.float32), PARAMETERS.obstacles_voxel_m)[0]


def true_obstacles(view: View) -> Float32Array:
    """Return the true obstacles (P, 3) within the range of the measurement."""
    return in_band(view.truth_m, view, NEAR_M)


def detected(
    views: list[View], parameters: ObstacleParameters, options: ObstacleOptions | None = None
) -> list[Float32Array]:
    """Return the obstacles (P, 3) of each view."""
    detector = ObstacleDetector(options or ObstacleOptions())
    marked = []
    for view in views:
        found = detector.step(
            view.depth_m,
            view.camera,
            view.stamp_ns,
            view.mount,
            parameters,
            view.T_map_cam,
            view.confidence,
        )
        marked.append(np.empty((0, 3), np.float32) if found is None else found.points_m)
    return marked


def measure(views: list[View], parameters: ObstacleParameters) -> dict[str, dict[str, float]]:
    """Return the shares of obstacles, of unfiltered ones, and of the band of the points."""
    reach_m = NEAR_M + TOLERANCE_M
    return {
        'obstacles': shares(views, detected(views, parameters)),
        'unfiltered': shares(
            views, detected(views, replace(parameters, obstacles_temporal=False))
        ),
        'points': shares(views, [in_band(view.depth_m, view, reach_m) for view in views]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('sequences', nargs='*', default=SEQUENCES, metavar='SEQUENCE')
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--model', default='nano')
    options = parser.parse_args()
    for name in options.sequences:
        views = stream(name, options.model, options.frames)
        print(json.dumps({'sequence': name, **measure(views, PARAMETERS)}), flush=True)


if __name__ == '__main__':
    main()
