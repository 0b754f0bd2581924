# SPDX-License-Identifier: Apache-2.0
"""Similarities of space: rotation, translation and scale, in batches.

A twist is (v, w, s): 3 of translation, 3 of rotation vector, 1 of log scale. It perturbs a
transform from the left, so that a point y moves by v + w x y + s y to first order
(Strasdat et al., "Scale drift-aware large scale monocular SLAM", RSS 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = int | slice | NDArray[np.intp]

TWIST = 7
SMALL_ANGLE_RAD = 1e-8


@dataclass(frozen=True)
class Sim3:
    """y = scale * rotation @ x + translation, for any leading shape (...,) of transforms.

    scale        (...,) float64, positive
    rotation     (..., 3, 3) float64
    translation  (..., 3) float64
    """

    scale: Array
    rotation: Array
    translation: Array

    @classmethod
    def identity(cls, count: int) -> Sim3:
        """Return ``count`` transforms that move nothing."""
        return cls(np.ones(count), np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))

    @classmethod
    def from_rigid(cls, T: Array) -> Sim3:
        """Return rigid transforms (..., 4, 4) as similarities of scale 1."""
        return cls(np.ones(T.shape[:-2]), T[..., :3, :3].copy(), T[..., :3, 3].copy())

    @classmethod
    def stack(cls, transforms: Sequence[Sim3]) -> Sim3:
        """Return single transforms as one batch."""
        return cls(
            np.array([T.scale for T in transforms]),
            np.array([T.rotation for T in transforms]),
            np.array([T.translation for T in transforms]),
        )

    @property
    def rigid(self) -> Array:
        """Rotation and translation as (..., 4, 4) float64; the scale is left out."""
        T = np.zeros((*self.scale.shape, 4, 4))
        T[..., :3, :3], T[..., :3, 3], T[..., 3, 3] = self.rotation, self.translation, 1.0
        return T

    def __getitem__(self, index: Index) -> Sim3:
        return Sim3(self.scale[index], self.rotation[index], self.translation[index])

    def __matmul__(self, first: Sim3) -> Sim3:
        """Return the transform that applies ``first``, then this one."""
        return Sim3(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale[..., None] * _turn(self.rotation, first.translation) + self.translation,
        )

    def inverse(self) -> Sim3:
        """Return the transform that undoes this one."""
        back = np.swapaxes(self.rotation, -1, -2)
        return Sim3(1 / self.scale, back, -_turn(back, self.translation) / self.scale[..., None])

    def apply(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Move points (..., 3, P), one column a point, in the points' own precision."""
        linear = (self.scale[..., None, None] * self.rotation).astype(points.dtype)
        return linear @ points + self.translation[..., None].astype(points.dtype)

    def moved(self, twist: Array) -> Sim3:
        """Return the transform perturbed from the left by ``twist`` (..., 7)."""
        v, w, s = twist[..., :3], twist[..., 3:6], twist[..., 6]
        return Sim3(np.exp(s), rotation_from_vector(w), v) @ self

    def adjoint(self) -> Array:
        """Return A, (..., 7, 7), such that T moved(x) = (T) moved(A x), for a twist x."""
        scale, R, t = self.scale[..., None, None], self.rotation, self.translation
        A = np.zeros((*self.scale.shape, TWIST, TWIST))
        A[..., :3, :3], A[..., :3, 3:6], A[..., :3, 6] = scale * R, skew(t) @ R, -t
        A[..., 3:6, 3:6], A[..., 6, 6] = R, 1.0
        return A


def _turn(rotation: Array, vector: Array) -> Array:
    turned: Array = (rotation @ vector[..., None])[..., 0]
    return turned


def skew(vector: Array) -> Array:
    """Return the matrix of the cross product with ``vector`` (..., 3), (..., 3, 3)."""
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape, 3)


def rotation_from_vector(vector: Array) -> Array:
    """Return the rotations (..., 3, 3) about ``vector`` (..., 3) by its length in radians."""
    angle = np.maximum(np.linalg.norm(vector, axis=-1), SMALL_ANGLE_RAD)[..., None, None]
    K = skew(vector)
    return np.eye(3) + np.sin(angle) / angle * K + (1 - np.cos(angle)) / angle**2 * (K @ K)


def vector_from_rotation(rotation: Array) -> Array:
    """Return the rotation vectors (..., 3), in radians, of ``rotation`` (..., 3, 3)."""
    R = rotation
    sine = np.stack(
        [R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1
    )
    length = np.linalg.norm(sine, axis=-1)
    angle = np.arctan2(length, np.trace(R, axis1=-2, axis2=-1) - 1)
    ratio = np.where(length > SMALL_ANGLE_RAD, angle / np.maximum(length, SMALL_ANGLE_RAD), 0.5)
    vectors: Array = ratio[..., None] * sine
    return vectors


def fit(
    source: NDArray[np.floating],
    target: NDArray[np.floating],
    weight: NDArray[np.floating] | None = None,
    *,
    with_scale: bool = True,
) -> Sim3:
    """Fit the similarity that maps ``source`` to ``target`` with the least weighted squares.

    source, target  (3, P), one column a point, P >= 1
    weight          (P,), not negative; None: all the same
    with_scale      fit a scale; else it is 1
    Umeyama (PAMI 1991), eq. 40 to 43, weighted. Points without extent give scale 1; those on a
    line or in one place leave a rotation open, and one of the possible ones is taken.
    """
    x, y = source.astype(np.float64), target.astype(np.float64)
    share = np.full(x.shape[1], 1 / x.shape[1]) if weight is None else weight / weight.sum()
    x_mean, y_mean = x @ share, y @ share
    x_c, y_c = x - x_mean[:, None], y - y_mean[:, None]
    u, singular, vt = np.linalg.svd((y_c * share) @ x_c.T)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * sign) @ vt
    variance = float(np.square(x_c).sum(axis=0) @ share)
    stretch = float(singular @ sign)
    scale = stretch / variance if with_scale and variance > 0 and stretch > 0 else 1.0
    return Sim3(np.array(scale), rotation, y_mean - scale * rotation @ x_mean)
