# SPDX-License-Identifier: Apache-2.0
"""The map in 3D within a page that needs no other file."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.results.map_cloud import MapCloud, map_cloud
from videodepth_ros.results.map_views import mean_heading
from videodepth_ros.results.point_cloud import positions_and_colours

WEB = Path(__file__).parents[1] / 'web'
"""Scripts and pages of the package."""


@dataclass(frozen=True)
class MapScene:
    """The map and the path of its camera.

    path_m  (N, 3) float64
    yaw     direction of view at first [rad]
    """

    cloud: MapCloud
    path_m: Float64Array
    yaw: float


def map_scene(points: NDArray[np.void], T_map_cam: Float64Array) -> MapScene | None:
    """Return the map of points (N,) of POINT and cameras (M, 4, 4); None where it is empty."""
    if not len(points):
        return None
    cloud = map_cloud(*positions_and_colours(points))
    return MapScene(cloud, T_map_cam[:, :3, 3], mean_heading(T_map_cam))


def scene_values(scene: MapScene) -> dict[str, object]:
    """Return the values of the template; data as base64 of gzip."""
    path = [round(value, 4) for value in scene.path_m.ravel().tolist()]
    facts = {**scene.cloud.facts, 'path': path, 'yaw': scene.yaw}
    return {
        'count': len(scene.cloud.levels),
        'script': Markup((WEB / 'scene.js').read_text(encoding='utf-8')),
        'three': _three(),
        'cloud': _packed(scene.cloud.to_bytes()),
        'facts': Markup(json.dumps(facts)),
    }


@cache
def _three() -> str:
    return _packed((WEB / 'three.min.js').read_bytes())


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()
