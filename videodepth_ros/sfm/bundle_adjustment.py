# SPDX-License-Identifier: Apache-2.0
"""Bundle adjustment with a depth prior: cameras and points from tracks.

The points leave the equations by the Schur complement (Triggs et al., "Bundle adjustment - a
modern synthesis", section 6.1); cameras stay along time, as `solver.py` wants them, for a track is
short; a few that see again what was seen long before are the border. Errors have Cauchy's weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.block_solver import BORDER, FIXED, NormalEquations
from videodepth_ros.geometry.rotation import so3_log
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.reprojection import (
    ERROR,
    FOCAL,
    POINT,
    Noise,
    Rays,
    Scene,
    Sightings,
    errors_of,
    jacobian,
    residuals,
    robust_cost,
)

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

CAMERA = 7
"""Numbers of a camera: its twist of 6, and the log scale of its prior."""
LONGEST_STEP = 1.0
"""A point's log depth moves no further at once."""
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-4, 1e-9, 1e6
GAIN = 1e-4
"""A step that lowers the cost by a lesser share is the last."""
LOOSE = 1e-4
"""Added to the curvature of points, so that those at infinity have one."""


@dataclass(frozen=True)
class _Points:
    """How the points of one part answer to a step of the cameras.

    own, host   (K, 7), of the sighting's camera and of the first one; focal (K,)
    curvature, gradient  (M,)
    """

    own: Array
    host: Array
    focal: Array
    curvature: Array
    gradient: Array

    def step(self, seen: Sightings, cameras: Array, focal: float) -> Array:
        """Return the steps (M,) of the log inverse depths after those of the ``cameras``."""
        push = (
            np.einsum('kc,kc->k', self.own, cameras[seen.frame])
            + np.einsum('kc,kc->k', self.host, cameras[seen.host])
            + self.focal * focal
        )
        total = self.gradient + np.add.reduceat(push, seen.first)
        return np.clip(-total / self.curvature, -LONGEST_STEP, LONGEST_STEP)


class Bundle:
    """The adjustment of one recording, part by part along time."""

    def __init__(self, seen: Sightings, group: int) -> None:
        """Sort the sightings; no track may span more than ``group`` frames, but where joined."""
        self.focal = CAMERA * seen.frames
        of_frame = np.arange(seen.frames) // group
        of_frame[seen.frame[seen.joined]] = BORDER
        self._group_of = np.append(np.repeat(of_frame, CAMERA), BORDER)
        self._group_of[:6] = FIXED
        part = seen.frame[seen.first] // group
        self._chosen = [np.flatnonzero(part == p) for p in np.unique(part)]
        self.parts = [seen.among((part == p)[seen.track]) for p in np.unique(part)]

    def adjusted(self, scene: Scene, noise: Noise, iterations: int) -> Scene:
        """Descend by damped Gauss-Newton steps until they gain little."""
        damping, cost = FIRST_DAMPING, self.cost(scene, noise)
        for _ in range(iterations):
            equations, points = self._linearised(scene, noise)
            gain = -1.0
            while gain < 0 and damping < MOST_DAMPING:
                moved = self._moved(scene, equations.solve(damping), points)
                there = self.cost(moved, noise)
                gain = cost - there
                damping = damping * 10 if gain < 0 else max(damping / 10, LEAST_DAMPING)
            if gain < 0:
                break
            scene, cost = moved, there
            if gain < GAIN * cost:
                break
        return scene

    def cost(self, scene: Scene, noise: Noise) -> float:
        """Return the sum of all robust squares."""
        data = sum(
            robust_cost(residuals(part, self._part(scene, n), noise), noise)
            for n, part in enumerate(self.parts)
        )
        steps = _motions(scene.cameras)
        motion = np.square(steps / _motion_sigmas(noise)).sum()
        focal = ((scene.log_focal - noise.log_focal) / noise.focal) ** 2 if noise.focal else 0.0
        return data + float(motion + np.square(scene.log_scale / noise.scale).sum()) + focal

    def _part(self, scene: Scene, n: int) -> Scene:
        return replace(scene, log_inverse=scene.log_inverse[self._chosen[n]])

    def _linearised(self, scene: Scene, noise: Noise) -> tuple[NormalEquations, list[_Points]]:
        if not noise.focal:
            self._group_of[self.focal] = FIXED
        equations = NormalEquations(self._group_of)
        points = [
            _add_part(equations, part, self._part(scene, n), noise)
            for n, part in enumerate(self.parts)
        ]
        _add_motions(equations, scene, noise)
        scales = np.arange(6, self.focal, CAMERA)
        for number, value in zip(scales, scene.log_scale, strict=True):
            equations.add(
                np.array([number]),
                np.array([[noise.scale**-2]]),
                np.array([value * noise.scale**-2]),
            )
        if noise.focal:
            equations.add(
                np.array([self.focal]),
                np.array([[noise.focal**-2]]),
                np.array([(scene.log_focal - noise.log_focal) * noise.focal**-2]),
            )
        return equations, points

    def _moved(self, scene: Scene, step: Array, points: list[_Points]) -> Scene:
        cameras, focal = step[: self.focal].reshape(-1, CAMERA), float(step[self.focal])
        twist = cameras.copy()
        twist[:, 6] = 0.0
        log_inverse = scene.log_inverse.copy()
        for part, chosen, point in zip(self.parts, self._chosen, points, strict=True):
            log_inverse[chosen] += point.step(part, cameras, focal)
        return Scene(
            scene.cameras.retract(twist),
            scene.log_scale + cameras[:, 6],
            log_inverse,
            scene.log_focal + focal,
            scene.aspect,
        )


def _add_part(equations: NormalEquations, seen: Sightings, scene: Scene, noise: Noise) -> _Points:
    """Add the sightings of one part, their points eliminated."""
    rays = Rays.of(seen, scene)
    errors = errors_of(seen, scene, noise, rays)
    J = jacobian(seen, scene, noise, rays, errors)
    gram = J.transpose(0, 2, 1) @ J
    back = np.zeros((len(rays.edges.scale), CAMERA, CAMERA))  # from a step of h to one of j
    back[:, :6, :6] = -rays.edges.adjoint()[:, :6, :6]
    points = _Points(
        gram[:, :CAMERA, POINT],
        np.einsum('kab,ka->kb', back[rays.pair], gram[:, :CAMERA, POINT]),
        gram[:, FOCAL, POINT],
        np.add.reduceat(gram[:, POINT, POINT], seen.first) + LOOSE,
        np.add.reduceat(gram[:, POINT, ERROR], seen.first),
    )
    frames = np.unique(seen.frame)
    H, gradient = _camera_part(seen, frames, rays.pair, gram, back)
    W = _mixed(seen, frames, points)
    H -= (W.T / points.curvature) @ W
    gradient -= W.T @ (points.gradient / points.curvature)
    numbers = np.append(
        (CAMERA * frames[:, None] + np.arange(CAMERA)).ravel(), CAMERA * seen.frames
    )
    equations.add(numbers, H, gradient)
    return points


def _camera_part(
    seen: Sightings, frames: Indices, pair: Indices, gram: Array, back: Array
) -> tuple[Array, Array]:
    """Sum what the sightings say of their own cameras, of the first ones, and of the focal."""
    order = np.argsort(pair, kind='stable')
    start = np.searchsorted(pair[order], np.arange(len(back)))
    sums = np.add.reduceat(gram[order], start)
    at_j = np.searchsorted(frames, seen.frame[order[start]])
    at_h = np.searchsorted(frames, seen.host[order[start]])
    C, forth = sums[:, :CAMERA, :CAMERA], back.transpose(0, 2, 1)
    blocks = np.zeros((len(frames), len(frames), CAMERA, CAMERA))
    np.add.at(blocks, (at_j, at_j), C)
    np.add.at(blocks, (at_h, at_h), forth @ C @ back)
    np.add.at(blocks, (at_h, at_j), forth @ C)
    np.add.at(blocks, (at_j, at_h), C @ back)
    edge = np.zeros((len(frames), CAMERA, 2))  # with the focal length, and with the error
    rest = sums[:, :CAMERA][:, :, [FOCAL, ERROR]]
    np.add.at(edge, at_j, rest)
    np.add.at(edge, at_h, forth @ rest)
    size = CAMERA * len(frames)
    H = np.empty((size + 1, size + 1))
    H[:-1, :-1] = blocks.transpose(0, 2, 1, 3).reshape(size, size)
    H[:-1, -1] = H[-1, :-1] = edge[..., 0].ravel()
    H[-1, -1] = sums[:, FOCAL, FOCAL].sum()
    return H, np.append(edge[..., 1].ravel(), sums[:, FOCAL, ERROR].sum())


def _mixed(seen: Sightings, frames: Indices, points: _Points) -> Array:
    """Return the second derivatives (M, C) of points with cameras and focal length."""
    M = len(seen.first)
    W = np.zeros((M, len(frames) * CAMERA + 1))
    blocks = W[:, :-1].reshape(M, len(frames), CAMERA)
    blocks[seen.track, np.searchsorted(frames, seen.frame)] = points.own
    host = np.searchsorted(frames, seen.frame[seen.first])
    blocks[np.arange(M), host] += np.add.reduceat(points.host, seen.first)
    W[:, :-1] = blocks.reshape(M, -1)
    W[:, -1] = np.add.reduceat(points.focal, seen.first)
    return W


def _motions(cameras: Sim3) -> Array:
    """Return the motions (N - 1, 6) from frame to frame: translation and rotation vector."""
    step = cameras[1:] @ cameras[:-1].inverse()
    return np.concatenate([step.translation, so3_log(step.rotation)], axis=1)


def _motion_sigmas(noise: Noise) -> Array:
    return np.repeat([noise.moved, noise.turned], 3)


def _add_motions(equations: NormalEquations, scene: Scene, noise: Noise) -> None:
    """Expect every camera where the one before it is, so weakly that any track says more."""
    if len(scene.log_scale) < 2:
        return
    weight = _motion_sigmas(noise) ** -2
    back = (scene.cameras[1:] @ scene.cameras[:-1].inverse()).adjoint()[:, :6, :6]
    for n, (step, A) in enumerate(zip(_motions(scene.cameras), back, strict=True)):
        J = np.hstack([-A, np.eye(6)])
        numbers = np.r_[CAMERA * n : CAMERA * n + 6, CAMERA * (n + 1) : CAMERA * (n + 1) + 6]
        equations.add(numbers, (J.T * weight) @ J, (J.T * weight) @ step)
