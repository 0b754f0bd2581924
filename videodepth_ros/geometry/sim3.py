# SPDX-License-Identifier: Apache-2.0
"""Similarities Sim(3): rotation, translation and scale, in batches.

A twist is (v, w, s): translation (3), rotation vector (3), log scale (1). It perturbs a transform
from the left: a point y moves by v + w x y + s y to first order
(Strasdat et al., "Scale drift-aware large scale monocular SLAM", RSS 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float64Array, FloatArray, IndexArray
from videodepth_ros.geometry.rotation import hat, so3_exp

Floating = TypeVar('Floating', bound=np.floating)

SIM3_DOF = 7
"""Degrees of freedom of a similarity: length of a twist."""


@dataclass(frozen=True)
class Sim3:
    """Similarities y = scale * rotation @ x + translation, of any leading shape (...,).

    scale        (...,) float64, positive
    rotation     (..., 3, 3) float64
    translation  (..., 3) float64
    """

    scale: Float64Array
    rotation: Float64Array
    translation: Float64Array

    @classmethod
    def identity(cls, count: int) -> Sim3:
        """Return ``count`` identity transforms."""
        return cls(np.ones(count), np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))

    @classmethod
    def from_se3(cls, T: Float64Array) -> Sim3:
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
    def se3(self) -> Float64Array:
        """Rotation and translation as (..., 4, 4) float64; the scale is dropped."""
        T = np.zeros((*self.scale.shape, 4, 4))
        T[..., :3, :3], T[..., :3, 3], T[..., 3, 3] = self.rotation, self.translation, 1.0
        return T

    def __getitem__(self, index: int | slice | IndexArray) -> Sim3:
        return Sim3(self.scale[index], self.rotation[index], self.translation[index])

    def __matmul__(self, first: Sim3) -> Sim3:
        """Return the composition: ``first``, then this one."""
        return Sim3(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.scale[..., None] * _rotate(self.rotation, first.translation) + self.translation,
        )

    def inverse(self) -> Sim3:
        """Return the inverse transforms."""
        R = np.swapaxes(self.rotation, -1, -2)
        return Sim3(1 / self.scale, R, -_rotate(R, self.translation) / self.scale[..., None])

    def apply(self, points: NDArray[Floating]) -> NDArray[Floating]:
        """Transform points (..., 3, P), one column a point, in the points' own precision."""
        linear = (self.scale[..., None, None] * self.rotation).astype(points.dtype)
        moved: NDArray[Floating] = linear @ points
        return moved + self.translation[..., None].astype(points.dtype)

    def retract(self, twist: Float64Array) -> Sim3:
        """Return the transforms perturbed from the left by twists (..., 7)."""
        v, w, s = twist[..., :3], twist[..., 3:6], twist[..., 6]
        return Sim3(np.exp(s), so3_exp(w), v) @ self

    def adjoint(self) -> Float64Array:
        """Return the adjoints A (..., 7, 7): T exp(x) = exp(A x) T to first order."""
        scale, R, t = self.scale[..., None, None], self.rotation, self.translation
        A = np.zeros((*self.scale.shape, SIM3_DOF, SIM3_DOF))
        A[..., :3, :3], A[..., :3, 3:6], A[..., :3, 6] = scale * R, hat(t) @ R, -t
        A[..., 3:6, 3:6], A[..., 6, 6] = R, 1.0
        return A


def _rotate(rotation: Float64Array, vector: Float64Array) -> Float64Array:
    rotated: Float64Array = (rotation @ vector[..., None])[..., 0]
    return rotated


def umeyama_alignment(
    source: FloatArray,
    target: FloatArray,
    weight: FloatArray | None = None,
    *,
    with_scale: bool = True,
) -> Sim3:
    """Fit the similarity that maps ``source`` to ``target`` by weighted least squares.

    source, target  (3, P), one column a point, P >= 1
    weight          (P,), >= 0; None: uniform
    with_scale      False: scale 1 (Horn)
    Umeyama (PAMI 1991), eq. 40 to 43, weighted. Points without extent give scale 1; collinear or
    coincident ones leave the rotation ambiguous, and one of the solutions is returned.
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
