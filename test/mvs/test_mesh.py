import numpy as np
import pytest

from test.mvs.textured_scene import CAMERA, pose, render
from videodepth_ros.core.errors import BagError, InputError
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.mvs.mesh import extract_mesh, write_mesh_ply
from videodepth_ros.mvs.tsdf import TsdfOptions, TsdfVolume

OPTIONS = TsdfOptions(most_voxels=150_000)
SPHERE_CAMERA = Intrinsics.centred(80, 80, 90.0)


def sphere_volume(moving=False):
    """A sphere of radius .5 m, 2 m before a camera at the origin of the map."""
    camera = SPHERE_CAMERA
    rows, columns = np.mgrid[:80, :80]
    rays = np.stack([(columns - camera.cx) / 90, (rows - camera.cy) / 90, np.ones((80, 80))], -1)
    a, b, c = (rays**2).sum(-1), -4 * rays[..., 2], 4 - 0.25
    with np.errstate(invalid='ignore'):
        depth_m = ((-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)).astype(np.float32)
    image = np.full((80, 80, 3), (200, 100, 50), np.uint8)
    corners = np.array([[-0.6, -0.6, 1.4], [0.6, 0.6, 2.0]])
    volume = TsdfVolume.around(corners, OPTIONS)
    volume.add(
        depth_m,
        np.full((80, 80), 0.01, np.float32),
        np.full((80, 80), moving),
        image,
        camera,
        np.eye(4),
    )
    return volume


def test_vertices_lie_on_the_sphere():
    mesh = extract_mesh(sphere_volume())
    radius = np.linalg.norm(mesh.vertices_m - [0, 0, 2], axis=1)
    assert len(mesh.faces) > 1000
    assert np.percentile(np.abs(radius - 0.5), 95) < 0.01


def test_normals_and_faces_look_at_the_camera():
    mesh = extract_mesh(sphere_volume())
    outwards = (mesh.vertices_m - [0, 0, 2]) / 0.5
    assert np.median((mesh.normals * outwards).sum(axis=1)) > 0.97
    a, b, c = (mesh.vertices_m[mesh.faces[:, k]] for k in range(3))
    turn = np.cross(b - a, c - a)
    assert ((turn * outwards[mesh.faces[:, 0]]).sum(axis=1) > 0).mean() > 0.99


def test_colours_are_those_of_the_image():
    mesh = extract_mesh(sphere_volume())
    assert np.median(mesh.colours, axis=0) == pytest.approx([200, 100, 50], abs=2)


def test_what_moves_is_not_in_the_map():
    assert not len(extract_mesh(sphere_volume(moving=True)).faces)


def test_small_pieces_are_left_out():
    volume = sphere_volume()
    volume.distance[2:4, 2:4, 2:4] = -1.0
    volume.weight[:8, :8, :8] = 1.0
    whole, large = extract_mesh(volume), extract_mesh(volume, least_faces=200)
    assert 0 < len(whole.faces) - len(large.faces) < 200
    assert large.faces.max() == len(large.vertices_m) - 1


def test_several_views_make_one_surface():
    points, frames = [], []
    for k in range(3):
        T = pose(0.2 * (k - 1))
        image, depth_m = render(T)
        seen = backproject(depth_m, CAMERA).reshape(-1, 3) @ T[:3, :3].T + T[:3, 3]
        points.append(seen)
        frames.append((depth_m, image, T))
    volume = TsdfVolume.around(np.concatenate(points), OPTIONS)
    for depth_m, image, T in frames:
        error = np.full(depth_m.shape, 0.01, np.float32)
        volume.add(depth_m, error, np.zeros(depth_m.shape, bool), image, CAMERA, T)
    mesh = extract_mesh(volume)
    wall = np.abs(mesh.vertices_m @ [0.15, 0.1, 1.0] - 3.0)
    box = np.abs(mesh.vertices_m[:, 2] - 1.8)
    assert np.percentile(np.minimum(wall, box), 90) < volume.voxel_m


def test_ply_has_what_its_head_announces(tmp_path):
    mesh = extract_mesh(sphere_volume())
    path = tmp_path / 'map.ply'
    write_mesh_ply(path, mesh)
    head, _, body = path.read_bytes().partition(b'end_header\n')
    assert f'element vertex {len(mesh.vertices_m)}'.encode() in head
    assert len(body) == 27 * len(mesh.vertices_m) + 13 * len(mesh.faces)


def test_ply_in_no_folder_is_an_error(tmp_path):
    with pytest.raises(BagError, match='cannot be written'):
        write_mesh_ply(tmp_path / 'no' / 'map.ply', extract_mesh(sphere_volume()))


def test_volume_without_points_is_an_error():
    with pytest.raises(InputError, match='there are none'):
        TsdfVolume.around(np.empty((0, 3)), OPTIONS)
