# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from videodepth_ros.bags.footage import EXIF_MARKER, open_footage
from videodepth_ros.bags.options import FOOTAGE
from videodepth_ros.core.errors import InputError

WIDTH, HEIGHT = 64, 48


def picture(level: int) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    image[:10, :20] = (250, 10, 20)
    return image


def video(path, levels, fps=12.5):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), fps, (WIDTH, HEIGHT))
    for level in levels:
        writer.write(picture(level))
    writer.release()
    return path


def decoded(shot) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(shot.data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_video_keeps_its_frames_and_their_times(tmp_path):
    levels = [20, 80, 140, 200]
    footage = open_footage(video(tmp_path / 'a.mp4', levels))
    shots = list(footage.frames())
    assert (footage.count, footage.rate_hz) == (4, pytest.approx(12.5))
    assert [shot.time_s for shot in shots] == pytest.approx([0, 0.08, 0.16, 0.24], abs=1e-3)
    for shot, level in zip(shots, levels, strict=True):
        assert (shot.width, shot.height, shot.format) == (WIDTH, HEIGHT, 'jpeg')
        assert np.abs(decoded(shot)[20:, 30:].astype(int) - level).max() < 12


def test_a_rate_overrides_that_of_a_video(tmp_path):
    footage = open_footage(video(tmp_path / 'a.mp4', [20, 80, 140]), 25.0)
    assert [shot.time_s for shot in footage.frames()] == pytest.approx([0, 0.04, 0.08], abs=1e-3)


def test_files_are_taken_as_they_lie_in_the_order_of_their_numbers(tmp_path):
    for k in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f'frame{k}.png'), picture(k))
    (tmp_path / 'notes.txt').write_text('no image')
    footage = open_footage(tmp_path)
    shots = list(footage.frames())
    assert footage.count == 3
    assert [decoded(shot)[-1, -1, 0] for shot in shots] == [1, 9, 10]
    assert [shot.time_s for shot in shots] == pytest.approx(
        [0, 1 / FOOTAGE.folder_rate_hz, 2 / FOOTAGE.folder_rate_hz]
    )
    assert shots[0].data == (tmp_path / 'frame1.png').read_bytes()


def test_a_photograph_is_turned_as_it_notes_that_the_camera_was_held(tmp_path):
    lying = cv2.imencode('.jpg', picture(90))[1].tobytes()
    for name, orientation in (('a.jpg', 1), ('b.jpg', 6)):  # as it is; a quarter to the right
        note = (
            b'Exif\0\0'
            + b'II*\0\x08\0\0\0'
            + struct.pack('<HHHIHHI', 1, 0x0112, 3, 1, orientation, 0, 0)
        )
        marker = b'\xff\xe1' + struct.pack('>H', len(note) + 2)
        (tmp_path / name).write_bytes(lying[:2] + marker + note + lying[2:])
    plain, turned = open_footage(tmp_path).frames()
    assert plain.data == (tmp_path / 'a.jpg').read_bytes()
    assert (turned.width, turned.height) == (HEIGHT, WIDTH)
    assert np.abs(decoded(turned).astype(int) - np.rot90(decoded(plain), -1)).max() < 40
    assert EXIF_MARKER not in turned.data


@pytest.mark.parametrize(('suffix', 'kind'), [('.JPG', 'jpeg'), ('.bmp', 'png'), ('.webp', 'png')])
def test_every_kind_of_image_becomes_one_that_messages_hold(tmp_path, suffix, kind):
    cv2.imwrite(str(tmp_path / f'a{suffix}'), picture(90))
    (shot,) = open_footage(tmp_path, 5.0).frames()
    assert shot.format == kind
    assert np.abs(decoded(shot)[20:, 30:].astype(int) - 90).max() < 6


def test_unreadable_footage_is_an_error_with_its_path(tmp_path):
    with pytest.raises(InputError, match='does not exist'):
        open_footage(tmp_path / 'none.mp4')
    with pytest.raises(InputError, match='has no images'):
        open_footage(tmp_path)
    (tmp_path / 'a.mp4').write_bytes(b'no video at all')
    with pytest.raises(InputError, match=r'a\.mp4 cannot be read as a video'):
        open_footage(tmp_path / 'a.mp4')
    (tmp_path / 'b.jpg').write_bytes(b'no image')
    with pytest.raises(InputError, match=r'b\.jpg cannot be decoded as an image'):
        list(open_footage(tmp_path).frames())
