# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from test.support.video_makers import write_mp4
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.messages.transforms import stamp_ns

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / 'frames'
    path.mkdir()
    noise = np.random.default_rng(0)
    for k in range(3):
        cv2.imwrite(str(path / f'{k}.jpg'), noise.integers(0, 256, (96, 128, 3), np.uint8))
    return path


def test_a_folder_becomes_a_bag_that_depth_comes_of(run, folder, tmp_path):
    code, facts = run('import', folder, tmp_path / 'bag', '--rate-hz', 10, '--hfov-deg', 90)
    assert (code, facts['frames'], facts['calibrated']) == (0, 3, True)
    with open_bag(tmp_path / 'bag') as bag:
        messages = [(topic, message) for topic, _, message in bag.messages()]
    images = [message for topic, message in messages if topic.endswith('compressed')]
    assert [stamp_ns(message.header.stamp) for message in images] == [
        10**9,
        11 * 10**8,
        12 * 10**8,
    ]
    assert bytes(images[0].data) == (folder / '0.jpg').read_bytes()
    info = next(message for topic, message in messages if topic == '/camera/camera_info')
    assert (info.width, info.height, info.k[0]) == (128, 96, pytest.approx(64))
    code, facts = run('run-bag', tmp_path / 'bag', tmp_path / 'depth')
    assert (code, facts['frames'], facts['scale_source']) == (0, 3, 'intrinsics')


def test_without_a_lens_there_is_no_camera_info(run, folder, tmp_path):
    code, facts = run('import', folder, tmp_path / 'bag')
    assert (code, facts['calibrated']) == (0, False)
    with open_bag(tmp_path / 'bag') as bag:
        assert [topic.name for topic in bag.topics] == ['/camera/image_raw/compressed']


def test_a_lens_that_cannot_be_is_refused(run, folder, tmp_path):
    code, facts = run('import', folder, tmp_path / 'bag', '--hfov-deg', 190)
    assert code == 1
    assert 'not below 180' in facts['error']
    assert not (tmp_path / 'bag').exists()


def test_an_image_that_is_none_ends_it_and_leaves_what_was_read(run, folder, tmp_path):
    (folder / '1.jpg').write_bytes(b'no image')
    code, facts = run('import', folder, tmp_path / 'bag')
    assert code == 1
    assert '1.jpg cannot be decoded' in facts['error']
    with open_bag(tmp_path / 'bag') as bag:
        assert bag.count() == 1


def test_a_truncated_video_is_imported_and_its_loss_reported(run, tmp_path, capsys):
    video = cv2.VideoWriter(
        str(tmp_path / 'a.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (128, 96)
    )
    noise = np.random.default_rng(0)
    for _ in range(8):
        video.write(noise.integers(0, 256, (96, 128, 3), np.uint8))
    video.release()
    whole = (tmp_path / 'a.avi').read_bytes()
    code, facts = run('import', tmp_path / 'a.avi', tmp_path / 'whole')
    assert (code, facts['frames'], facts['lost']) == (0, 8, None)
    (tmp_path / 'a.avi').write_bytes(whole[: len(whole) // 2])
    code, facts = run('import', tmp_path / 'a.avi', tmp_path / 'part')
    assert code == 0
    assert 0 < facts['frames'] < 8
    assert f'{8 - facts["frames"]} of 8 frames' in facts['lost']
    assert 'lost:' in capsys.readouterr().out


def test_the_error_for_a_video_names_the_import_command(run, tmp_path):
    (tmp_path / 'clip.mp4').write_bytes(b'video')
    code, facts = run('run-bag', tmp_path / 'clip.mp4', tmp_path / 'depth')
    assert code == 1
    assert 'videodepth import' in facts['error']


@pytest.mark.parametrize(('lens', 'note'), [((), 'give --fx'), (('--fx', 50), 'fy is fx times')])
def test_pixels_that_are_not_square_have_two_focal_lengths(run, lens, note, tmp_path, capsys):
    write_mp4(tmp_path / 'wide.mp4', [0, 100, 200], (2, 1))
    code, facts = run('import', tmp_path / 'wide.mp4', tmp_path / 'bag', *lens)
    assert (code, facts['lost']) == (0, None)
    assert note in facts['notes'][0]
    assert f'note: {facts["notes"][0]}' in capsys.readouterr().out
    with open_bag(tmp_path / 'bag') as bag:
        infos = [message for _, _, message in bag.messages(['/camera/camera_info'])]
    assert [(info.k[0], info.k[4]) for info in infos] == ([(50, 100)] * 3 if lens else [])
