import numpy as np

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.fused_mesh import FusedMesh

CAMERA = Intrinsics.centred(64, 48, 50.0)
CORNERS = np.array([[-1.2, -0.9, 1.7], [1.2, 0.9, 2.3]])


def wall(k, confidence=0.99, moving=None):
    """A camera that faces a wall 2 m away and moves sideways."""
    T = np.eye(4)
    T[0, 3] = 0.02 * k
    shape = (48, 64)
    return RefinedFrame(
        k,
        'camera',
        np.full(shape, 2.0, np.float32),
        np.full(shape, confidence, np.float32),
        moving,
        CAMERA,
        T,
        np.full((*shape, 3), 120, np.uint8),
    )


def triangles(frames, tmp_path):
    mesh = FusedMesh.around(CORNERS, np.eye(4), len(frames))
    for frame in frames:
        mesh.add(frame)
    return len(mesh.write(tmp_path / 'map.ply').faces)


def test_a_wall_becomes_triangles(tmp_path):
    assert triangles([wall(k) for k in range(3)], tmp_path) > 100


def test_uncertain_depth_is_not_in_the_mesh(tmp_path):
    assert triangles([wall(k, confidence=0.9) for k in range(3)], tmp_path) == 0


def test_what_moves_is_not_in_the_mesh(tmp_path):
    everything = np.ones((48, 64), bool)
    assert triangles([wall(k, moving=everything) for k in range(3)], tmp_path) == 0


def test_points_are_those_of_the_world():
    T_map_world = np.eye(4)
    T_map_world[:3, 3] = 10.0
    mesh = FusedMesh.around(CORNERS, T_map_world, 1)
    centre = mesh.volume.origin_m + (np.array(mesh.volume.distance.shape) - 1) / 2 * (
        mesh.volume.voxel_m
    )
    assert np.allclose(centre, [10, 10, 12], atol=0.1)


def test_of_a_long_recording_some_frames_are_fused():
    assert FusedMesh.around(CORNERS, np.eye(4), 1000).stride == 20
