# SPDX-License-Identifier: Apache-2.0
"""Smooth functions over the image: bilinear between the nodes of a coarse grid.

Positions ``uv`` (P, 2) are columns and rows as shares of the image, 0 to 1. Nodes lie on the
image's border and at even spaces between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array


@dataclass(frozen=True)
class SmoothGridOptions:
    """Options of `fit_smooth_grid`."""

    # Nodes across and down the image.
    columns: int = 9
    rows: int = 7
    # Sigma of the difference of neighboring nodes [prior sigmas].
    neighbor_sigma: float = 1.0
    # Sigma of a node about the level of the frame [prior sigmas]; holds nodes without points.
    level_sigma: float = 5.0
    # Scale of Cauchy's weight [point sigmas].
    cauchy_scale: float = 2.0
    # Passes of iteratively reweighted least squares.
    iterations: int = 5

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a grid."""
        return self.rows, self.columns


@dataclass(frozen=True)
class RidgeGridOptions:
    """Options of `fit_ridge_grid`."""

    # Nodes across and down the image.
    columns: int = 4
    rows: int = 3
    # Sigma of a node about zero [unit of the values].
    node_sigma: float = 0.15
    # Threshold of Huber's weight [point sigmas].
    huber_threshold: float = 1.5
    # Passes of iteratively reweighted least squares.
    iterations: int = 3


def fit_smooth_grid(
    uv: Float64Array,
    values: Float64Array,
    sigma: Float64Array,
    prior_sigma: float,
    level: float,
    options: SmoothGridOptions = SmoothGridOptions(),
) -> Float64Array:
    """Fit a grid to points, smooth where there are none; return (rows, columns) float64.

    Gaussian Markov random field (Rue and Held, 2005, section 3.2) with Cauchy's weight.
    uv           (P, 2) float64; values, sigma (P,) float64, the points and their sigmas
    prior_sigma  sigma of what the grid corrects: unit of the smoothness
    level        value of the grid without points
    """
    B = _design_matrix(uv, options.rows, options.columns)
    H = _smoothness(options.rows, options.columns) / (options.neighbor_sigma * prior_sigma) ** 2
    H[np.diag_indices_from(H)] += (options.level_sigma * prior_sigma) ** -2
    target, nodes = values - level, np.zeros(options.rows * options.columns)
    for _ in range(options.iterations):
        residual = target - B @ nodes
        weight = 1 / (sigma**2 * (1 + np.square(residual / (options.cauchy_scale * sigma))))
        nodes = np.linalg.solve((B.T * weight) @ B + H, B.T @ (weight * target))
    return nodes.reshape(options.rows, options.columns) + level


def fit_ridge_grid(
    uv: Float64Array,
    values: Float64Array,
    variance: Float64Array,
    options: RidgeGridOptions = RidgeGridOptions(),
) -> Float64Array:
    """Fit a grid to points by ridge regression with Huber's weight; return (rows, columns).

    uv  (P, 2) float64; values, variance (P,) float64, the points and their variances
    """
    B = _design_matrix(uv, options.rows, options.columns)
    nodes: Float64Array = np.zeros(B.shape[1])
    for _ in range(options.iterations):
        residual = np.abs(values - B @ nodes) / np.sqrt(variance)
        weighted = B.T / (np.maximum(1, residual / options.huber_threshold) * variance)
        nodes = np.asarray(
            np.linalg.solve(
                weighted @ B + np.eye(len(nodes)) / options.node_sigma**2, weighted @ values
            ),
            float,
        )
    return nodes.reshape(options.rows, options.columns)


def evaluate_grid(nodes: Float64Array, height: int, width: int) -> Float32Array:
    """Return the grid at the pixel centres of an image, (height, width) float32."""
    rows = _linear_basis((np.arange(height) + 0.5) / height, nodes.shape[0])
    columns = _linear_basis((np.arange(width) + 0.5) / width, nodes.shape[1])
    return (rows @ nodes @ columns.T).astype(np.float32)


def _linear_basis(position: Float64Array, nodes: int) -> Float64Array:
    """Return the hat functions of evenly spaced nodes at positions (P,) in 0 to 1, (P, nodes)."""
    distance = np.abs(position[:, None] * (nodes - 1) - np.arange(nodes))
    return np.maximum(1 - distance, 0)


def _design_matrix(uv: Float64Array, rows: int, columns: int) -> Float64Array:
    """Return the weight of each node at each point, (P, rows * columns)."""
    across, down = _linear_basis(uv[:, 0], columns), _linear_basis(uv[:, 1], rows)
    return (down[:, :, None] * across[:, None, :]).reshape(-1, rows * columns)


def _smoothness(rows: int, columns: int) -> Float64Array:
    """Return the matrix of the sum of squared differences of neighboring nodes."""

    def chain(nodes: int) -> Float64Array:
        steps = np.diff(np.eye(nodes), axis=0)
        return steps.T @ steps

    return np.kron(chain(rows), np.eye(columns)) + np.kron(np.eye(rows), chain(columns))
