# SPDX-License-Identifier: Apache-2.0
"""How well each source of scale does with the depth of a network: prints JSON.

python bench/scale_sources.py [--frames 90] [--model nano] [SEQUENCE ...]

A sequence is SCENE:SEED of `videodepth sample`, or a folder with rgb/, depth/ (16-bit png),
poses.txt (stamp, position, quaternion of the camera in the world) and intrinsics.json. Evidence is
simulated from the truth: height 2 % and pitch 1 degree wrong, a lidar of 16 beams with 2 cm noise
at 7.5 Hz, 1 % of the pixels of a depth image with 2 % noise at 2 Hz, odometry 1 % wrong that slips
by 10 % in a tenth of the time. AbsRel with each is given over that with the best constant scale of
the sequence.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, UInt8Array
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import camera_rays, fit_ground_plane
from videodepth_ros.geometry.pose import poses_from_xyz_quat
from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.geometry.transform_buffer import TransformBuffer
from videodepth_ros.scale.fusion import MEASURED, FusedScale, FusionSettings
from videodepth_ros.stream.depth_stream import DepthStream
from videodepth_ros.stream.session import SessionSettings
from videodepth_ros.stream.upsample import resize_nearest
from videodepth_ros.synthetic.scenes import render_scene

SCENES = ('living_room:0', 'corridor:0', 'office:0', 'studios:1', 'studios:4', 'car_parks:1')
CAMERA, BASE, ODOM = 'camera', 'base_footprint', 'odom'
MAX_DEPTH_M = 70.0
SETTLED = 0.1
"""Log scale about that of the whole sequence at which a source counts as settled."""


@dataclass(frozen=True)
class Sequence:
    """Inverse depth by the network, and the truth at its size.

    images         (320, 240) of each frame; inverse_depth, depth_m: (N, h, w) float32
    T_world_cam    (N, 4, 4) float64; up: (3,), floor: coordinate of the ground along it
    """

    name: str
    stamps_ns: list[int]
    images: list[UInt8Array]
    inverse_depth: Float32Array
    depth_m: Float32Array
    T_world_cam: Float64Array
    camera: Intrinsics
    up: Float64Array
    floor: float

    @property
    def log_ratio(self) -> Float32Array:
        """Log of the scale that each pixel has, (N, h, w); NaN without truth."""
        with np.errstate(all='ignore'):
            logs = np.log(self.inverse_depth * self.depth_m)
        logs[~np.isfinite(logs) | (self.depth_m > MAX_DEPTH_M)] = np.nan
        return logs


def read_frames(
    name: str, frames: int
) -> Iterator[tuple[int, UInt8Array, Float32Array, Intrinsics, Float64Array]]:
    """Yield stamp, image, depth, intrinsics and pose of a scene or a folder."""
    if not Path(name).is_dir():
        scene, _, seed = name.partition(':')
        for frame in render_scene(scene, int(seed or 0), frames, 640, 480, 15.0):
            yield frame.stamp_ns, frame.image, frame.depth_m, frame.camera, frame.T_map_cam
        return
    folder = Path(name)
    given = json.loads((folder / 'intrinsics.json').read_text())
    rows = np.loadtxt(folder / 'poses.txt')
    poses = poses_from_xyz_quat(rows[:, 1:8])
    files = zip(
        sorted((folder / 'rgb').iterdir()), sorted((folder / 'depth').iterdir()), strict=True
    )
    for k, (image_file, depth_file) in enumerate(files):
        image = np.asarray(cv2.imread(str(image_file))[..., ::-1], np.uint8, order='C')
        depth = cv2.imread(str(depth_file), cv2.IMREAD_UNCHANGED).astype(np.float32)
        depth *= given.get('depth_png_scale_m', 1e-3)
        lens = (given[key] for key in ('fx', 'fy', 'cx', 'cy'))
        camera = Intrinsics(image.shape[1], image.shape[0], *lens)
        yield int(rows[k, 0] * 1e9), image, np.where(depth > 0, depth, np.nan), camera, poses[k]


def stream(name: str, model: str, frames: int) -> Sequence:
    """Run the network over a sequence."""
    settings = SessionSettings(
        output='network', steady=True, motion_stereo=True, edge_ratio=1.0, max_gap_s=10.0
    )
    stamps, images, inverse, truth, poses = [], [], [], [], []
    with DepthStream(model, settings=settings) as depth_stream:
        for stamp_ns, image, depth_m, camera, pose in read_frames(name, frames):
            depth = depth_stream(image, stamp_ns + 10**9, camera)
            assert depth_stream.last is not None
            with np.errstate(divide='ignore'):
                inverse.append(np.float32(depth_stream.last.metres) / depth.depth_m)
            height, width = depth.depth_m.shape
            truth.append(np.asarray(resize_nearest(depth_m, width, height), np.float32))
            stamps.append(stamp_ns + 10**9)
            images.append(np.asarray(cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)))
            poses.append(pose)
    return with_ground(
        name, stamps, images, np.array(inverse), np.array(truth), np.array(poses), camera
    )


def with_ground(
    name: str,
    stamps: list[int],
    images: list[UInt8Array],
    inverse: Float32Array,
    truth: Float32Array,
    poses: Float64Array,
    camera: Intrinsics,
) -> Sequence:
    """Return a sequence with the axis of its world that is up, and the level of its ground.

    That of a scene is z = 0; that of a folder is found in its depth, where a bed may pass for it.
    """
    image_down = poses[:, :3, 1].mean(axis=0)
    axis = int(np.abs(image_down).argmax())
    up = -np.sign(image_down[axis]) * np.eye(3)[axis]
    if not Path(name).is_dir():
        return Sequence(name, stamps, images, inverse, truth, poses, camera, up, 0.0)
    small = camera.scaled_to(truth.shape[2], truth.shape[1])
    floors = []
    for depth_m, pose in zip(truth[::5], poses[::5], strict=True):
        known = np.where(np.isfinite(depth_m), 1 / depth_m, 0).astype(np.float32)
        plane = fit_ground_plane(known, small, -pose[:3, :3].T @ up, 0.02)
        if plane is not None:
            floors.append(float(pose[:3, 3] @ up) - plane.height)
    floor = _refined_floor(truth[::5], poses[::5], small, up, floors)
    return Sequence(name, stamps, images, inverse, truth, poses, camera, up, floor)


def _refined_floor(
    truth: Float32Array,
    poses: Float64Array,
    camera: Intrinsics,
    up: Float64Array,
    found: list[float],
) -> float:
    """Return the level with most points within 10 cm of those that were found."""
    if not found:
        return float('nan')
    heights = []
    for depth_m, pose in zip(truth, poses, strict=True):
        points = camera_rays(camera).reshape(-1, 3) * depth_m.reshape(-1, 1)
        heights.append(points @ (pose[:3, :3].T @ up) + float(pose[:3, 3] @ up))
    edges = np.median(found) + np.arange(-0.1, 0.1, 0.005)
    counts, _ = np.histogram(np.concatenate(heights), edges)
    return float(edges[counts.argmax()] + 0.0025)


class Evidence:
    """Evidence of a sequence with realistic errors, given to a `FusedScale`."""

    def __init__(self, sequence: Sequence, seed: int) -> None:
        self.sequence = sequence
        self.rng = np.random.default_rng(seed)
        self.height_factor = 1 + 0.02 * self.rng.choice((-1, 1))
        self.tilt = so3_exp(np.array([[np.radians(self.rng.choice((-1, 1))), 0, 0]]))[0]
        self.odom_factor = 1 + 0.01 * self.rng.choice((-1, 1))
        self.T_odom_cam = sequence.T_world_cam[0].copy()
        height, width = sequence.depth_m.shape[1:]
        self.small = sequence.camera.scaled_to(width, height)

    def give(self, k: int, sources: tuple[ScaleSource, ...], scale: FusedScale) -> None:
        """Give what belongs to frame ``k``."""
        transforms = scale.transforms
        assert isinstance(transforms, TransformBuffer)
        stamp_ns = self.sequence.stamps_ns[k]
        if ScaleSource.CAMERA_HEIGHT in sources and np.isfinite(self.sequence.floor):
            transforms.add(BASE, CAMERA, stamp_ns, self.mount(k))
        if ScaleSource.LIDAR in sources and k % 2 == 0:
            scale.add_points(stamp_ns, CAMERA, self.lidar(k))
        if ScaleSource.DEPTH in sources and k % 8 == 0:
            scale.add_depth(stamp_ns, CAMERA, self.depth(k), self.small)
        if ScaleSource.ODOMETRY in sources:
            scale.odometry.add(ODOM, CAMERA, stamp_ns, self.odometry(k))

    def mount(self, k: int) -> Float64Array:
        """Return T_base_cam with errors of height and pitch."""
        pose, up = self.sequence.T_world_cam[k], self.sequence.up
        above = float(pose[:3, 3] @ up) - self.sequence.floor
        down = self.tilt @ -pose[:3, :3].T @ up
        east = np.cross(down, (0.3, 0.2, 1.0))
        east /= np.linalg.norm(east)
        T = np.eye(4)
        T[:3, :3] = [east, np.cross(-down, east), -down]
        T[2, 3] = above * self.height_factor
        return T

    def lidar(self, k: int) -> Float32Array:
        """Return points of 16 beams from -15 to 15 degrees about the horizon, 2 cm noise."""
        rays = camera_rays(self.small).reshape(-1, 3)
        pose = self.sequence.T_world_cam[k]
        length = np.linalg.norm(rays, axis=1)
        sine = rays @ (pose[:3, :3].T @ self.sequence.up) / length
        beam = np.degrees(np.arcsin(sine)) / 2 + 7.5
        pixel_deg = np.degrees(1 / self.small.fy)
        on_beam = (
            (np.abs(beam - np.rint(beam)) * 2 < pixel_deg / 2) & (beam > -0.5) & (beam < 15.5)
        )
        depth_m = self.sequence.depth_m[k].ravel()
        on_beam &= np.isfinite(depth_m) & (depth_m * length < 80)
        points = rays[on_beam] * depth_m[on_beam, None]
        noise = self.rng.normal(0, 0.02, (len(points), 1)).astype(np.float32)
        return points * (1 + noise / np.linalg.norm(points, axis=1, keepdims=True))

    def depth(self, k: int) -> Float32Array:
        """Return 1 % of the pixels, 2 % noise, up to 10 m."""
        truth = self.sequence.depth_m[k]
        noisy = truth * self.rng.normal(1, 0.02, truth.shape).astype(np.float32)
        kept = (self.rng.random(truth.shape) < 0.01) & (truth < 10)
        return np.where(kept, noisy, np.nan).astype(np.float32)

    def odometry(self, k: int) -> Float64Array:
        """Return the next pose by odometry: 1 % wrong, and 10 % in a tenth of the steps."""
        if k:
            poses = self.sequence.T_world_cam
            step = np.linalg.inv(poses[k - 1]) @ poses[k]
            slip = 1.1 if self.rng.random() < 0.1 else 1.0
            step[:3, 3] *= self.odom_factor * slip
            self.T_odom_cam = self.T_odom_cam @ step
        return self.T_odom_cam.copy()


def follow(
    sequence: Sequence, sources: tuple[ScaleSource, ...], seed: int
) -> tuple[Float64Array, float, float]:
    """Return the log scale of each frame (N,), seconds to the first one, processor ms a frame."""
    scale = FusedScale(FusionSettings(sources))
    evidence = Evidence(sequence, seed)
    logs, busy_s = [], 0.0
    first_s: float | None = None
    camera = sequence.camera
    unknown = np.log(100 * camera.fx / camera.width)
    for k, stamp_ns in enumerate(sequence.stamps_ns):
        evidence.give(k, sources, scale)
        image = sequence.images[k]
        frame = Frame(stamp_ns, CAMERA, image, camera.scaled_to(image.shape[1], image.shape[0]))
        start_s = time.process_time()
        scale.offer(frame, sequence.inverse_depth[k])
        metres = scale.metres(stamp_ns)
        busy_s += time.process_time() - start_s
        if metres is not None and first_s is None:
            first_s = (stamp_ns - sequence.stamps_ns[0]) * 1e-9
        logs.append(unknown if metres is None else np.log(metres))
    return np.array(logs), np.nan if first_s is None else first_s, 1e3 * busy_s / len(logs)


def abs_rel(log_ratio: Float32Array, log_scale: Float64Array | float) -> float:
    """Return the mean of |predicted / true - 1| with the scale of each frame (N,) or of all."""
    return float(np.nanmean(np.abs(np.expm1(np.reshape(log_scale, (-1, 1, 1)) - log_ratio))))


def best_scale(log_ratio: Float32Array) -> float:
    """Return the constant log scale with the least AbsRel."""
    middle = float(np.nanmedian(log_ratio))
    some = log_ratio[:, ::4, ::4]
    return min(
        middle + np.linspace(-0.3, 0.3, 121), key=lambda log_scale: abs_rel(some, log_scale)
    )


def measure(sequence: Sequence, seeds: int = 2) -> dict[str, dict[str, float]]:
    """Return the figures of each source, the worst of some seeds."""
    ratio = sequence.log_ratio
    best = best_scale(ratio)
    aligned = abs_rel(ratio, best)
    frame_scale = cv2.blur(np.nanmedian(ratio, axis=(1, 2))[:, None], (1, 5))[:, 0]
    camera = sequence.camera
    plain = abs_rel(ratio, np.log(100 * camera.fx / camera.width))
    found = {
        'aligned': {'abs_rel': round(aligned, 4)},
        'intrinsics': {'abs_rel': round(plain, 4), 'over_aligned': round(plain / aligned, 3)},
    }
    measured = tuple(source for source in MEASURED if source is not ScaleSource.PRIOR)
    runs_of = {**{source.value: (source,) for source in measured}, 'auto': measured}
    stamps = np.array(sequence.stamps_ns)
    for name, sources in runs_of.items():
        runs = [follow(sequence, sources, seed) for seed in range(seeds)]
        logs, first_s, cpu_ms = max(runs, key=lambda run: abs_rel(ratio, run[0]))
        steps = np.abs(np.diff(logs))
        is_late = (stamps[1:] - stamps[0]) * 1e-9 > max(1.0, first_s)
        wrong = np.flatnonzero(np.abs(logs - frame_scale)[: len(logs) // 2] > SETTLED)
        settled_s = float(stamps[wrong[-1]] - stamps[0]) * 1e-9 if len(wrong) else 0.0
        found[name] = {
            'abs_rel': round(abs_rel(ratio, logs), 4),
            'over_aligned': round(abs_rel(ratio, logs) / aligned, 3),
            'first_s': round(first_s, 2),
            'settled_s': round(settled_s, 2),
            'largest_step': round(float(steps[is_late].max(initial=0)), 4),
            'cpu_ms': round(cpu_ms, 2),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('sequences', nargs='*', default=SCENES, metavar='SEQUENCE')
    parser.add_argument('--frames', type=int, default=90)
    parser.add_argument('--model', default='nano')
    options = parser.parse_args()
    for name in options.sequences:
        print(json.dumps({name: measure(stream(name, options.model, options.frames))}), flush=True)


if __name__ == '__main__':
    main()
