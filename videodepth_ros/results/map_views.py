# SPDX-License-Identifier: Apache-2.0
"""Pictures of the map from two sides: triangles of a mesh or points of a cloud."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float64Array, UInt8Array
from videodepth_ros.pictures import BACKGROUND, Image
from videodepth_ros.results.options import MAP_VIEW, MapViewOptions

LEAST_LIGHT = 0.55
"""Brightness of a surface that the viewer sees edge-on; 1 for one that faces the viewer."""


@dataclass(frozen=True)
class MapSurface:
    """Surfaces in the map (z up).

    positions_m  (V, 3) float64; colours (V, 3) uint8 RGB
    faces        (F, 3) int32, triangles; empty: the positions are points
    """

    positions_m: Float64Array
    colours: UInt8Array
    faces: NDArray[np.int32]


def map_views(
    surface: MapSurface, T_map_cam: Float64Array, options: MapViewOptions = MAP_VIEW
) -> list[Image]:
    """Render the map from the left and from the right of the way the cameras look.

    T_map_cam  (N, 4, 4) float64, poses of the cameras
    returns    two pictures (H, W, 3) uint8 RGB; none where the map is empty
    """
    if not len(surface.positions_m):
        return []
    yaws = (mean_heading(T_map_cam) + side * np.radians(options.yaw_deg) for side in (1, -1))
    return [_render(surface, yaw, options) for yaw in yaws]


def mean_heading(T_map_cam: Float64Array) -> float:
    """Return the yaw of where cameras (N, 4, 4) look in the mean [rad]."""
    ahead = T_map_cam[:, :2, 2].mean(axis=0)
    return float(np.arctan2(ahead[1], ahead[0]))


def _render(surface: MapSurface, yaw: float, options: MapViewOptions) -> Image:
    """Render from behind and above, looking along ``yaw`` and down; far surfaces first."""
    centre = np.median(surface.positions_m, axis=0)
    offset = surface.positions_m - centre
    radius = float(np.percentile(np.linalg.norm(offset, axis=1), options.extent_percentile))
    seen = offset @ _orbit(yaw, np.radians(options.pitch_deg)).T / max(radius, 1e-9)
    seen[:, 2] += options.distance
    z = np.maximum(seen[:, 2:], 1e-3)
    pixels = seen[:, :2] / z * options.focal * options.height_px
    pixels += np.array([options.width_px, options.height_px]) / 2
    picture = np.full((options.height_px, options.width_px, 3), BACKGROUND, np.uint8)
    if len(surface.faces):
        _draw_faces(picture, seen, pixels, surface)
    else:
        _draw_points(picture, seen, pixels, surface.colours)
    return picture


def _draw_faces(
    picture: Image, seen: Float64Array, pixels: Float64Array, surface: MapSurface
) -> None:
    corners = seen[surface.faces]
    order = np.argsort(-corners[:, :, 2].mean(axis=1), kind='stable')
    order = order[corners[order, :, 2].min(axis=1) > 0.1]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = np.abs(normal[:, 2]) / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    light = LEAST_LIGHT + (1 - LEAST_LIGHT) * facing
    colours = surface.colours[surface.faces].mean(axis=1) * light[:, None]
    polygons = np.rint(np.clip(pixels, -1e4, 1e4)[surface.faces]).astype(np.int32)
    for polygon, colour in zip(polygons[order], colours[order].tolist(), strict=True):
        cv2.fillConvexPoly(picture, polygon, colour)


def _draw_points(
    picture: Image, seen: Float64Array, pixels: Float64Array, colours: UInt8Array
) -> None:
    height, width = picture.shape[:2]
    order = np.argsort(-seen[:, 2], kind='stable')
    order = order[seen[order, 2] > 0.1]
    for down in (0, 1):
        for right in (0, 1):
            column, row = np.floor(np.clip(pixels[order], -1e6, 1e6)).astype(int).T
            column, row = column + right, row + down
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            picture[row[inside], column[inside]] = colours[order][inside]


def _orbit(yaw: float, pitch: float) -> Float64Array:
    """Return the rotation (3, 3) from the map into a camera that looks along yaw and down."""
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    return np.stack([right, np.cross(ahead, right), ahead])
