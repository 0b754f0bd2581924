# SPDX-License-Identifier: Apache-2.0
"""Mesh of a signed distance volume by surface nets (Gibson, MICCAI 1998).

Every cell of eight voxels that the surface goes through has one vertex, the mean of where its
edges are crossed; every crossed edge between voxels has a quad of the four cells around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array, MaskArray, UInt8Array
from videodepth_ros.core.errors import BagError
from videodepth_ros.mvs.tsdf import TsdfVolume

Faces = NDArray[np.int32]
CORNERS = np.array(list(product((0, 1), repeat=3)))
"""Offsets of a cell's eight voxels, (8, 3)."""
EDGES = [
    (a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(CORNERS[a] - CORNERS[b]).sum() == 1
]
"""Pairs of corners that the twelve edges of a cell join."""
VERTEX = np.dtype(
    [
        ('x', '<f4'), ('y', '<f4'), ('z', '<f4'),
        ('nx', '<f4'), ('ny', '<f4'), ('nz', '<f4'),
        ('red', 'u1'), ('green', 'u1'), ('blue', 'u1'),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """Triangles with colours.

    vertices_m  (V, 3) float32 in the map; normals (V, 3) float32, of unit length, towards the
                cameras; colours (V, 3) uint8 RGB
    faces       (F, 3) int32, counter-clockwise as seen by the cameras
    """

    vertices_m: Float32Array
    normals: Float32Array
    colours: UInt8Array
    faces: Faces


def extract_mesh(volume: TsdfVolume, least_weight: float = 0.0, least_faces: int = 0) -> Mesh:
    """Return the surface of a volume.

    least_weight  voxels with no more are taken as not seen
    least_faces   connected pieces of the surface with fewer triangles are left out
    """
    seen = volume.weight > least_weight
    behind = volume.distance < 0
    cells = _crossed_cells(behind, seen)
    index = np.full(cells.shape, -1, np.int32)
    place = np.argwhere(cells)
    index[cells] = np.arange(len(place), dtype=np.int32)
    vertices, normals, colours = _vertices(volume, place)
    faces = np.concatenate([_faces(behind, index, axis) for axis in range(3)])
    return _without_small_pieces(Mesh(vertices, normals, colours, faces), least_faces)


def _crossed_cells(behind: MaskArray, seen: MaskArray) -> MaskArray:
    """Return the cells with corners on both sides, all of them seen, (X-1, Y-1, Z-1) bool."""
    some = np.zeros(tuple(n - 1 for n in behind.shape), bool)
    every, known = ~some, ~some
    for i, j, k in CORNERS:
        part = tuple(slice(o, o + n) for o, n in zip((i, j, k), some.shape, strict=True))
        some |= behind[part]
        every &= behind[part]
        known &= seen[part]
    return some & ~every & known


def _vertices(
    volume: TsdfVolume, place: NDArray[np.intp]
) -> tuple[Float32Array, Float32Array, UInt8Array]:
    """Return vertex, normal and colour of cells (V, 3)."""
    corners = [tuple((place + offset).T) for offset in CORNERS]
    values = np.stack([volume.distance[corner] for corner in corners], axis=1)
    total, count = np.zeros((len(place), 3)), np.zeros((len(place), 1))
    for a, b in EDGES:
        crossed = (values[:, a] < 0) != (values[:, b] < 0)
        with np.errstate(divide='ignore', invalid='ignore'):
            share = values[:, a] / (values[:, a] - values[:, b])
        share = np.where(crossed, share, 0)[:, None]
        total += np.where(crossed[:, None], CORNERS[a] + share * (CORNERS[b] - CORNERS[a]), 0)
        count += crossed[:, None]
    vertices = volume.origin_m + (place + total / np.maximum(count, 1)) * volume.voxel_m
    gradient = values @ (2 * CORNERS - 1)  # distance grows towards the cameras
    normals = gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-9)
    near = np.abs(values).argmin(axis=1)
    nearest = place + CORNERS[near]
    colours = volume.colours[tuple(nearest.T)]
    return vertices.astype(np.float32), normals.astype(np.float32), colours


def _faces(behind: MaskArray, index: NDArray[np.int32], axis: int) -> Faces:
    """Return the triangles of crossed edges along one axis, (F, 3) int32."""
    inner = [slice(1, -1)] * 3
    inner[axis] = slice(None, -1)
    other = list(inner)
    other[axis] = slice(1, None)
    here, there = behind[tuple(inner)], behind[tuple(other)]
    edge = np.argwhere(here != there)
    forwards = there[tuple(edge.T)]
    start = np.ones(3, int)
    start[axis] = 0
    edge = edge + start
    u, v = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
    quad = np.stack([index[tuple((edge - offset).T)] for offset in (0 * u, u, u + v, v)], axis=1)
    complete = (quad >= 0).all(axis=1)
    quad, forwards = quad[complete], forwards[complete]
    quad = np.where(forwards[:, None], quad[:, ::-1], quad)
    return np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])


def _without_small_pieces(mesh: Mesh, least_faces: int) -> Mesh:
    """Return a mesh without pieces of few triangles, and without vertices of no triangle."""
    faces = mesh.faces
    if least_faces and len(faces):
        piece = _pieces(len(mesh.vertices_m), faces)[faces[:, 0]]
        _, which, count = np.unique(piece, return_inverse=True, return_counts=True)
        faces = faces[count[which] >= least_faces]
    used = np.unique(faces)
    renumbered = np.zeros(len(mesh.vertices_m), np.int32)
    renumbered[used] = np.arange(len(used), dtype=np.int32)
    return Mesh(mesh.vertices_m[used], mesh.normals[used], mesh.colours[used], renumbered[faces])


def _pieces(vertices: int, faces: Faces) -> NDArray[np.int64]:
    """Return the connected piece of each vertex, as the least vertex in it (pointer jumping)."""
    label = np.arange(vertices)
    while True:
        least = label[faces].min(axis=1)
        lower = label.copy()
        for corner in range(3):
            np.minimum.at(lower, faces[:, corner], least)
            np.minimum.at(lower, label[faces[:, corner]], least)
        lower = lower[lower]
        if (lower == label).all():
            return label
        label = lower


def write_mesh_ply(path: Path, mesh: Mesh) -> None:
    """Write a mesh as binary PLY.

    raises  BagError if it cannot be written
    """
    vertices = np.empty(len(mesh.vertices_m), VERTEX)
    for column, name in enumerate('xyz'):
        vertices[name], vertices[f'n{name}'] = mesh.vertices_m[:, column], mesh.normals[:, column]
    for column, name in enumerate(('red', 'green', 'blue')):
        vertices[name] = mesh.colours[:, column]
    faces = np.empty(len(mesh.faces), np.dtype([('count', 'u1'), ('corners', '<i4', 3)]))
    faces['count'], faces['corners'] = 3, mesh.faces
    kinds = {'<f4': 'float', '|u1': 'uchar'}
    head = [
        'ply',
        'format binary_little_endian 1.0',
        f'element vertex {len(vertices)}',
        *(f'property {kinds[VERTEX[name].str]} {name}' for name in VERTEX.names or ()),
        f'element face {len(faces)}',
        'property list uchar int vertex_indices',
        'end_header',
        '',
    ]
    try:
        path.write_bytes('\n'.join(head).encode() + vertices.tobytes() + faces.tobytes())
    except OSError as error:
        raise BagError(f'{path} cannot be written: {error}') from error
