# SPDX-License-Identifier: Apache-2.0
"""CPU time a frame beside the network at 1920x1080: prints JSON.

    python bench/overhead.py [--rounds 30]

One thread; CPU time, so that other load on the machine counts little. The scene is a plane with
boxes below a sky; the scale comes from the height of the camera and a lidar of 16 beams.
Rectification is what a lens adds to the images of the network and of the corners; the whole image
is rectified only where an output of that size has a subscriber. Exits with 1 where rectification,
scale, masks and obstacles together take more than the bar.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo

from videodepth_ros.core.arrays import Float32Array, UInt8Array
from videodepth_ros.frames import DepthMap, Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.geometry.ground_plane import camera_rays
from videodepth_ros.messages.camera_info import Rectifier, rectifier_from
from videodepth_ros.models.preprocess import resized_frame, resized_image
from videodepth_ros.obstacles.detector import ObstacleDetector
from videodepth_ros.obstacles.options import ObstacleParameters
from videodepth_ros.obstacles.scan import scan_ranges
from videodepth_ros.scale.fusion import FusedScale, FusionSettings
from videodepth_ros.scale.mount import MountSettings, mount_from_pitch
from videodepth_ros.stream.confidence import ErrorEstimator, confidence_map
from videodepth_ros.stream.corner_tracking import downscaled_grey
from videodepth_ros.stream.masks import without_robot, without_uncertain
from videodepth_ros.stream.scale import Scale
from videodepth_ros.stream.session import StepResult
from videodepth_ros.stream.sky import without_sky

WIDTH, HEIGHT = 1920, 1080
NETWORK = 288, 160
CAMERA = Intrinsics(WIDTH, HEIGHT, 1400.0, 1400.0, 959.5, 539.5)
CAMERA_HEIGHT_M, PITCH_DEG = 0.5, 10.0
PERIOD_NS = 66_000_000
SOURCE = ScaleSource.INTRINSICS
BAR_MS = 15.0
BAR_OF = ('rectification', 'scale', 'masks', 'obstacles')


@dataclass
class Scene:
    """One view: image (1080, 1920, 3), Z (1080, 1920) and inverse depth (160, 288)."""

    image: UInt8Array
    depth_m: Float32Array
    inverse_depth: Float32Array


def scene() -> Scene:
    """A plane with two boxes, seen from above it, below a sky."""
    mount = mount_from_pitch(PITCH_DEG)
    drop = camera_rays(CAMERA) @ mount.down
    with np.errstate(divide='ignore'):
        depth_m = np.where(drop > 0, CAMERA_HEIGHT_M / drop, np.inf).astype(np.float32)
    depth_m[500:800, 500:700] = np.minimum(depth_m[500:800, 500:700], 1.6)
    depth_m[450:700, 1200:1400] = np.minimum(depth_m[450:700, 1200:1400], 2.4)
    rng = np.random.default_rng(0)
    image = rng.integers(60, 120, (HEIGHT, WIDTH, 3), np.uint8)
    image[np.isinf(depth_m)] = (150, 190, 240)
    inverse = cv2.resize(100 / depth_m, NETWORK, interpolation=cv2.INTER_AREA)
    return Scene(image, depth_m, np.asarray(inverse, np.float32))


def small_images(seen: Scene, rectifier: Rectifier | None) -> Callable[[int], Any]:
    """Make the images that the network and the corners need."""

    def step(k: int) -> None:
        frame = Frame(k * PERIOD_NS, 'camera', seen.image, CAMERA, rectifier)
        resized_frame(frame, *NETWORK)
        downscaled_grey(frame)

    return step


def lens() -> Rectifier:
    """Return the rectifier of a lens with five coefficients."""
    info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model='plumb_bob')
    info.d, info.k, info.p = [-0.2, 0.05, 0.001, -0.001, 0.0], CAMERA.matrix.ravel().tolist(), []
    info.p = np.hstack([CAMERA.matrix, np.zeros((3, 1))]).ravel().tolist()
    info.r = np.eye(3).ravel().tolist()
    rectifier = rectifier_from(info, WIDTH, HEIGHT)
    assert rectifier is not None
    return rectifier


def scale(seen: Scene) -> Callable[[int], Any]:
    """Measure the scale of a frame by the height of the camera, of every second by a lidar too."""
    sources = (ScaleSource.CAMERA_HEIGHT, ScaleSource.LIDAR)
    mount = MountSettings(height_m=CAMERA_HEIGHT_M, pitch_deg=PITCH_DEG)
    fused = FusedScale(FusionSettings(sources=sources, mount=mount))
    points = backproject(seen.depth_m, CAMERA)[::68, ::2].reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)].astype(np.float32)

    def step(k: int) -> None:
        stamp_ns = k * PERIOD_NS
        if k % 2 == 0:
            fused.add_points(stamp_ns, 'camera', points)
        fused.offer(Frame(stamp_ns, 'camera', seen.image, CAMERA), seen.inverse_depth)
        fused.metres(stamp_ns)

    return step


def masks(seen: Scene, folder: Path) -> Callable[[int], Any]:
    """Mask sky, pixels of little confidence and the robot."""
    path = folder / 'robot.png'
    robot = np.zeros((HEIGHT, WIDTH), np.uint8)
    robot[900:, 600:1300] = 255
    cv2.imwrite(str(path), robot)
    confidence = np.full((HEIGHT, WIDTH), 0.9, np.float32)
    confidence[:, 1500:] = 0.2
    depth = DepthMap(0, 'camera', seen.depth_m.copy(), confidence, CAMERA, SOURCE)
    small = resized_image(seen.image, *NETWORK)

    def step(k: int) -> None:
        without_sky(seen.inverse_depth, small, Scale(100.0, SOURCE))
        result = without_uncertain(StepResult(depth, None, 0.0), 0.5)
        without_robot(result, str(path), (WIDTH, HEIGHT))

    return step


def obstacles(seen: Scene) -> Callable[[int], Any]:
    """Find obstacles and their scan."""
    detector, parameters = ObstacleDetector(), ObstacleParameters()
    mount = mount_from_pitch(PITCH_DEG, CAMERA_HEIGHT_M)

    def step(k: int) -> None:
        found = detector.step(seen.depth_m, CAMERA, k * PERIOD_NS, mount, parameters)
        assert found is not None
        scan_ranges(found, found.T_ground_cam, parameters)

    return step


def confidence(seen: Scene) -> Callable[[int], Any]:
    """Estimate the expected error of depth at 640x480."""
    estimator, depth_m = ErrorEstimator(), np.full((480, 640), 2.0, np.float32)
    return lambda k: confidence_map(estimator.update(seen.inverse_depth), depth_m)


def cpu_ms(actions: dict[str, Callable[[int], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the CPU time of each round of each action, without the first three."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for k in range(rounds + 3):
        for name, action in actions.items():
            began_s = time.process_time()
            action(k)
            taken[name].append(1e3 * (time.process_time() - began_s))
    return {name: ms[3:] for name, ms in taken.items()}


def main() -> int:
    """Measure, print, and compare with the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=30, help='frames that are measured')
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    seen = scene()
    with tempfile.TemporaryDirectory() as folder:
        actions = {
            'small_images': small_images(seen, None),
            'small_images_of_a_lens': small_images(seen, lens()),
            'whole_image_of_a_lens': lambda k: lens().rectify(seen.image),
            'scale': scale(seen),
            'masks': masks(seen, Path(folder)),
            'obstacles': obstacles(seen),
            'confidence_640x480': confidence(seen),
        }
        taken = cpu_ms(actions, rounds)
    plain, distorted = taken['small_images'], taken['small_images_of_a_lens']
    taken['rectification'] = list(np.subtract(distorted, plain))
    together = np.sum([taken[name] for name in BAR_OF], axis=0)
    report = {
        'cpu_ms_p50': {name: round(float(np.median(ms)), 2) for name, ms in taken.items()},
        'together_ms': {'p50': round(float(np.median(together)), 2), 'bar': BAR_MS},
    }
    print(json.dumps(report, indent=2))
    return int(np.median(together) > BAR_MS)


if __name__ == '__main__':
    sys.exit(main())
