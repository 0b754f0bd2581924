# SPDX-License-Identifier: Apache-2.0
"""Register the depth of a recorded sequence to its colour camera, by the edges of both.

    python -m bench.registration SEQUENCE OUT

A depth camera whose images were not mapped into those of the colour camera is no truth for depth
beside edges, and its focal length is not that of the colour. Writes the sequence as the colour
camera sees it, and prints the registration as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from videodepth_ros.geometry.camera import Intrinsics, backproject_pixels
from videodepth_ros.geometry.pose import poses_from_xyz_quat
from videodepth_ros.refine.lidar import rasterize_depth

EDGE_RATIO = 1.08
"""Ratio of the depths of neighbours beyond which the nearer one is an edge."""
BLUR_PX = 1.5
FOCAL_RATIOS, BASELINES_M = np.arange(0.86, 1.1, 0.01), np.arange(-0.05, 0.051, 0.0125)
FIRST_STEPS, LAST_SHARE = (0.005, 0.005, 0.005, 2.0, 2.0), 1 / 32
"""First steps of the descent in each field of `Registration`; it ends at this share of them."""
JUDGED_FRAMES = 9


@dataclass(frozen=True)
class Registration:
    """The colour camera seen from the depth camera, both upright and parallel.

    focal_ratio   focal length of colour over that of depth
    x_m, y_m      added to points of the depth camera
    u_px, v_px    added to the principal point
    """

    focal_ratio: float = 1.0
    x_m: float = 0.0
    y_m: float = 0.0
    u_px: float = 0.0
    v_px: float = 0.0

    def colour_camera(self, camera: Intrinsics) -> Intrinsics:
        """Return the intrinsics of the colour camera beside a depth camera."""
        return replace(
            camera,
            fx=self.focal_ratio * camera.fx,
            fy=self.focal_ratio * camera.fy,
            cx=camera.cx + self.u_px,
            cy=camera.cy + self.v_px,
        )

    def shifted(self, points: np.ndarray) -> np.ndarray:
        """Return points (P, 3) of the depth camera in the colour camera."""
        return points + np.array([self.x_m, self.y_m, 0.0])

    def project(self, points: np.ndarray, camera: Intrinsics) -> np.ndarray:
        """Return the colour pixels (P, 2) of points (P, 3) of the depth camera."""
        colour, points = self.colour_camera(camera), self.shifted(points)
        xy = points[:, :2] / points[:, 2:]
        return xy * [colour.fx, colour.fy] + [colour.cx, colour.cy]


def edge_strength(image: np.ndarray) -> np.ndarray:
    """Return the strength of the edges of an image (H, W, 3), (H, W) of mean 0 and deviation 1."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
    strength = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)).max(axis=2)
    strength = cv2.GaussianBlur(np.minimum(strength, np.percentile(strength, 95)), (0, 0), BLUR_PX)
    return (strength - strength.mean()) / strength.std()


def edge_points(depth_m: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Return the points (P, 3) of the nearer side of depth edges; depth (H, W), 0 unknown."""
    is_edge = np.zeros(depth_m.shape, bool)
    for shift in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        beside = np.roll(depth_m, shift, (0, 1))
        is_edge |= (depth_m > 0) & (beside > EDGE_RATIO * depth_m)
    is_edge[[0, -1]] = is_edge[:, [0, -1]] = False
    return _points(depth_m, is_edge, camera)


def _points(depth_m: np.ndarray, chosen: np.ndarray, camera: Intrinsics) -> np.ndarray:
    y, x = np.nonzero(chosen)
    xy = np.column_stack([x - camera.cx, y - camera.cy])
    return backproject_pixels(xy, depth_m[y, x], np.array([camera.fx, camera.fy]))


def score(
    found: Registration,
    points: Sequence[np.ndarray],
    strengths: Sequence[np.ndarray],
    camera: Intrinsics,
) -> float:
    """Return the mean strength of the colour's edges where those of depth are."""
    sampled = []
    for one, strength in zip(points, strengths, strict=True):
        xy = found.project(one, camera).astype(np.float32)
        inside = ((xy >= 0) & (xy <= np.subtract(strength.shape[::-1], 1))).all(axis=1)
        sampled.append(cv2.remap(strength, xy[inside, None], None, cv2.INTER_LINEAR).ravel())
    return float(np.concatenate(sampled).mean())


def register(
    points: Sequence[np.ndarray], strengths: Sequence[np.ndarray], camera: Intrinsics
) -> Registration:
    """Return the registration of the highest score: the best of a grid, then coordinate ascent.

    points  of `edge_points`, a frame each; strengths: of `edge_strength`
    """
    grid = [Registration(float(f), float(x)) for f in FOCAL_RATIOS for x in BASELINES_M]
    best = max(grid, key=lambda one: score(one, points, strengths, camera))
    best_score, share = score(best, points, strengths, camera), 1.0
    while share >= LAST_SHARE:
        better = False
        for field, step in enumerate(FIRST_STEPS):
            for change in (share * step, -share * step):
                values = np.array(astuple(best))
                values[field] += change
                other = Registration(*values.tolist())
                if (other_score := score(other, points, strengths, camera)) > best_score:
                    best, best_score, better = other, other_score, True
        share = share if better else share / 2
    return best


def registered_depth(depth_m: np.ndarray, found: Registration, camera: Intrinsics) -> np.ndarray:
    """Return depth (H, W) as the colour camera sees it: the nearest of a pixel, 0 unknown."""
    points = found.shifted(_points(depth_m, depth_m > 0, camera))
    return np.nan_to_num(rasterize_depth(points, found.colour_camera(camera)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('sequence', type=Path)
    parser.add_argument('out', type=Path)
    arguments = parser.parse_args()
    folder, out = arguments.sequence, arguments.out
    about = json.loads((folder / 'intrinsics.json').read_text())
    camera = Intrinsics(
        about['width'], about['height'], *(float(about[key]) for key in ('fx', 'fy', 'cx', 'cy'))
    )
    images, depths = sorted(folder.glob('rgb/*')), sorted(folder.glob('depth/*'))
    scale_m = about['depth_png_scale_m']

    def depth_m(path: Path) -> np.ndarray:
        return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) * np.float64(scale_m)

    judged = range(0, len(images), max(1, len(images) // JUDGED_FRAMES))
    found = register(
        [edge_points(depth_m(depths[n]), camera) for n in judged],
        [edge_strength(cv2.imread(str(images[n]))) for n in judged],
        camera,
    )
    (out / 'depth').mkdir(parents=True)
    (out / 'rgb').symlink_to((folder / 'rgb').resolve())
    for path in depths:
        seen = registered_depth(depth_m(path), found, camera) / scale_m
        cv2.imwrite(str(out / 'depth' / path.name), np.rint(seen).astype(np.uint16))
    rows = np.loadtxt(folder / 'poses.txt')
    T_world_depth = poses_from_xyz_quat(rows[:, 1:8])
    rows[:, 1:4] = (T_world_depth @ [-found.x_m, -found.y_m, 0, 1])[:, :3]
    np.savetxt(out / 'poses.txt', rows)
    colour = found.colour_camera(camera)
    about |= {key: getattr(colour, key) for key in ('fx', 'fy', 'cx', 'cy')}
    (out / 'intrinsics.json').write_text(json.dumps(about))
    print(json.dumps(asdict(found)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
