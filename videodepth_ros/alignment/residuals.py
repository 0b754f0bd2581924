# SPDX-License-Identifier: Apache-2.0
"""Residuals of one frame and their derivatives, with its depth eliminated.

A pixel's depth d lies on its ray k = ((u - cx) / fx, (v - cy) / fy, 1). What a pair says of that
pixel is a point y = T_cam_pair x, and the residual d k - y. A flow says where the point d k is
seen by another camera. Every residual depends on one transform, through a twist of 7, on the
pixel's own depth, and on the focal length; depths are one unknown a pixel and leave by the Schur
complement (Triggs et al., "Bundle adjustment - a modern synthesis", section 6.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.observations import FrameObservations
from videodepth_ros.alignment.ray_depth import squared_norm_floor
from videodepth_ros.geometry.sim3 import SIM3_DOF, Sim3

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

TINY = 1e-12
NEAR = 1e-4
OUTLIER_PX = 50.5
"""Flow that errs by more is dropped: where smooth L1 reaches 50 (MonST3R's code)."""


@dataclass(frozen=True)
class LinearizedResiduals:
    """Residuals r of M transforms at P pixels, D numbers each, and how they change.

    residual  (M, D, P)
    twist     (M, 7, D, P), with the twist of the transform
    focal     (M, D, P), with the logarithm of the focal length
    depth     (M, D, P), with the depth of the pixel
    weight    (M, 1 or D, P), of the squares: those of iteratively re-weighted least squares
    value     weighted sum of the norms that the squares stand for
    All arrays float32.
    """

    residual: Array
    twist: Array
    focal: Array
    depth: Array
    weight: Array
    value: float

    def weighted(self, share: float) -> LinearizedResiduals:
        """Return the same residuals, counting ``share`` times."""
        return replace(self, weight=self.weight * np.float32(share), value=self.value * share)


def point_map_residuals(
    depth: Array, rays: Array, seen: Array, weight: Array
) -> LinearizedResiduals:
    """Linearise d k - y, of whose Euclidean norm the objective is the weighted sum.

    depth (P,), rays (3, P), seen (M, 3, P): the points y; weight (M, P)
    """
    residual = depth * rays - seen
    length = np.sqrt(np.einsum('mdp,mdp->mp', residual, residual) + squared_norm_floor(depth))
    twist = np.zeros((len(seen), SIM3_DOF, 3, depth.size), np.float32)
    twist[:, [0, 1, 2], [0, 1, 2]] = -1
    x, y, z = seen[:, 0], seen[:, 1], seen[:, 2]
    twist[:, 3, 1], twist[:, 3, 2] = z, -y
    twist[:, 4, 0], twist[:, 4, 2] = -z, x
    twist[:, 5, 0], twist[:, 5, 1] = y, -x
    twist[:, 6] = -seen
    focal = np.zeros_like(seen)
    focal[:, :2] = -depth * rays[:2]
    return LinearizedResiduals(
        residual,
        twist,
        focal,
        np.broadcast_to(rays, seen.shape),
        (weight / length)[:, None],
        _sum(weight, length),
    )


def measured_depth_residuals(
    depth: Array, rays: Array, measured: Array, weight: float
) -> LinearizedResiduals:
    """Linearise |k| (d - m), the distance along the ray to a measured depth m, (P,), NaN unknown.

    It depends on no transform; its one row of twists is zero.
    """
    known = np.isfinite(measured)
    length = np.linalg.norm(rays, axis=0)
    residual = np.where(known, length * (depth - np.where(known, measured, 0)), 0)
    norm = np.sqrt(np.square(residual) + squared_norm_floor(depth))
    gain = known.astype(np.float32) * np.float32(weight)
    row = (1, 1, depth.size)
    return LinearizedResiduals(
        residual.reshape(row),
        np.zeros((1, SIM3_DOF, 1, depth.size), np.float32),
        np.zeros(row, np.float32),
        length.reshape(row),
        (gain / norm).astype(np.float32).reshape(row),
        _sum(gain, norm),
    )


def flow_residuals(
    depth: Array, rays: Array, other: Sim3, fx: Array64, aspect: float, view: FrameObservations
) -> LinearizedResiduals:
    """Linearise where flow says that pixels go against where the cameras say; smooth L1, 1 pixel.

    other  F rigid transforms into the cameras that flow leads to; fx (F,) float64, theirs
    The seventh twist, a scale, moves no pixel of a rigid transform: in its place stands the other
    camera's log focal length.
    """
    point = other.apply((depth * rays)[None])
    x, y, z = point[:, 0], point[:, 1], np.maximum(point[:, 2], np.float32(NEAR))
    scale = np.stack([fx, fx * aspect], axis=1).astype(np.float32)[:, :, None]
    pixel = scale * point[:, :2] / z[:, None]
    residual = pixel - view.flow
    error = np.abs(residual)
    good = (point[:, 2] > NEAR)[:, None] & (error < OUTLIER_PX) & (view.flow_weight > 0)[:, None]
    slope = np.zeros((len(x), 3, 2, depth.size), np.float32)  # of the pixel with the point
    slope[:, 0, 0], slope[:, 1, 1] = scale[:, 0] / z, scale[:, 1] / z
    slope[:, 2] = -pixel / z[:, None]
    twist = np.empty((len(x), SIM3_DOF, 2, depth.size), np.float32)
    twist[:, :3] = slope
    x, y, z = x[:, None], y[:, None], point[:, 2:]
    twist[:, 3] = y * slope[:, 2] - z * slope[:, 1]
    twist[:, 4] = z * slope[:, 0] - x * slope[:, 2]
    twist[:, 5] = x * slope[:, 1] - y * slope[:, 0]
    twist[:, 6] = pixel
    turned = other.rotation.astype(np.float32) @ rays
    bent = other.rotation[:, :, :2].astype(np.float32) @ (-depth * rays[:2])
    huber = np.where(error < 1, 0.5 * np.square(error), error - 0.5)
    return LinearizedResiduals(
        residual,
        twist,
        np.einsum('fcdp,fcp->fdp', slope, bent),
        np.einsum('fcdp,fcp->fdp', slope, turned),
        (good / np.maximum(error, 1)).astype(np.float32),
        _sum(good, huber),
    )


def _sum(weight: Array | NDArray[np.bool_], value: Array) -> float:
    return float(np.sum(weight * value, dtype=np.float64))


def eliminate_depth(blocks: list[LinearizedResiduals]) -> Array64:
    """Eliminate the depths of one frame from all of its residuals.

    returns  (7 M + 2, 7 M + 2) float64: the normal matrix of the M twists one after another, of
             the focal length, and last of the residual itself, whose column is the gradient
    """
    count = sum(len(block.residual) for block in blocks)
    system = np.zeros((SIM3_DOF * count + 2, SIM3_DOF * count + 2))
    known = np.full(blocks[0].residual.shape[-1], TINY, np.float32)
    mixed = np.zeros((SIM3_DOF * count + 2, known.size), np.float32)
    start = 0
    for block in blocks:
        root = np.sqrt(block.weight)
        depth = block.depth * root
        columns = (
            np.concatenate([block.twist, block.focal[:, None], block.residual[:, None]], axis=1)
            * root[:, None]
        )
        m, n, d, p = columns.shape
        flat = columns.reshape(m, n, d * p)
        gram = flat @ flat.transpose(0, 2, 1)
        cross = np.einsum('mndp,mdp->mnp', columns, depth)
        for k in range(m):
            own = slice(start, start + SIM3_DOF)
            system[own, own] += gram[k, :SIM3_DOF, :SIM3_DOF]
            system[own, -2:] += gram[k, :SIM3_DOF, SIM3_DOF:]
            mixed[own] = cross[k, :SIM3_DOF]
            start += SIM3_DOF
        system[-2:, -2:] += gram[:, SIM3_DOF:, SIM3_DOF:].sum(axis=0)
        mixed[-2:] += cross[:, SIM3_DOF:].sum(axis=0)
        known += np.einsum('mdp,mdp->p', depth, depth)
    system[-2:, :-2] = system[:-2, -2:].T
    mixed /= np.sqrt(known)
    return system - mixed @ mixed.T
