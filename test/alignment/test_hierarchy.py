# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.room import CAMERA, Room, depth, rounds, walk
from videodepth_ros.alignment.constraints import Constraints, ScaleReference
from videodepth_ros.alignment.hierarchy import align_hierarchy, align_keyframes
from videodepth_ros.alignment.options import AlignmentOptions, HierarchyOptions, PairGraphOptions
from videodepth_ros.alignment.pair_graph import build_pair_graph
from videodepth_ros.geometry.sim3 import umeyama_alignment

pytestmark = pytest.mark.slow

QUICK = AlignmentOptions(
    camera=CAMERA, max_pixels=400, rotation_smoothing=0, translation_smoothing=0
)
SETTINGS = HierarchyOptions(QUICK, QUICK)


def refined(poses, options=SETTINGS, constraints=None, noise=0.02, **graph):
    clips = list(
        align_hierarchy(
            Room(poses, noise),
            build_pair_graph(len(poses), PairGraphOptions(**graph)),
            options,
            constraints or Constraints(),
        )
    )
    assert [frame for clip in clips for frame in clip.frames] == list(range(len(poses)))
    return (
        np.concatenate([clip.T_world_cam for clip in clips]),
        np.concatenate([clip.depth for clip in clips]),
        clips,
    )


def ate(T, poses, **how):
    source, target = T[:, :3, 3].T, poses[:, :3, 3].T
    aligned = umeyama_alignment(source, target, **how).apply(source)
    return np.linalg.norm(aligned - target, axis=0).max()


def scales(found, poses):
    return np.array([np.median(depth(T) / d) for T, d in zip(poses, found, strict=True)])


@pytest.mark.parametrize('frames', [1, 2, 5, 13])
def test_short_recordings_are_complete(frames):
    poses = walk(frames)
    T, found, _ = refined(poses, noise=0.0, clip_length=4)
    scale = scales(found, poses)
    np.testing.assert_allclose(scale, scale.mean(), rtol=5e-3)
    np.testing.assert_allclose(
        scale.mean() * T[:, :3, 3], poses[:, :3, 3] - poses[0, :3, 3], atol=5e-3
    )


def test_clips_agree_on_scale_and_place():
    poses = rounds(20)
    T, found, _ = refined(poses, clip_length=6)
    scale = scales(found, poses)
    assert scale.std() / scale.mean() < 0.01
    assert ate(T, poses) < 0.05


def test_an_unknown_focal_length_is_that_of_the_keyframes():
    free = replace(QUICK, camera=None)
    _, _, clips = refined(walk(13), HierarchyOptions(free, free), noise=0.01, clip_length=4)
    assert len({clip.cameras[0].fx for clip in clips}) == 1
    assert clips[0].cameras[0].fx == pytest.approx(CAMERA.fx, rel=0.02)


def test_known_poses_of_some_frames_locate_all():
    poses = rounds(16)
    known = poses.copy()
    known[1::2] = np.nan
    T, found, clips = refined(
        poses, constraints=Constraints(T_world_cam=known), clip_length=8, noise=0.005
    )
    assert {clip.scale_reference for clip in clips} == {ScaleReference.POSES}
    np.testing.assert_allclose(T[:, :3, 3], poses[:, :3, 3], atol=0.05)
    np.testing.assert_allclose(scales(found, poses), 1, atol=0.02)


def test_a_loop_closes():
    poses = rounds(121)

    def error(loops):
        graph = build_pair_graph(121, PairGraphOptions(clip_length=10, window=1), loops)
        pairs = Room(poses, 0.05).pairs(graph.keyframe_edges)
        T = align_keyframes(pairs, graph, SETTINGS).T_world_cam
        return ate(T, poses[list(graph.keyframes)])

    assert error([(0, 110)]) < 0.7 * error([])


def test_smoothing_does_not_dominate_long_recordings():
    poses = rounds(160)
    graph = build_pair_graph(160, PairGraphOptions(clip_length=8, window=2))
    pairs = Room(poses).pairs(graph.keyframe_edges)
    T = align_keyframes(
        pairs,
        graph,
        HierarchyOptions(replace(QUICK, rotation_smoothing=0.01, translation_smoothing=0.01)),
    ).T_world_cam
    assert ate(T, poses[list(graph.keyframes)]) < 0.25


def test_a_false_loop_does_little_harm():
    poses = rounds(80)
    graph = build_pair_graph(80, PairGraphOptions(clip_length=10), [(0, 60)])
    false_poses = poses.copy()

    def error(false):
        false_poses[60] = poses[33] if false else poses[60]
        true_pairs = {pair.edge: pair for pair in Room(poses).pairs(graph.keyframe_edges)}
        false_pairs = {pair.edge: pair for pair in Room(false_poses).pairs([(0, 60), (60, 0)])}
        T = align_keyframes((true_pairs | false_pairs).values(), graph, SETTINGS).T_world_cam
        return ate(T, poses[list(graph.keyframes)])

    assert error(True) < error(False) + 0.05


def test_both_ends_of_a_clip_are_constrained():
    poses, graph = rounds(30), build_pair_graph(30, PairGraphOptions(clip_length=6))

    def border_error(graph):
        clips = list(align_hierarchy(Room(poses, 0.05), graph, SETTINGS))
        T = np.concatenate([clip.T_world_cam for clip in clips])
        T[:, :3, 3] *= np.mean(scales(np.concatenate([clip.depth for clip in clips]), poses))
        error = np.linalg.inv(T[:-1]) @ T[1:] - np.linalg.inv(poses[:-1]) @ poses[1:]
        return np.median(
            [np.linalg.norm(error[clip.frames.start - 1, :3, 3]) for clip in clips[1:]]
        )

    first_only = replace(
        graph, clips=tuple(replace(clip, keyframes=clip.keyframes[:1]) for clip in graph.clips)
    )
    assert border_error(graph) < 0.75 * border_error(first_only)
