# SPDX-License-Identifier: Apache-2.0
"""Colour of rays: surface attributes at the hits, textures, light, reflections, haze and sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.synthetic.lighting import (
    Illumination,
    ambient_visibility,
    lamp_irradiance,
    shadow_factor,
)
from videodepth_ros.synthetic.noise import SIZE
from videodepth_ros.synthetic.raycast import Hits, SceneView
from videodepth_ros.synthetic.scene import Scene, Shape
from videodepth_ros.synthetic.skies import add_clouds

_LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


@dataclass(frozen=True)
class Surface:
    """Attributes of N hits: position, normal, direction of view (N, 3), texture u, v (N,)."""

    position_m: Float32Array
    normal: Float32Array
    towards: Float32Array
    u: Float32Array
    v: Float32Array


def shade(
    view: SceneView,
    light: Illumination,
    x: Float32Array,
    y: Float32Array,
    hits: Hits,
    focal_px: float,
) -> Float32Array:
    """Return linear radiance (N, 3) float32 of rays of slopes x, y (N,) with their hits (N,)."""
    R = view.T_map_cam[:3, :3].astype(np.float32)
    direction = np.stack([x, y, np.ones_like(x)], axis=1) @ R.T
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radiance = np.empty((len(x), 3), np.float32)
    met = hits.solid >= 0
    away = ~met
    if away.any():
        radiance[away] = sky(view.scene, direction[away])
    if not met.any():
        return radiance
    solid, depth = hits.solid[met], hits.depth_m[met]
    local = np.stack([x[met] * depth, y[met] * depth, depth], axis=1)
    surface = _surface(
        view, solid, local @ R.T + view.T_map_cam[:3, 3].astype(np.float32), direction[met]
    )
    colour = _albedo(view.scene, solid, surface, depth / np.float32(focal_px))
    lit_colour = _lighting(view.scene, light, solid, surface, colour)
    haze = np.exp(-depth / np.float32(view.scene.lights.haze_m))[:, None]
    horizon = np.array(view.scene.lights.sky_horizon, np.float32)
    radiance[met] = lit_colour * haze + horizon * (1 - haze)
    return radiance


def _surface(
    view: SceneView, solid: NDArray[np.int32], position_m: Float32Array, direction: Float32Array
) -> Surface:
    scene = view.scene
    table = view.solid_from_map.astype(np.float32).reshape(-1, 12)
    A = np.ascontiguousarray(table.T)[:, solid].reshape(3, 4, -1)
    px, py, pz = np.ascontiguousarray(position_m.T)
    unit = [A[i, 0] * px + A[i, 1] * py + A[i, 2] * pz + A[i, 3] for i in range(3)]
    boxed = scene.shape[solid] == Shape.BOX
    size = np.where(boxed, 1, scene.half_size_m.T[:, solid])  # a flat mound faces up, not sideways
    axis = _dominant([unit[i] / size[i] for i in range(3)])
    normal = [np.where(boxed, np.where(axis == i, np.sign(unit[i]), 0), unit[i]) for i in range(3)]
    fitted = scene.scale_m <= 0
    multiple = np.where(
        fitted[:, None], 0.5, scene.half_size_m / np.where(fitted, 1, scene.scale_m)[:, None]
    ).astype(np.float32)
    shift = np.where(fitted[:, None], 0.5, scene.offset).astype(np.float32)[solid]
    scaled = [unit[i] * multiple[solid, i] for i in range(3)]
    u = np.where(axis == 0, scaled[1], scaled[0]) + shift[:, 0]
    v = shift[:, 1] - np.where(axis == 2, scaled[1], scaled[2])
    cone = np.flatnonzero(scene.shape[solid] == Shape.FRUSTUM)
    if cone.size:
        local = np.stack([c[cone] for c in unit], axis=1)
        turned, side = _frustum_normal(local, scene.taper[solid[cone]])
        for i in range(3):
            normal[i][cone] = turned[:, i]
        angle = np.arctan2(local[:, 1], local[:, 0]) * multiple[solid[cone], 0]
        u[cone] = np.where(side, angle + shift[cone, 0], u[cone])
        v[cone] = np.where(side, shift[cone, 1] - scaled[2][cone], v[cone])
    world = np.stack(
        [A[0, i] * normal[0] + A[1, i] * normal[1] + A[2, i] * normal[2] for i in range(3)], axis=1
    )
    world /= np.linalg.norm(world, axis=1, keepdims=True) + np.float32(1e-12)
    facing = np.einsum('ni,ni->n', world, direction)
    world[facing > 0] *= -1
    return Surface(position_m, world.astype(np.float32), -direction, u, v)


def _dominant(unit: list[Float32Array]) -> NDArray[np.int8]:
    """Return the axis of the largest coordinate: the face that a point of a cube lies on."""
    x, y, z = (np.abs(c) for c in unit)
    return np.where(x >= y, np.where(x >= z, 0, 2), np.where(y >= z, 1, 2)).astype(np.int8)


def _frustum_normal(
    unit: Float32Array, taper: Float32Array
) -> tuple[Float32Array, NDArray[np.bool_]]:
    slope = (taper - 1) / 2
    radius = (taper + 1) / 2 + slope * unit[:, 2]
    across = np.hypot(unit[:, 0], unit[:, 1])
    side = np.abs(across - radius) < np.abs(np.abs(unit[:, 2]) - 1)
    normal = np.stack([unit[:, 0], unit[:, 1], -slope * radius], axis=1)
    cap = np.stack([0 * radius, 0 * radius, np.sign(unit[:, 2])], axis=1)
    return np.where(side[:, None], normal, cap), side


def _albedo(
    scene: Scene, solid: NDArray[np.int32], surface: Surface, pixel_m: Float32Array
) -> Float32Array:
    sizes = np.sort(scene.half_size_m, axis=1)
    scale = np.where(scene.scale_m > 0, scene.scale_m, sizes[:, 1] + sizes[:, 2])
    cosine = np.maximum(np.einsum('ni,ni->n', surface.normal, surface.towards), 0.04)
    scale_m = scale[solid].astype(np.float32)
    level = np.log2(pixel_m * SIZE / scale_m / np.sqrt(cosine)) - np.float32(0.2)
    base = scene.atlas.sample(scene.tile[solid], surface.u, surface.v, level)
    wear_m = np.clip(1.1 * sizes[:, 2], 1.0, 37.0).astype(np.float32)[solid]
    ratio = scale_m / wear_m
    stain = scene.atlas.sample(
        scene.wear_tile[solid], surface.u * ratio, surface.v * ratio, level + np.log2(ratio)
    )[:, 0]
    dirt = 1 - scene.wear[solid] * (1 - _LINEAR[stain])
    return _LINEAR[base] * scene.tint[solid] * dirt[:, None]


def _lighting(
    scene: Scene,
    light: Illumination,
    solid: NDArray[np.int32],
    surface: Surface,
    colour: Float32Array,
) -> Float32Array:
    lights = scene.lights
    normal, point = surface.normal, surface.position_m
    access = ambient_visibility(light.volume, point, normal) ** np.float32(lights.occlusion)
    upward = (0.7 + 0.3 * normal[:, 2]) * access
    diffuse = upward[:, None] * np.array(lights.ambient, np.float32)
    shine = np.zeros_like(colour)
    gloss = scene.gloss[solid]
    power = np.exp2(2 + 7 * gloss)
    mirror = 2 * np.einsum('ni,ni->n', normal, surface.towards)[:, None] * normal - surface.towards
    if max(lights.sun) > 0:
        direction = np.array(lights.sun_direction, np.float32)
        direction /= np.linalg.norm(direction)
        cosine = np.maximum(normal @ direction, 0)
        open_sky = shadow_factor(light.sun, point + normal * np.float32(0.02)) * (cosine > 0)
        sun = np.array(lights.sun, np.float32)
        diffuse += (cosine * open_sky)[:, None] * sun
        peak = np.maximum(mirror @ direction, 0) ** power * gloss * open_sky
        shine += peak[:, None] * sun * 0.5
    for number, lamp in enumerate(lights.lamps):
        factor, direction = lamp_irradiance(lamp, point, normal)
        if number == 0 and light.lamp is not None:
            factor = factor * (
                0.25 + 0.75 * shadow_factor(light.lamp, point + normal * np.float32(0.02))
            )
        bright = np.array(lamp.intensity, np.float32)
        diffuse += factor[:, None] * bright
        peak = np.maximum(np.einsum('ni,ni->n', mirror, direction), 0) ** power * gloss * factor
        shine += peak[:, None] * bright * 0.5
    shine += _reflection(scene, gloss, mirror, surface, upward)
    radiance = colour * (diffuse + scene.glow[solid][:, None]) + shine
    return radiance.astype(np.float32)


def _reflection(
    scene: Scene, gloss: Float32Array, mirror: Float32Array, surface: Surface, upward: Float32Array
) -> Float32Array:
    """Return a blurred mirror image of made-up surroundings, Fresnel-weighted (Schlick 1994)."""
    cosine = np.clip(np.einsum('ni,ni->n', surface.normal, surface.towards), 0, 1)
    weight = gloss * (0.05 + 0.6 * (1 - cosine) ** 4) * upward
    height = np.clip(0.5 + 0.8 * mirror[:, 2], 0, 1)
    ripple = 1 + 0.35 * np.sin(5 * mirror[:, 0] + 3 * mirror[:, 1]) * np.sin(7 * mirror[:, 2])
    low, high = (np.array(c, np.float32) for c in (scene.lights.ambient, scene.lights.sky_horizon))
    tone = (
        low * 0.5 * (1 - height[:, None])
        + high * np.float32(max(scene.lights.ambient)) * height[:, None]
    )
    return (weight * ripple)[:, None] * tone


def sky(scene: Scene, direction: Float32Array) -> Float32Array:
    """Return linear radiance (N, 3) of the sky in unit directions (N, 3), clouds included."""
    lights = scene.lights
    up = np.clip(direction[:, 2], 0, 1)
    horizon, zenith = (np.array(c, np.float32) for c in (lights.sky_horizon, lights.sky_zenith))
    blend = (up ** np.float32(0.4))[:, None]
    colour = horizon * (1 - blend) + zenith * blend
    if lights.clouds is not None:
        return add_clouds(lights.clouds, direction, colour)
    plane = direction[:, :2] / (up[:, None] + np.float32(0.12)) * np.float32(0.35)
    tile = np.full(
        len(up),
        scene.atlas.pick('clouds', np.random.default_rng(int(1e6 * lights.cloudiness))),
        np.int32,
    )
    cover = scene.atlas.sample(tile, plane[:, 0], plane[:, 1], np.full(len(up), 0.5, np.float32))
    opacity = _LINEAR[cover[:, :1]] * np.float32(lights.cloudiness)
    return colour * (1 - opacity) + opacity * horizon * np.float32(1.15)
