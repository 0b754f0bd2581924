# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.cli import main
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import matrix_from_pose, matrix_from_transform, stamp_ns
from videodepth_ros.synthetic.families import FAMILIES
from videodepth_ros.synthetic.scenes import SCENES, render_scene

OPTIONS = ('--scene', 'corridor', '--seconds', 0.2, '--size', '64x48', '--seed', 3)


def test_a_sample_holds_images_and_their_truth(run, tmp_path):
    code, facts = run('sample', tmp_path / 'bag', *OPTIONS)
    assert code == 0
    assert facts['frames'] == 3
    assert facts['outputs'] == [str(tmp_path / 'bag')]
    rendered = next(render_scene('corridor', 3, 3, 64, 48, 15.0))
    with open_bag(tmp_path / 'bag') as bag:
        assert {topic.name: topic.count for topic in bag.topics} == {
            '/camera/image_raw': 3,
            '/camera/camera_info': 3,
            '/ground_truth/depth/image': 3,
            '/ground_truth/pose': 3,
            '/tf': 3,
            '/tf_static': 1,
        }
        first = {topic: message for topic, _, message in reversed(list(bag.messages()))}
    np.testing.assert_array_equal(
        decode_depth(first['/ground_truth/depth/image']), rendered.depth_m
    )
    assert stamp_ns(first['/camera/image_raw'].header.stamp) == rendered.stamp_ns
    pose = first['/ground_truth/pose']
    assert pose.header.frame_id == 'map'
    np.testing.assert_allclose(matrix_from_pose(pose.pose), rendered.T_map_cam, atol=1e-6)
    assert first['/camera/camera_info'].k[0] == pytest.approx(rendered.camera.fx)
    moving, fixed = first['/tf'].transforms[0], first['/tf_static'].transforms[0]
    assert (moving.child_frame_id, fixed.child_frame_id) == ('camera_link', 'camera_optical_frame')
    T_map_optical = matrix_from_transform(moving.transform) @ matrix_from_transform(
        fixed.transform
    )
    np.testing.assert_allclose(T_map_optical, rendered.T_map_cam, atol=1e-6)


def test_unknown_scene_names_the_choices_and_writes_nothing(run, tmp_path):
    code, facts = run('sample', tmp_path / 'bag', '--scene', 'atlantis')
    assert code == 1
    assert 'corridor' in facts['error']
    assert not (tmp_path / 'bag').exists()


def test_existing_bag_is_not_overwritten(run, tmp_path):
    (tmp_path / 'bag').mkdir()
    assert run('sample', tmp_path / 'bag', *OPTIONS)[0] == 1


def test_help_names_every_scene(capsys):
    with pytest.raises(SystemExit):
        main(['sample', '--help'])
    words = re.split(r'\W+', capsys.readouterr().out)
    assert {*SCENES, *FAMILIES} <= set(words)


@pytest.mark.parametrize('size', ['1x1', '2x2', '640x8', '15x15'])
def test_a_size_that_is_too_small_is_refused(run, size, tmp_path):
    code, facts = run('sample', tmp_path / 'scene', '--size', size)
    assert code == 1
    assert facts['error'] == f'--size {size} is too small; give at least 16x16'
    assert not (tmp_path / 'scene').exists()
