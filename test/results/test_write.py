# SPDX-License-Identifier: Apache-2.0
"""Everything at once: the same bytes each time, whole or not at all."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin

from test.support import bag_makers
from test.support import refined_results as m
from videodepth_ros.bags.frames import read_frames
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.core.errors import BagError, InputError
from videodepth_ros.evaluation.trajectory import TrajectoryAlignment, evaluate_trajectory
from videodepth_ros.evaluation.tum import read_tum
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.messages.image import decode_image
from videodepth_ros.results.bag import BagContents, SourceRecording
from videodepth_ros.results.options import REPORT, CloudOptions
from videodepth_ros.results.write import ResultOptions, write_results

pytestmark = pytest.mark.slow

FILES = ['cloud.ply', 'metadata.yaml', 'out.mcap', 'preview.mp4', 'report.html', 'trajectory.tum']


@pytest.fixture
def recording(tmp_path):
    return m.write_bag(tmp_path / 'in', m.write_static)


def write(recording, folder, given=None, trajectory=None, **settings):
    with open_bag(recording) as bag:
        return write_results(
            given or m.refined(),
            trajectory or m.trajectory(m.odd_world()),
            SourceRecording(bag, m.IMAGE),
            folder,
            ResultOptions(**settings),
        )


def digests(folder):
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_all_outputs_are_written_and_listed(recording, tmp_path):
    facts = write(recording, tmp_path / 'out', scale_source='odometry')
    folder = tmp_path / 'out'
    assert sorted(digests(folder)) == FILES
    assert facts.frames == m.FRAMES
    assert facts.outputs == (
        str(folder),
        *(
            str(folder / name)
            for name in ('trajectory.tum', 'cloud.ply', 'preview.mp4', 'report.html')
        ),
    )
    steps = np.diff(m.trajectory().positions_m, axis=0)
    assert facts.path_length_m == pytest.approx(np.linalg.norm(steps, axis=1).sum())
    assert facts.duration_s == pytest.approx(0.7)
    written = read_tum(folder / 'trajectory.tum')
    report = evaluate_trajectory(written, m.trajectory(), TrajectoryAlignment.SE3)
    assert (report.frames, report.ate_rmse_m) == (m.FRAMES, pytest.approx(0, abs=1e-6))
    for (ns, T), k in zip(m.Listener(folder).poses(), range(m.FRAMES), strict=True):
        assert ns == written.stamp_ns[k]
        np.testing.assert_allclose(T, written.T_map_cam[k], atol=1e-7)


def test_mesh_is_written_around_given_points(recording, tmp_path):
    ends = m.trajectory(m.odd_world()).positions_m
    points = np.concatenate([ends + offset for offset in (-3.0, 3.0)])
    facts = write(recording, tmp_path / 'out', scene_points_m=points)
    assert str(tmp_path / 'out' / 'map.ply') in facts.outputs
    assert (tmp_path / 'out' / 'map.ply').read_bytes().startswith(b'ply')


def test_the_same_frames_give_the_same_bytes(recording, tmp_path):
    for place in ('one', 'other'):
        write(recording, tmp_path / place / 'out', contents=BagContents(copied=('*',)))
    assert digests(tmp_path / 'one' / 'out') == digests(tmp_path / 'other' / 'out')


@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_frames_may_come_from_the_recording_that_is_copied_at_the_same_time(tmp_path, plugin):
    with AnyReader([m.write_bag(tmp_path / 'mcap', m.write_static)]) as reader:
        everything = [
            (one.topic, ns, (one.msgtype, bytes(raw))) for one, ns, raw in reader.messages()
        ]
    recording = bag_makers.write_rosbag2(tmp_path / 'in', everything, plugin)
    with open_bag(recording) as bag:
        seen = (
            replace(refined, image=frame.image)
            for frame, refined in zip(read_frames(bag, m.IMAGE), m.refined(), strict=True)
        )
        write_results(
            seen,
            m.trajectory(),
            SourceRecording(bag, m.IMAGE),
            tmp_path / 'out',
            ResultOptions(contents=BagContents(copied=('*',))),
        )
    with open_bag(tmp_path / 'out') as result:
        for k, (_, _, message) in enumerate(result.messages([m.IMAGE])):
            np.testing.assert_array_equal(decode_image(message), m.image(k))
        assert result.count([m.IMAGE]) == m.FRAMES


def test_the_remains_of_a_killed_run_are_removed(recording, tmp_path):
    write(recording, tmp_path / 'clean' / 'out')
    remains = tmp_path / '.out.partial' / 'out'
    remains.mkdir(parents=True)
    (remains / 'out.mcap').write_bytes(b'half')
    write(recording, tmp_path / 'out')
    assert digests(tmp_path / 'out') == digests(tmp_path / 'clean' / 'out')
    assert not remains.parent.exists()


def test_an_error_half_way_leaves_nothing(recording, tmp_path):
    def failing():
        yield from m.refined(frames=3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(recording, tmp_path / 'out', failing())
    assert [one.name for one in tmp_path.iterdir()] == ['in']


def test_results_are_not_overwritten(recording, tmp_path):
    (tmp_path / 'out').mkdir()
    with pytest.raises(BagError, match='out exists and is not overwritten'):
        write(recording, tmp_path / 'out')


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (lambda: m.refined(frames=3), 'there are 3 frames for 8 poses'),
        (lambda: iter(()), 'there is no frame'),
        (
            lambda: (replace(f, stamp_ns=f.stamp_ns + 1) for f in m.refined()),
            'frame 0 has the stamp',
        ),
    ],
    ids=['too few', 'none', 'other stamps'],
)
def test_frames_and_poses_must_match(recording, tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        write(recording, tmp_path / 'out', given())
    assert not (tmp_path / 'out').exists()


def test_one_frame_is_enough(recording, tmp_path):
    only = m.trajectory()
    facts = write(
        recording,
        tmp_path / 'out',
        m.refined(frames=1),
        Trajectory(only.stamp_ns[:1], only.T_map_cam[:1]),
    )
    assert (facts.frames, facts.path_length_m) == (1, 0.0)
    assert sorted(digests(tmp_path / 'out')) == FILES


def test_a_world_that_is_upright_is_left_as_it_is(recording, tmp_path):
    facts = write(recording, tmp_path / 'out', trajectory=m.trajectory(), gravity_source='poses')
    assert facts.gravity_source == 'poses'
    np.testing.assert_allclose(
        read_tum(tmp_path / 'out' / 'trajectory.tum').T_map_cam,
        m.trajectory().T_map_cam,
        atol=1e-8,
    )


def test_the_video_shows_every_frame(recording, tmp_path):
    write(recording, tmp_path / 'out')
    video = cv2.VideoCapture(str(tmp_path / 'out' / 'preview.mp4'))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    shown = 0
    while video.read()[0]:
        shown += 1
    video.release()
    assert shown == m.FRAMES


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.images, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ('meta', 'img', 'path', 'input'):
            self.open.append(tag)
        self.images += [dict(attributes)['src']] if tag == 'img' else []

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        if tag not in ('path',):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_is_self_contained(recording, tmp_path):
    write(
        recording,
        tmp_path / 'out',
        scale_source='odometry <1>',
        is_metric=False,
        notes=('the lens was <dirty>',),
        late_notes=lambda: ('seen at the end',),
        facts=(('prior', 'bag'),),
    )
    text = (tmp_path / 'out' / 'report.html').read_text()
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert len(tags.images) == 1 + 2 + REPORT.frames  # from above, from two sides, frames
    assert all(image.startswith('data:image/png;base64,') for image in tags.images)
    assert not re.search(r'(src|href)="(?!data:)', text)
    message = ' '.join(tags.text)
    for wanted in (
        '8 in 0.70 s',
        'odometry <1>',
        'frame base_link',
        'the lens was <dirty>',
        'seen at the end',
        f'map -> base_link -> camera_link -> {m.OPTICAL}',
        'prior',
        'median depth [unit]',
        'the scale is arbitrary',
        '32x24',
    ):
        assert wanted in message
    assert str(tmp_path) not in text


def test_an_occupancy_grid_is_written_on_demand(recording, tmp_path):
    write(recording, tmp_path / 'out', occupancy=True, cloud=CloudOptions(0.02, edge_ratio=0))
    facts = yaml.safe_load((tmp_path / 'out/map.yaml').read_text())
    grid = occupancy_of_bag(tmp_path / 'out')
    assert grid.info.resolution == pytest.approx(facts['resolution'])
    assert [grid.info.origin.position.x, grid.info.origin.position.y] == facts['origin'][:2]
    image = cv2.imread(str(tmp_path / 'out/map.pgm'), cv2.IMREAD_UNCHANGED)
    cells = np.asarray(grid.data).reshape(grid.info.height, grid.info.width)
    assert {-1, 0} <= set(np.unique(cells).tolist())
    np.testing.assert_array_equal(image[::-1] == 254, cells == 0)
    assert 'Occupancy grid' in (tmp_path / 'out/report.html').read_text()


def occupancy_of_bag(path):
    with open_bag(path) as bag:
        ((_, ns, grid),) = bag.messages(['/videodepth/map'])
        assert ns == m.STAMPS[0]
    return grid
