# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videodepth_ros.core.errors import BagError, InputError
from videodepth_ros.evaluation.tum import read_tum, write_tum
from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.geometry.trajectory import Trajectory


def trajectory(stamps, seed=0):
    rng = np.random.default_rng(seed)
    T = np.tile(np.eye(4), (len(stamps), 1, 1))
    T[:, :3, :3] = so3_exp(rng.normal(size=(len(stamps), 3)))
    T[:, :3, 3] = rng.normal(size=(len(stamps), 3)) * 100
    return Trajectory(np.array(stamps, np.int64), T)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**31 * 10**9 - 1), min_size=1, max_size=9, unique=True))
def test_round_trip_is_exact_to_the_nanosecond(tmp_path_factory, stamps):
    path = tmp_path_factory.mktemp('tum') / 'a.tum'
    written = trajectory(sorted(stamps))
    write_tum(path, written)
    read = read_tum(path)
    assert read.stamp_ns.tolist() == sorted(stamps)
    np.testing.assert_allclose(read.T_map_cam, written.T_map_cam, atol=2e-7)


def test_the_order_of_numbers_is_that_of_the_benchmark(tmp_path):
    half = np.sqrt(0.5)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], (1, 2, 3)  # 90 degrees about z
    write_tum(tmp_path / 'a.tum', Trajectory(np.array([1_500_000_001]), T[None]))
    words = (tmp_path / 'a.tum').read_text().split()
    assert words[0] == '1.500000001'
    assert [float(word) for word in words[1:]] == pytest.approx([1, 2, 3, 0, 0, half, half])


def test_comments_commas_unsorted_stamps_and_nan_are_read(tmp_path):
    (tmp_path / 'a.txt').write_text(
        '# timestamp tx ty tz qx qy qz qw\n\n2.5,1,0,0,0,0,0,1\n1.25 0 0 0 0 0 0 2  # later\n'
        '3e0 nan 0 0 0 0 0 1\n4 0 0 0 0 0 0 0\n2.5 9 9 9 0 0 0 1\n'
    )
    read = read_tum(tmp_path / 'a.txt')
    assert read.stamp_ns.tolist() == [1_250_000_000, 2_500_000_000, 3_000_000_000, 4_000_000_000]
    np.testing.assert_array_equal(read.T_map_cam[0], np.eye(4))
    assert read.positions_m[1].tolist() == [1, 0, 0]
    assert np.isnan(read.T_map_cam[2:]).all()


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('1.0 2 3', 'line 2 has 3 numbers; a pose has 8'),
        ('one 0 0 0 0 0 0 1', 'line 2 is not a pose'),
        ('nan 0 0 0 0 0 0 1', 'line 2 is not a pose'),
        ('1 0 0 0 0 0 0 x', 'line 2 is not a pose'),
        ('1403636579763555584,0,0,0,0,0,0,1', 'time in seconds'),
    ],
)  # EuRoC has nanoseconds
def test_an_invalid_line_is_reported(tmp_path, line, message):
    (tmp_path / 'a.txt').write_text(f'1.0 0 0 0 0 0 0 1\n{line}\n')
    with pytest.raises(InputError, match=message):
        read_tum(tmp_path / 'a.txt')


def test_poses_of_a_repeated_stamp_are_named(tmp_path, caplog):
    lines = [f'{stamp} {x} 0 0 0 0 0 1' for stamp, x in [(1.0, 0), (2.5, 1), (2.5, 7), (3.0, 2)]]
    (tmp_path / 'a.txt').write_text('\n'.join(lines))
    assert read_tum(tmp_path / 'a.txt').positions_m[:, 0].tolist() == [0, 1, 2]
    assert '1 poses are left out' in caplog.text
    assert '2.500000000 s' in caplog.text


def test_an_empty_file_has_no_poses_and_a_missing_one_is_an_error(tmp_path):
    (tmp_path / 'a.txt').write_text('')
    assert len(read_tum(tmp_path / 'a.txt').stamp_ns) == 0
    with pytest.raises(BagError, match='cannot be read'):
        read_tum(tmp_path / 'b.txt')
    with pytest.raises(BagError, match='cannot be written'):
        write_tum(tmp_path / 'no' / 'b.txt', trajectory([1]))


EUROC = """#timestamp [ns],p_RS_R_x [m],p_y,p_z,q_RS_w [],q_x,q_y,q_z,v_x,v_y,v_z
1403636579763555584,1,2,3,0.5,0.5,-0.5,0.5,9,9,9
1403636579813555456,2,3,4,1,0,0,0,9,9,9
"""


@pytest.mark.parametrize('mark', ['', '\ufeff'])
@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('head', ['#', ''])
def test_ground_truth_of_euroc_has_nanoseconds_and_w_first(head, end, mark, tmp_path):
    path = tmp_path / 'data.csv'
    text = mark + EUROC.replace('#', head).replace('\n', end)
    path.write_bytes(text.encode())
    read = read_tum(path)
    assert read.stamp_ns.tolist() == [1403636579763555584, 1403636579813555456]
    np.testing.assert_allclose(read.positions_m, [[1, 2, 3], [2, 3, 4]])
    np.testing.assert_allclose(read.T_map_cam[0, :3, :3], [[0, -1, 0], [0, 0, -1], [1, 0, 0]])


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_part_of_a_pose(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'\xef\xbb\xbf1.5 1 2 3 0 0 0 1\r\n2.5 1 2 3 0 0 0 1\r\n')
    assert read_tum(path).stamp_ns.tolist() == [1_500_000_000, 2_500_000_000]


@pytest.mark.parametrize('text', ['', 'a,b\n', 't,x\n1,2,3\n'])
def test_a_table_without_poses_of_euroc_is_refused(text, tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text(text)
    with pytest.raises(InputError, match='EuRoC'):
        read_tum(path)


@pytest.mark.parametrize('mark', [' ', ','])
def test_the_names_of_the_columns_are_no_pose(mark, tmp_path):
    path = tmp_path / 'a.txt'
    lines = 'timestamp tx ty tz qx qy qz qw', '1.5 1 2 3 0 0 0 1'
    path.write_text('\n'.join(line.replace(' ', mark) for line in lines))
    assert read_tum(path).stamp_ns.tolist() == [1_500_000_000]
    path.write_text('1.5 1 2 3 0 0 0 1\n' + lines[0])
    with pytest.raises(InputError, match='line 2 is not a pose'):
        read_tum(path)


def test_a_text_file_of_nanoseconds_is_refused_with_the_ending_of_euroc(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('1403636579763555584 1 2 3 1 0 0 0')
    with pytest.raises(InputError, match=r'time in seconds.* in nanoseconds .* end in \.csv'):
        read_tum(path)
