# SPDX-License-Identifier: Apache-2.0
"""The cloud: one point a voxel, of what stands still and is known, in bounded memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.support import refined_results as m
from videodepth_ros.core.errors import BagError
from videodepth_ros.geometry.camera import backproject
from videodepth_ros.results.options import CloudOptions
from videodepth_ros.results.point_cloud import POINT, VoxelGrid, write_ply


def frames(count=m.FRAMES):
    for frame, T in zip(m.refined(), m.trajectory().T_map_cam[:count], strict=False):
        yield replace(frame, T_map_cam=T)


def cloud_of(settings, every=None):
    cloud = VoxelGrid(settings)
    for frame in every or frames():
        cloud.add(frame)
    return cloud


def plain_voxels(edge_m, every=None):
    """Return position and colour means by voxel, in the plainest way."""
    sums = {}
    for frame in every or frames():
        points = backproject(frame.depth_m, frame.camera).reshape(-1, 3).astype(float)
        T = frame.T_map_cam
        for point, colour in zip(points, frame.image.reshape(-1, 3), strict=True):
            if np.isfinite(point).all():
                at = T[:3, :3] @ point + T[:3, 3]
                sums.setdefault(tuple(np.floor(at / edge_m).astype(int)), []).append(
                    [*at, *colour]
                )
    return {key: np.mean(rows, axis=0) for key, rows in sums.items()}


@pytest.mark.parametrize('edge_ratio', [0, 1])  # both keep every pixel, as in the stream
def test_each_voxel_has_the_mean_of_its_points(edge_ratio):
    cloud = cloud_of(CloudOptions(voxel_m=0.1, stride=1, edge_ratio=edge_ratio))
    points, plain = cloud.points(), plain_voxels(0.1)
    assert len(points) == len(plain)
    for point in points[::50]:
        at = np.array([point['x'], point['y'], point['z']], float)
        nearest = min(plain.values(), key=lambda row: np.linalg.norm(row[:3] - at))
        np.testing.assert_allclose(at, nearest[:3], atol=1e-5)
        np.testing.assert_allclose(
            [point['red'], point['green'], point['blue']], np.rint(nearest[3:]), atol=1
        )


def test_what_is_unsure_moves_or_is_far_is_left_out():
    frame = next(frames())
    everything = len(cloud_of(CloudOptions(0.05, stride=1, edge_ratio=0), [frame]).points())
    near = frame.depth_m < 1.5
    for changed, settings in (
        (replace(frame, confidence=np.where(near, 0.1, 0.9).astype(np.float32)), {}),
        (replace(frame, moving=near), {}),
        (replace(frame, depth_m=np.where(near, np.nan, frame.depth_m)), {}),
    ):
        points = cloud_of(
            CloudOptions(0.05, stride=1, edge_ratio=0, **settings), [changed]
        ).points()
        assert 0 < len(points) < everything
        far_only = points
    farthest = 1.5 / float(np.median(frame.depth_m[np.isfinite(frame.depth_m)]))
    limited = cloud_of(
        CloudOptions(0.05, stride=1, edge_ratio=0, max_depth_ratio=farthest), [frame]
    ).points()
    assert len(limited) + len(far_only) == everything


def test_pixels_beside_depth_edges_are_left_out():
    frame = next(frames())
    depth_m = np.full((24, 32), 2.0, np.float32)
    depth_m[:, 16:], depth_m[:, 15] = 4.0, 3.0  # a pixel between two walls
    points = cloud_of(CloudOptions(0.05, stride=1), [replace(frame, depth_m=depth_m)]).points()
    at = np.stack([points[axis] for axis in 'xyz'], axis=1) - frame.T_map_cam[:3, 3]
    z = at @ frame.T_map_cam[:3, 2]
    assert len(z) > 100
    assert np.minimum(np.abs(z - 2), np.abs(z - 4)).max() < 1e-4


def test_voxels_double_where_there_would_be_too_many_and_lose_nothing():
    fine = cloud_of(CloudOptions(voxel_m=0.02, stride=1, edge_ratio=0))
    coarse = cloud_of(CloudOptions(voxel_m=0.02, stride=1, edge_ratio=0, max_voxels=500))
    fine_count = len(fine.points())
    assert len(coarse.points()) <= 500 < fine_count
    assert coarse.voxel_m in (0.04, 0.08, 0.16, 0.32)
    assert coarse._sums[:, 6].sum() == pytest.approx(fine._sums[:, 6].sum())
    assert len(coarse.points()) == len(plain_voxels(coarse.voxel_m))


def test_the_voxel_is_a_round_share_of_what_is_seen():
    cloud = cloud_of(CloudOptions())
    assert cloud.voxel_m in (0.005, 0.01, 0.02)
    scaled = (replace(frame, depth_m=10 * frame.depth_m) for frame in frames(1))
    assert cloud_of(CloudOptions(), scaled).voxel_m == pytest.approx(10 * cloud.voxel_m, rel=1.01)


def test_nothing_known_is_an_empty_cloud(tmp_path):
    frame = replace(next(frames()), depth_m=np.full((24, 32), np.nan, np.float32))
    points = cloud_of(CloudOptions(), [frame]).points()
    assert len(points) == 0
    write_ply(tmp_path / 'a.ply', points)
    assert b'element vertex 0' in (tmp_path / 'a.ply').read_bytes()


def test_the_file_is_what_other_programs_read(tmp_path):
    points = cloud_of(CloudOptions(voxel_m=0.1)).points()
    write_ply(tmp_path / 'a.ply', points)
    head, _, body = (tmp_path / 'a.ply').read_bytes().partition(b'end_header\n')
    assert head.decode().splitlines() == [
        'ply',
        'format binary_little_endian 1.0',
        f'element vertex {len(points)}',
        'property float x',
        'property float y',
        'property float z',
        'property uchar red',
        'property uchar green',
        'property uchar blue',
    ]
    np.testing.assert_array_equal(np.frombuffer(body, POINT), points)
    with pytest.raises(BagError, match='cannot be written'):
        write_ply(tmp_path / 'no' / 'a.ply', points)
