# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.core.workspace import save_npz
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.refined_frames import (
    GLIMPSE_HEIGHT_PX,
    aligned_frames,
    fill_with_prior,
    unposed_frames,
    upsample_frames,
)

INF, NAN = np.inf, np.nan
CAMERA = Intrinsics(16, 12, 14, 14, 7.5, 5.5)


def test_what_no_pair_knows_is_completed_in_the_aligned_unit():
    aligned = np.array([[2, 4, NAN, NAN, 9]], np.float32)
    prior = np.array([[1, 2, 5, NAN, INF]], np.float32)
    np.testing.assert_array_equal(fill_with_prior(aligned, prior), [[2, 4, 10, NAN, INF]])


def test_without_anything_in_common_the_aligned_depth_stays():
    aligned = np.array([[2, NAN]], np.float32)
    np.testing.assert_array_equal(
        fill_with_prior(aligned, np.array([[NAN, 3]], np.float32)), aligned
    )


def clip_file(path, first, count):
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = range(first, first + count)
    depth = np.full((count, 6, 8), 3, np.float32)
    camera = CAMERA.scaled_to(8, 6)
    save_npz(
        path,
        frames=np.array([first, first + count]),
        T_world_cam=poses,
        depth=depth,
        confidence=depth / 6,
        moving=np.empty(0, np.bool_),
        cameras=np.array([(8, 6, camera.fx, camera.fy, camera.cx, camera.cy)] * count),
        scale_reference=np.array('pairs'),
    )
    return path


def frames(camera):
    return [Frame(100 * n, 'camera', np.zeros((12, 16, 3), np.uint8), camera) for n in range(5)]


@pytest.fixture
def files(tmp_path):
    return [clip_file(tmp_path / 'a.npz', 0, 3), clip_file(tmp_path / 'b.npz', 3, 2)]


def refined(files, camera=CAMERA, max_range_m=0.0):
    prior = np.full((5, 6, 8), 1, np.float32)
    ticks = []
    working = aligned_frames(files, prior, 2.0)
    found = list(upsample_frames(frames(camera), working, max_range_m, ticks.append))
    assert len(ticks) == len(found)
    assert all(picture.shape[0] == GLIMPSE_HEIGHT_PX for picture in ticks)
    return found


def test_every_frame_comes_out_in_metres_at_the_size_of_the_camera(files):
    found = refined(files)
    assert [one.stamp_ns for one in found] == [0, 100, 200, 300, 400]
    assert [one.T_map_cam[0, 3] for one in found] == [0, 2, 4, 6, 8]
    for one in found:
        np.testing.assert_allclose(one.depth_m, np.full((12, 16), 6), rtol=1e-6)
        np.testing.assert_allclose(one.confidence, np.full((12, 16), 0.5), rtol=1e-6)
        assert (one.camera, one.moving) == (CAMERA, None)


def test_a_camera_that_nobody_calibrated_has_the_intrinsics_that_were_found(files):
    one = refined(files, camera=None)[0]
    assert (one.camera.width, one.camera.height) == (16, 12)
    assert one.camera.fx == pytest.approx(14)
    assert one.camera.cx == pytest.approx(7.5)


def test_nothing_is_hit_beyond_the_range(files):
    assert np.isposinf(refined(files, max_range_m=5.0)[0].depth_m).all()


def test_depth_alone_is_trusted_where_it_is_known():
    depth = np.array([[[1, NAN], [INF, 2]]], np.float32)
    (one,) = unposed_frames(depth, CAMERA)
    np.testing.assert_array_equal(one.depth_m, depth[0])
    np.testing.assert_array_equal(one.confidence, [[1, 0], [1, 1]])
