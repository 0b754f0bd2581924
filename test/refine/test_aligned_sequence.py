# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.alignment.parallel import load_clip
from videodepth_ros.core.workspace import save_npz
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.aligned_sequence import AlignedSequence, ClipAssembler, fill_with_prior
from videodepth_ros.refine.metric_scale import MetricScale, MetricScaleSource
from videodepth_ros.refine.stages.write import preview_image, unposed_frames, upsample_frames

INF, NAN = np.inf, np.nan
CAMERA = Intrinsics(16, 12, 14, 14, 7.5, 5.5)


def test_unknown_depth_is_filled_in_the_aligned_unit():
    aligned = np.array([[2, 4, NAN, NAN, 9]], np.float32)
    prior = np.array([[1, 2, 5, NAN, INF]], np.float32)
    np.testing.assert_array_equal(fill_with_prior(aligned, prior), [[2, 4, 10, NAN, INF]])


def test_without_overlap_the_aligned_depth_stays():
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


def aligned_sequence(files, prior_depth):
    assembler = ClipAssembler(files[0].with_name('aligned'), (8, 6))
    assert not assembler.exists()
    assembler.assemble(map(load_clip, files), prior_depth)
    assert assembler.exists()
    clips, scale = assembler.load(), MetricScale(2.0, MetricScaleSource.INTRINSICS)
    return AlignedSequence(
        clips.depth, clips.confidence, clips.moving, clips.intrinsics, clips.T_world_cam, scale, ()
    )


def refined(files, camera=CAMERA, max_range_m=0.0):
    aligned = aligned_sequence(files, np.ones((5, 6, 8), np.float32))
    return list(upsample_frames(frames(camera), aligned.metric_frames(), max_range_m))


def test_clips_are_assembled_with_their_masks_and_ratios(files):
    with np.load(files[0]) as stored:
        arrays = dict(stored)
    arrays['depth'][1] = np.nan
    save_npz(files[0], **{**arrays, 'moving': np.ones((3, 6, 8), np.bool_)})
    aligned = aligned_sequence(files[:1], np.ones((5, 6, 8), np.float32))
    assert aligned.moving.open().all()
    assert len(aligned) == 3
    assert aligned.camera_of(2) == CAMERA.scaled_to(8, 6)
    assembler = ClipAssembler(files[0].with_name('aligned'), (8, 6))
    np.testing.assert_allclose(
        assembler.load().log_depth_ratios, [np.log(1 / 3), NAN, np.log(1 / 3)]
    )


def test_a_preview_has_image_and_depth_side_by_side():
    image = np.zeros((12, 16, 3), np.uint8)
    assert preview_image(image, np.ones((12, 16), np.float32), 24).shape == (24, 64, 3)


def test_frames_are_in_metres_at_the_size_of_the_camera(files):
    found = refined(files)
    assert [one.stamp_ns for one in found] == [0, 100, 200, 300, 400]
    assert [one.T_map_cam[0, 3] for one in found] == [0, 2, 4, 6, 8]
    for one in found:
        np.testing.assert_allclose(one.depth_m, np.full((12, 16), 6), rtol=1e-6)
        np.testing.assert_allclose(one.confidence, np.full((12, 16), 0.5), rtol=1e-6)
        assert (one.camera, one.moving) == (CAMERA, None)


def test_an_uncalibrated_camera_gets_the_estimated_intrinsics(files):
    one = refined(files, camera=None)[0]
    assert (one.camera.width, one.camera.height) == (16, 12)
    assert one.camera.fx == pytest.approx(14)
    assert one.camera.cx == pytest.approx(7.5)


def test_nothing_is_hit_beyond_the_range(files):
    assert np.isposinf(refined(files, max_range_m=5.0)[0].depth_m).all()


def test_depth_without_poses_has_the_expected_error_of_its_prior():
    depth = np.array([[[1, NAN], [INF, 2]]], np.float32)
    (one,) = unposed_frames(depth, CAMERA)
    np.testing.assert_array_equal(one.depth_m, depth[0])
    np.testing.assert_array_equal(one.confidence, np.float32([[0.8, 0], [0.5, 0.8]]))
