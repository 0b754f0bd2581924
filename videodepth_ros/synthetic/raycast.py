# SPDX-License-Identifier: Apache-2.0
"""Ray casting: the first solid on each ray and its depth.

Rays are x, y slopes in a camera's optical frame (direction (x, y, 1)), so the ray parameter is Z
itself. A solid is only tested on rays inside the rectangle that its corners project to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.synthetic.atlas import masks
from videodepth_ros.synthetic.noise import SIZE
from videodepth_ros.synthetic.scene import Scene, Shape

NEAR_M = 0.02
_CORNERS = np.array([[x, y, z, 1.0] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
_EDGES = np.array(
    [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count('1') == 1]
)


@dataclass(frozen=True)
class Hits:
    """First hits of rays: depth (+inf: none) float32 and number of the solid (-1: none) int32."""

    depth_m: Float32Array
    solid: NDArray[np.int32]


@dataclass(frozen=True)
class SceneView:
    """A scene prepared for casting from one camera pose at one time.

    solid_from_map, solid_from_cam  (N, 3, 4) float64, into each solid's unit frame
    bounds          (N, 4) float32, slopes x_min, x_max, y_min, y_max that can meet the solid
    nearest_m       (N,) float32, no hit of the solid is nearer than this
    order           solids to be cast, from near to far
    """

    scene: Scene
    T_map_cam: Float64Array
    solid_from_map: Float64Array
    solid_from_cam: Float64Array
    bounds: Float32Array
    nearest_m: Float32Array
    order: NDArray[np.int64]


def view_scene(
    scene: Scene, T_map_cam: Float64Array, time_s: float, only: NDArray[np.bool_] | None = None
) -> SceneView:
    """Prepare casting from a camera pose (4, 4); ``only`` (N,) selects the solids to be seen."""
    poses = scene.poses(time_s)
    T_cam_solid = np.linalg.inv(T_map_cam) @ poses
    corners = np.einsum('nij,kj->nki', T_cam_solid[:, :3], _CORNERS)
    start, end = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]
    rise = end[..., 2] - start[..., 2]
    with np.errstate(divide='ignore', invalid='ignore'):
        cut = (NEAR_M - start[..., 2]) / rise
    crossing = (cut > 0) & (cut < 1)
    cuts = start + np.where(crossing, cut, 0)[..., None] * (end - start)
    points = np.concatenate([corners, cuts], axis=1)
    visible = np.concatenate([corners[..., 2] >= NEAR_M, crossing], axis=1)
    z = np.maximum(points[..., 2], NEAR_M)
    slopes = points[..., :2] / z[..., None]
    low = np.where(visible[..., None], slopes, np.inf).min(axis=1)
    high = np.where(visible[..., None], slopes, -np.inf).max(axis=1)
    nearest = np.maximum(corners[..., 2].min(axis=1), NEAR_M)
    kept = visible.any(axis=1) if only is None else visible.any(axis=1) & only
    order = np.flatnonzero(kept)
    order = order[np.argsort(nearest[order])]
    solid_from_map = scene.inverse(poses)[:, :3]
    solid_from_cam = solid_from_map @ T_map_cam
    bounds = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)
    return SceneView(
        scene,
        T_map_cam,
        solid_from_map,
        solid_from_cam,
        bounds.astype(np.float32),
        nearest.astype(np.float32),
        order,
    )


def cast_image(view: SceneView, camera: Intrinsics) -> Hits:
    """Cast one ray through every pixel centre; Hits of (H, W)."""
    x = ((np.arange(camera.width) - camera.cx) / camera.fx).astype(np.float32)[None, :]
    y = ((np.arange(camera.height) - camera.cy) / camera.fy).astype(np.float32)[:, None]
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    solid = np.full(depth.shape, -1, np.int32)
    scale = np.array([camera.fx, camera.fx, camera.fy, camera.fy])
    centre = np.array([camera.cx, camera.cx, camera.cy, camera.cy])
    pixels = np.clip(view.bounds * scale + centre, -1, 1e5)
    pixels += np.array([0, 1, 0, 1])
    limits = np.array([camera.width, camera.width, camera.height, camera.height])
    rectangles = np.minimum(np.ceil(pixels).clip(0), limits).astype(int)
    for k in view.order:
        left, right, top, bottom = rectangles[k]
        if right <= left or bottom <= top:
            continue
        target = depth[top:bottom, left:right]
        if view.nearest_m[k] >= target.max():
            continue
        hit_m = _intersect(view, int(k), x[:, left:right], y[top:bottom])
        closer = hit_m < target
        np.copyto(target, hit_m, where=closer)
        np.copyto(solid[top:bottom, left:right], k, where=closer)
    return Hits(depth, solid)


def cast_rays(view: SceneView, x: Float32Array, y: Float32Array) -> Hits:
    """Cast scattered rays of slopes x, y (M,); Hits of (M,). Reference for cast_image."""
    depth = np.full(x.shape, np.inf, np.float32)
    solid = np.full(x.shape, -1, np.int32)
    for k in view.order:
        x_min, x_max, y_min, y_max = view.bounds[k]
        chosen = np.flatnonzero(
            (x >= x_min) & (x <= x_max) & (y >= y_min) & (y <= y_max) & (depth > view.nearest_m[k])
        )
        if chosen.size == 0:
            continue
        hit_m = _intersect(view, int(k), x[chosen], y[chosen])
        closer = hit_m < depth[chosen]
        depth[chosen[closer]] = hit_m[closer]
        solid[chosen[closer]] = k
    return Hits(depth, solid)


def _intersect(view: SceneView, k: int, x: Float32Array, y: Float32Array) -> Float32Array:
    """Return depth of the first hit of solid k on rays of slopes x, y (broadcast); +inf: none."""
    m = view.solid_from_cam[k].astype(np.float32)
    direction = [(m[i, 0] * x + m[i, 2]) + m[i, 1] * y for i in range(3)]
    origin = [float(c) for c in view.solid_from_cam[k, :, 3]]
    shape = view.scene.shape[k]
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        if shape == Shape.BOX:
            near, far = _slabs(origin, direction)
        elif shape == Shape.ELLIPSOID:
            near, far = _sphere(origin, direction)
        else:
            near, far = _frustum(origin, direction, float(view.scene.taper[k]))
        mask = int(view.scene.mask[k])
        if mask < 0:
            hit = np.where(near > NEAR_M, near, far)
            return np.where((near <= far) & (hit > NEAR_M), hit, np.float32(np.inf))
        near = np.where((near <= far) & (near > NEAR_M), near, np.float32(np.inf))
        hit = _through_holes(view.scene, k, origin, direction, near)
        if shape == Shape.BOX:
            return hit
        far = np.where(np.isfinite(near), far, np.float32(np.inf))
        return np.minimum(hit, _through_holes(view.scene, k, origin, direction, far))


def _slabs(
    origin: list[float], direction: list[Float32Array]
) -> tuple[Float32Array, Float32Array]:
    near = far = None
    for o, d in zip(origin, direction, strict=True):
        inverse = 1.0 / d
        middle, half = inverse * np.float32(-o), np.abs(inverse)
        low, high = middle - half, middle + half
        near = low if near is None else np.maximum(near, low)
        far = high if far is None else np.minimum(far, high)
    assert near is not None
    assert far is not None
    return near, far


def _closest(
    origin: list[float], direction: list[Float32Array]
) -> tuple[Float32Array, Float32Array, list[Float32Array]]:
    """Move the ray's origin next to the solid: small numbers keep float32 quadratics exact."""
    square = direction[0] ** 2 + direction[1] ** 2 + direction[2] ** 2
    shift = (
        -(
            np.float32(origin[0]) * direction[0]
            + np.float32(origin[1]) * direction[1]
            + np.float32(origin[2]) * direction[2]
        )
        / square
    )
    return (
        square,
        shift,
        [np.float32(o) + shift * d for o, d in zip(origin, direction, strict=True)],
    )


def _sphere(
    origin: list[float], direction: list[Float32Array]
) -> tuple[Float32Array, Float32Array]:
    square, shift, point = _closest(origin, direction)
    inside = 1.0 - point[0] ** 2 - point[1] ** 2 - point[2] ** 2
    half = np.sqrt(inside / square)
    return shift - half, shift + half


def _frustum(
    origin: list[float], direction: list[Float32Array], taper: float
) -> tuple[Float32Array, Float32Array]:
    _, shift, (px, py, pz) = _closest(origin, direction)
    dx, dy, dz = direction
    middle, slope = np.float32((1 + taper) / 2), np.float32((taper - 1) / 2)
    radius = middle + slope * pz
    a = dx * dx + dy * dy - slope * slope * dz * dz
    b = px * dx + py * dy - slope * radius * dz
    c = px * px + py * py - radius * radius
    root = np.sqrt(b * b - a * c)
    near, far = (-b - root) / a, (-b + root) / a
    near, far = np.minimum(near, far), np.maximum(near, far)
    cap = 1.0 / dz
    low, high = cap * -pz - np.abs(cap), cap * -pz + np.abs(cap)
    if taper == 1.0:
        return shift + np.maximum(near, low), shift + np.minimum(far, high)
    steep = a < 0  # the ray stays in the cone but between its roots
    first = ~(low > near)
    enter = np.where(first, low, np.fmax(low, far))
    leave = np.where(first, np.fmin(high, near), high)
    return (
        shift + np.where(steep, enter, np.maximum(near, low)),
        shift + np.where(steep, leave, np.minimum(far, high)),
    )


def _through_holes(
    scene: Scene, k: int, origin: list[float], direction: list[Float32Array], hit_m: Float32Array
) -> Float32Array:
    """Return hit_m where the cut-out surface is solid, +inf in its holes."""
    finite = np.where(np.isfinite(hit_m), hit_m, np.float32(0))
    size = scene.half_size_m[k] / scene.mask_scale_m[k] * SIZE
    point = [
        (np.float32(o) + finite * d) * s for o, d, s in zip(origin, direction, size, strict=True)
    ]
    if scene.shape[k] == Shape.BOX:
        thin = int(np.argmin(scene.half_size_m[k]))
        u, v = (point[i] for i in range(3) if i != thin)
    else:
        u, v = point[0] + np.float32(0.53) * point[2], point[1] - np.float32(0.71) * point[2]
    column = np.floor(u + 97 * k).astype(np.int32) & (SIZE - 1)
    row = np.floor(v).astype(np.int32) & (SIZE - 1)
    solid = masks()[scene.mask[k], row, column]
    return np.where(solid, hit_m, np.float32(np.inf))
