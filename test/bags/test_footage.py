# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from test.support.video_makers import jpeg, write_matroska, write_mp4
from videodepth_ros.bags.footage import open_footage
from videodepth_ros.bags.options import FOOTAGE
from videodepth_ros.core.errors import InputError

WIDTH, HEIGHT = 64, 48


def seconds(shots):
    """Return the times of frames since the first one."""
    return [(shot.stamp_ns - shots[0].stamp_ns) / 1e9 for shot in shots]


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
    assert seconds(shots) == pytest.approx([0, 0.08, 0.16, 0.24], abs=1e-3)
    for shot, level in zip(shots, levels, strict=True):
        assert (shot.width, shot.height, shot.format) == (WIDTH, HEIGHT, 'jpeg')
        assert np.abs(decoded(shot)[20:, 30:].astype(int) - level).max() < 12


def test_a_rate_overrides_that_of_a_video(tmp_path):
    footage = open_footage(video(tmp_path / 'a.mp4', [20, 80, 140]), 25.0)
    assert seconds(list(footage.frames())) == pytest.approx([0, 0.04, 0.08], abs=1e-3)


def test_files_are_taken_as_they_lie_in_the_order_of_their_numbers(tmp_path):
    for k in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f'frame{k}.png'), picture(k))
    (tmp_path / 'notes.txt').write_text('no image')
    footage = open_footage(tmp_path)
    shots = list(footage.frames())
    assert footage.count == 3
    assert [decoded(shot)[-1, -1, 0] for shot in shots] == [1, 9, 10]
    assert seconds(shots) == pytest.approx(
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
    assert b'Exif\0\0' not in turned.data


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


def tiff_note(orientation):
    return b'II*\0\x08\0\0\0' + struct.pack('<HHHIHHI', 1, 0x0112, 3, 1, orientation, 0, 0)


def exif_png(orientation):
    data, note = cv2.imencode('.png', picture(90))[1].tobytes(), b'eXIf' + tiff_note(orientation)
    chunk = struct.pack('>I', len(note) - 4) + note + struct.pack('>I', zlib.crc32(note))
    return data[:33] + chunk + data[33:]


def exif_webp(orientation):
    data = cv2.imencode('.webp', picture(90), [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    sides = (WIDTH - 1).to_bytes(3, 'little') + (HEIGHT - 1).to_bytes(3, 'little')
    note = tiff_note(orientation)
    body = b'WEBPVP8X' + struct.pack('<I', 10) + bytes([8, 0, 0, 0]) + sides + data[12:]
    body += b'EXIF' + struct.pack('<I', len(note)) + note
    return b'RIFF' + struct.pack('<I', len(body)) + body


@pytest.mark.parametrize('suffix', ['png', 'webp'])
@pytest.mark.parametrize(('orientation', 'turns'), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_png_and_webp_are_turned_too(suffix, orientation, turns, tmp_path):
    data = {'png': exif_png, 'webp': exif_webp}[suffix](orientation)
    (tmp_path / f'a.{suffix}').write_bytes(data)
    (shot,) = open_footage(tmp_path).frames()
    np.testing.assert_array_equal(decoded(shot), np.rot90(picture(90), turns))
    assert (shot.data == data) == (suffix == 'png' and turns == 0)


@pytest.mark.parametrize('kind', [np.float32, np.float64])
@pytest.mark.parametrize('full', [1.0, 255.0])
def test_floating_point_images_are_not_black(kind, full, tmp_path):
    ramp = np.linspace(0, full, WIDTH * HEIGHT, dtype=kind).reshape(HEIGHT, WIDTH)
    cv2.imwrite(str(tmp_path / 'a.tiff'), ramp)
    (shot,) = open_footage(tmp_path).frames()
    assert np.abs(decoded(shot) / 65535 - ramp / full).max() < 1e-4


@pytest.mark.parametrize('values', [(0, 1000), (-1, 1)])
def test_floating_point_images_of_another_range_are_refused(values, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.tiff'), np.linspace(*values, 64, dtype=np.float32).reshape(8, 8))
    with pytest.raises(InputError, match=r'a\.tiff has float32 samples from .*convert it'):
        list(open_footage(tmp_path).frames())


NO_PAUSE = [0, 100, 200, 300, 400, 500]
VARIABLE = {
    'none': NO_PAUSE,
    'long': [0, 100, 200, 12300, 12400, 12500],
    'hour': [0, 100, 3_600_000, 3_600_100],
    'slower': [0, 100, 200, 700, 1700, 2700],
}


@pytest.mark.parametrize('name', VARIABLE)
@pytest.mark.parametrize('write', [write_matroska, write_mp4])
def test_frames_of_a_variable_rate_keep_their_times_and_none_is_lost(write, name, tmp_path):
    times = VARIABLE[name]
    footage = open_footage(write(tmp_path / 'a.mkv', times))
    shots = list(footage.frames())
    assert seconds(shots) == pytest.approx([time / 1e3 for time in times], abs=2e-3)
    assert footage.lost(len(shots), seconds(shots)[-1]) is None
    assert footage.notes == ()


def test_a_video_that_starts_late_is_whole(tmp_path):
    footage = open_footage(write_matroska(tmp_path / 'a.mkv', [5000 + time for time in NO_PAUSE]))
    shots = list(footage.frames())
    assert seconds(shots) == pytest.approx([time / 1e3 for time in NO_PAUSE], abs=2e-3)
    assert footage.lost(len(shots), 0.5) is None


@pytest.mark.parametrize('kept', [0.9, 0.5])
def test_a_matroska_file_that_was_cut_off_is_reported(kept, tmp_path):
    path = write_matroska(tmp_path / 'a.webm', list(range(0, 2000, 100)))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    footage = open_footage(path)
    shots = list(footage.frames())
    assert 5 < len(shots) < 20
    assert 'a.webm: it is damaged or truncated' in footage.lost(len(shots), 1.0)


def test_pixels_that_are_not_square_are_noticed(tmp_path):
    assert open_footage(write_matroska(tmp_path / 'a.mkv', NO_PAUSE, 2)).pixel_aspect == 2
    assert open_footage(write_mp4(tmp_path / 'a.mp4', NO_PAUSE, (4, 3))).pixel_aspect == (
        pytest.approx(4 / 3)
    )
    assert open_footage(write_mp4(tmp_path / 'b.mp4', NO_PAUSE)).pixel_aspect == 1


def test_a_stream_without_stamps_has_a_note(tmp_path):
    path = tmp_path / 'a.mjpeg'
    path.write_bytes(b''.join(jpeg(k) for k in range(5)))
    footage = open_footage(path)
    assert len(list(footage.frames())) == 5
    assert 'has no time stamps, 25 Hz is assumed; give --rate-hz' in footage.notes[0]
    assert open_footage(path, 10.0).notes == ()


def test_stamps_in_file_names_are_kept_to_the_nanosecond(tmp_path):
    for k, name in enumerate(['1403636579813555456', '1403636579763555584']):
        cv2.imwrite(str(tmp_path / f'{name}.png'), picture(k))
    footage = open_footage(tmp_path)
    shots = list(footage.frames())
    assert [shot.stamp_ns for shot in shots] == [1403636579763555584, 1403636579813555456]
    assert [decoded(shot)[-1, -1, 0] for shot in shots] == [1, 0]
    assert '--rate-hz overrides' in footage.notes[0]
    assert seconds(list(open_footage(tmp_path, 10.0).frames())) == pytest.approx([0, 0.1])


def write_images(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        cv2.imwrite(str(folder / name), picture(20 * k))
    return folder


def test_hidden_files_and_folders_are_no_images(tmp_path):
    write_images(tmp_path, '1.png', '2.png', '.3.png')
    (tmp_path / '._2.png').write_bytes(b'resource fork')
    (tmp_path / '9.png').mkdir()
    footage = open_footage(tmp_path)
    assert [file.name for file in footage.files] == ['1.png', '2.png']
    assert footage.notes == ()


def test_a_link_to_nothing_is_an_error_with_its_path(tmp_path):
    write_images(tmp_path, '1.png')
    (tmp_path / '2.png').symlink_to(tmp_path / 'gone.png')
    with pytest.raises(InputError, match=r'2\.png cannot be read: .*remove it'):
        list(open_footage(tmp_path).frames())


def test_folders_below_with_images_are_named(tmp_path):
    write_images(tmp_path / 'rgb', '1.png')
    write_images(tmp_path / 'depth', '1.png')
    (tmp_path / 'imu').mkdir()
    with pytest.raises(InputError, match=r'give one of its folders that have: depth, rgb$'):
        open_footage(tmp_path)


def test_images_that_are_twice_or_left_out_have_notes(tmp_path):
    write_images(tmp_path, '1.png', '1.jpg', '2.png')
    (tmp_path / '3.gif').write_bytes(b'GIF89a')
    (tmp_path / 'list.txt').write_text('1.png 0.0')
    twice, left_out = open_footage(tmp_path).notes
    assert twice.startswith('1 images have the name of another')
    assert left_out.startswith('1 images such as 3.gif are left out')


def test_the_pages_of_a_stack_that_are_not_used_have_a_note(tmp_path):
    cv2.imwritemulti(str(tmp_path / 'stack.tiff'), [picture(90), picture(91)])
    footage = open_footage(tmp_path)
    assert len(list(footage.frames())) == 1
    assert '1 files such as stack.tiff have several pages' in footage.notes[0]
