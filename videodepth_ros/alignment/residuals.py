# SPDX-License-Identifier: Apache-2.0
"""Residuals of one frame and their derivatives, and the elimination of its depths.

A pixel of depth d lies at d k on its ray k = ((u - cx) / fx, (v - cy) / fy, 1). A point map gives
the residual d k - y, with its point y = T_cam_pair x in the camera; a flow gives the difference
between its target and the projection of d k into another camera. Every residual depends on one
transform, through a twist of 7, on the pixel's depth, and on the focal length; depths are one
parameter per pixel and are eliminated by the Schur complement (Triggs et al., "Bundle adjustment -
a modern synthesis", section 6.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.alignment.observations import FrameObservations
from videodepth_ros.alignment.options import PUBLISHED_OPTIONS
from videodepth_ros.alignment.ray_depth import squared_norm_floor
from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray
from videodepth_ros.geometry.sim3 import SIM3_DOF, Sim3

MIN_CURVATURE = 1e-12
"""Keeps the elimination of a depth without residuals finite."""
MIN_Z = 1e-4
"""Least Z of a point that is projected [unit of the state]."""


@dataclass(frozen=True)
class LinearizedResiduals:
    """Residuals r of M transforms at P pixels, D components each, and their derivatives.

    residual  (M, D, P)
    twist     (M, 7, D, P), by the twist of the transform
    focal     (M, D, P), by the log focal length
    depth     (M, D, P), by the depth of the pixel
    weight    (M, 1 or D, P), of the squares: iteratively re-weighted least squares
    value     weighted sum of the norms that the squares approximate
    All arrays float32.
    """

    residual: Float32Array
    twist: Float32Array
    focal: Float32Array
    depth: Float32Array
    weight: Float32Array
    value: float

    def scaled(self, factor: float) -> LinearizedResiduals:
        """Return the residuals with weights and value multiplied by ``factor``."""
        return replace(self, weight=self.weight * np.float32(factor), value=self.value * factor)


def point_map_residuals(
    depth: Float32Array, rays: Float32Array, points: Float32Array, weight: Float32Array
) -> LinearizedResiduals:
    """Linearise d k - y, whose Euclidean norm the objective sums with weights.

    depth (P,), rays (3, P), points y (M, 3, P) in the camera, weight (M, P)
    """
    residual = depth * rays - points
    length = np.sqrt(np.einsum('mdp,mdp->mp', residual, residual) + squared_norm_floor(depth))
    twist = np.zeros((len(points), SIM3_DOF, 3, depth.size), np.float32)
    twist[:, [0, 1, 2], [0, 1, 2]] = -1
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    twist[:, 3, 1], twist[:, 3, 2] = z, -y
    twist[:, 4, 0], twist[:, 4, 2] = -z, x
    twist[:, 5, 0], twist[:, 5, 1] = y, -x
    twist[:, 6] = -points
    focal = np.zeros_like(points)
    focal[:, :2] = -depth * rays[:2]
    return LinearizedResiduals(
        residual,
        twist,
        focal,
        np.broadcast_to(rays, points.shape),
        (weight / length)[:, None],
        _weighted_sum(weight, length),
    )


def measured_depth_residuals(
    depth: Float32Array, rays: Float32Array, measured: Float32Array, weight: float
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
        _weighted_sum(gain, norm),
    )


def flow_residuals(
    depth: Float32Array,
    rays: Float32Array,
    T_other_cam: Sim3,
    fx: Float64Array,
    aspect: float,
    frame: FrameObservations,
    max_error_px: float = PUBLISHED_OPTIONS.max_flow_error_px,
) -> LinearizedResiduals:
    """Linearise the projection into other cameras less the target of the flow [px]; Huber, 1 px.

    T_other_cam   F rigid transforms into the cameras of the flows; fx (F,) float64, theirs
    max_error_px  larger components are dropped
    The seventh twist, a scale, does not change the projection of a rigid transform; its row holds
    the derivative by the other camera's log focal length instead.
    """
    point = T_other_cam.apply((depth * rays)[None])
    x, y, z = point[:, 0], point[:, 1], np.maximum(point[:, 2], np.float32(MIN_Z))
    scale = np.stack([fx, fx * aspect], axis=1).astype(np.float32)[:, :, None]
    pixel = scale * point[:, :2] / z[:, None]
    residual = pixel - frame.flow_px
    error = np.abs(residual)
    valid = (point[:, 2] > MIN_Z)[:, None] & (error < max_error_px)
    valid &= (frame.flow_weight > 0)[:, None]
    slope = np.zeros((len(x), 3, 2, depth.size), np.float32)  # of the pixel by the point
    slope[:, 0, 0], slope[:, 1, 1] = scale[:, 0] / z, scale[:, 1] / z
    slope[:, 2] = -pixel / z[:, None]
    twist = np.empty((len(x), SIM3_DOF, 2, depth.size), np.float32)
    twist[:, :3] = slope
    x, y, z = x[:, None], y[:, None], point[:, 2:]
    twist[:, 3] = y * slope[:, 2] - z * slope[:, 1]
    twist[:, 4] = z * slope[:, 0] - x * slope[:, 2]
    twist[:, 5] = x * slope[:, 1] - y * slope[:, 0]
    twist[:, 6] = pixel
    by_depth = T_other_cam.rotation.astype(np.float32) @ rays
    by_focal = T_other_cam.rotation[:, :, :2].astype(np.float32) @ (-depth * rays[:2])
    huber = np.where(error < 1, 0.5 * np.square(error), error - 0.5)
    return LinearizedResiduals(
        residual,
        twist,
        np.einsum('fcdp,fcp->fdp', slope, by_focal),
        np.einsum('fcdp,fcp->fdp', slope, by_depth),
        (valid / np.maximum(error, 1)).astype(np.float32),
        _weighted_sum(valid, huber),
    )


def _weighted_sum(weight: Float32Array | MaskArray, value: Float32Array) -> float:
    return float(np.sum(weight * value, dtype=np.float64))


def eliminate_depth(blocks: list[LinearizedResiduals]) -> Float64Array:
    """Eliminate the depths of one frame from all of its residuals (Schur complement).

    returns  (7 M + 2, 7 M + 2) float64: the normal matrix of the M twists in order, of the focal
             length, and last of the residual itself, whose column is the gradient
    """
    count = sum(len(block.residual) for block in blocks)
    system = np.zeros((SIM3_DOF * count + 2, SIM3_DOF * count + 2))
    curvature = np.full(blocks[0].residual.shape[-1], MIN_CURVATURE, np.float32)
    mixed = np.zeros((SIM3_DOF * count + 2, curvature.size), np.float32)
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
        curvature += np.einsum('mdp,mdp->p', depth, depth)
    system[-2:, :-2] = system[:-2, -2:].T
    mixed /= np.sqrt(curvature)
    return system - mixed @ mixed.T
