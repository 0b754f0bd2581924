# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from test.support.known_pairs import KnownPairs
from videodepth_ros.bags import frames
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.core.errors import BagError, Cancelled, ConfigError, ModelError
from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.evaluation.trajectory import evaluate_trajectory
from videodepth_ros.evaluation.tum import read_tum
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.transforms import matrix_from_pose, set_stamp, stamp_ns
from videodepth_ros.refine import alignment_inputs as scene_files
from videodepth_ros.refine.image_sequence import ImageSequence
from videodepth_ros.refine.job import refine_bag, work_folder
from videodepth_ros.refine.options import ReadOptions
from videodepth_ros.refine.plan import (
    CLIP_STAGE,
    KEYFRAME_STAGE,
    PRIOR_STAGE,
    READ_STAGE,
    WRITE_STAGE,
)
from videodepth_ros.refine.settings import Method, Pairs, RefineSettings
from videodepth_ros.refine.stages import read
from videodepth_ros.refine.stages.align import shot_cut_notes

pytestmark = pytest.mark.slow

FRAMES = 13
QUICK = RefineSettings(prior='bag', processes=1, clip=4, stereo=False)
FILES = ('trajectory.tum', 'cloud.ply', 'preview.mp4', 'report.html')


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('job') / 'scene'
    make_sample(str(path), 'studios', 5, FRAMES / 10, 10.0, (96, 72))
    return path


def true_poses(bag):
    with open_bag(bag) as reader:
        (topic,) = (one.name for one in reader.topics if 'ground_truth/pose' in one.name)
        return np.array(
            [matrix_from_pose(message.pose) for _, _, message in reader.messages([topic])]
        )


@pytest.fixture(autouse=True)
def known_pairs(bag, monkeypatch):
    """Pairs as a perfect provider would make them: the job is tested here, not geometry."""
    T = true_poses(bag)
    monkeypatch.setattr('videodepth_ros.refine.job.needs_alignment', lambda settings: True)
    monkeypatch.setattr(
        scene_files.PairProviderFactory,
        '__call__',
        lambda self: KnownPairs(self.depth.open(), self.camera, T),
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope='module')
def whole(bag, tmp_path_factory):
    """The output of an uninterrupted run, created by the first test that needs it."""
    return bag, tmp_path_factory.mktemp('whole') / 'refined'


def undisturbed(whole):
    bag, output = whole
    if not output.exists():
        refine_bag(bag, output, QUICK)
    return contents(output)


def test_a_recording_becomes_depth_and_a_trajectory(bag, tmp_path):
    reports = []
    facts = refine_bag(bag, tmp_path / 'refined', QUICK, reports.append, log=reports.append)
    assert facts.frames == FRAMES
    assert facts.scale_source == 'depth'
    assert set(facts.outputs) == {str(tmp_path / 'refined' / name) for name in ('', *FILES)} - {
        str(tmp_path / 'refined') + '/'
    } | {str(tmp_path / 'refined')}
    assert not work_folder(tmp_path / 'refined').exists()
    plan, *_ = [line for line in reports if isinstance(line, str)]
    assert '13 frames of 96x72' in plan
    assert [one.name for one in facts.stages] == [
        'read', 'prior', 'calibrate', 'consistency', 'align', 'confidence', 'write'
    ]  # fmt: skip
    rounding_s = 0.0005 * (len(facts.stages) + 1)  # all are rounded to milliseconds
    assert sum(one.seconds for one in facts.stages) <= facts.seconds + rounding_s
    assert 'true depth' in (tmp_path / 'refined' / 'report.html').read_text()
    shares = [one.fraction for one in reports if not isinstance(one, str)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_poses_are_those_of_the_pairs(bag, tmp_path):
    refine_bag(bag, tmp_path / 'refined', QUICK)
    found = read_tum(tmp_path / 'refined' / 'trajectory.tum')
    truth = Trajectory(found.stamp_ns, true_poses(bag))
    assert evaluate_trajectory(found, truth).ate_rmse_m < 1e-3


@pytest.mark.parametrize(
    'stage', [READ_STAGE, PRIOR_STAGE, KEYFRAME_STAGE, CLIP_STAGE, WRITE_STAGE]
)
def test_a_stopped_run_continues_to_the_same_bytes(whole, tmp_path, stage):
    bag, _ = whole
    stages = []
    with pytest.raises(Cancelled, match='run the same command again'):
        refine_bag(
            bag,
            tmp_path / 'refined',
            QUICK,
            lambda one: stages.append(one.stage),
            lambda: stages.count(stage) == 1,
        )
    assert not (tmp_path / 'refined').exists()
    again = []
    refine_bag(bag, tmp_path / 'refined', QUICK, lambda one: again.append(one.stage))
    if stage in (KEYFRAME_STAGE, CLIP_STAGE, WRITE_STAGE):
        assert READ_STAGE not in again
        assert PRIOR_STAGE not in again
    expected = undisturbed(whole)
    found = contents(tmp_path / 'refined')
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_other_options_reuse_valid_results(whole, tmp_path):
    bag, _ = whole
    stages = []
    with pytest.raises(Cancelled):
        refine_bag(
            bag,
            tmp_path / 'refined',
            replace(QUICK, clip=6),
            lambda one: stages.append(one.stage),
            lambda: WRITE_STAGE in stages,
        )
    again = []
    refine_bag(bag, tmp_path / 'refined', QUICK, lambda one: again.append(one.stage))
    assert READ_STAGE not in again
    assert CLIP_STAGE in again
    assert contents(tmp_path / 'refined') == undisturbed(whole)


def test_only_selected_frames_are_refined(bag, tmp_path):
    chosen = replace(QUICK, start_s=0.2, stride=3, frames=3)
    assert refine_bag(bag, tmp_path / 'refined', chosen).frames == 3
    assert len((tmp_path / 'refined' / 'trajectory.tum').read_text().splitlines()) == 3


def test_a_recording_of_one_frame(bag, tmp_path):
    one = replace(QUICK, frames=1)
    assert refine_bag(bag, tmp_path / 'refined', one).path_length_m == 0


def test_a_known_length_sets_the_scale(bag, tmp_path):
    facts = refine_bag(bag, tmp_path / 'refined', replace(QUICK, path_length_m=7.0))
    assert facts.scale_source == 'path_length'
    assert facts.path_length_m == pytest.approx(7.0)


def test_an_output_that_exists_is_not_overwritten(bag, tmp_path):
    (tmp_path / 'refined').mkdir()
    with pytest.raises(BagError, match='exists and is not overwritten'):
        refine_bag(bag, tmp_path / 'refined', QUICK)


@pytest.mark.parametrize(
    'wrong', [{'prior': 'guess'}, {'image_topic': '/none'}, {'start_s': 99.0}]
)
def test_an_impossible_job_raises_and_leaves_no_output(bag, tmp_path, wrong):
    with pytest.raises((ConfigError, BagError)):
        refine_bag(bag, tmp_path / 'refined', replace(QUICK, **wrong))
    assert not (tmp_path / 'refined').exists()


@pytest.mark.parametrize(
    ('lacking', 'error', 'expected_text'),
    [
        ({'prior': 'guess'}, ConfigError, 'there is no prior'),
        ({'depth_topic': '/none'}, ConfigError, 'topic /none is not in the recording'),
        ({'prior': 'depth-pro'}, ModelError, 'weights fetch'),
        ({'prior': 'flashdepth-s'}, ModelError, 'weights of flashdepth-s'),
        ({'pairs': Pairs.ALIGN3R}, ModelError, 'weights of align3r'),
        ({'method': Method.ROLLINGDEPTH}, ModelError, 'weights fetch'),
        ({'method': Method.ROLLINGDEPTH, 'preset': 'slow'}, ConfigError, 'slow'),
    ],
)
def test_missing_requirements_raise_before_any_work(
    bag, tmp_path, monkeypatch, lacking, error, expected_text
):
    for name in ('VIDEODEPTH_WEIGHTS', 'HF_HOME', 'HF_HUB_CACHE'):
        monkeypatch.setenv(name, str(tmp_path / 'none'))
    lines = []
    with pytest.raises(error, match=expected_text):
        refine_bag(bag, tmp_path / 'refined', replace(QUICK, **lacking), log=lines.append)
    assert not lines
    assert not work_folder(tmp_path / 'refined').exists()


@pytest.mark.parametrize(
    'wrong',
    [
        {'clip': 1},
        {'processes': -1},
        {'path_length_m': -2.0},
        {'max_range_m': float('nan')},
        {'max_pixels': 10},
    ],
)
def test_invalid_settings_are_rejected(wrong):
    with pytest.raises(ConfigError):
        RefineSettings(**wrong)


def test_depth_without_poses(bag, tmp_path):
    facts = refine_bag(bag, tmp_path / 'refined', replace(QUICK, pairs=Pairs.NONE))
    assert (facts.path_length_m, facts.up_from) == (None, None)
    assert facts.scale_source == 'depth'
    assert {path.name for path in (tmp_path / 'refined').iterdir()} == {
        'metadata.yaml',
        'refined.mcap',
        'preview.mp4',
        'report.html',
    }


def test_images_are_decoded_once_within_the_disk_budget(bag, tmp_path, monkeypatch):
    decoded, decode, keep_images = [], frames.FrameDecoder.decode, read.keep_images

    def counted(*message):
        decoded.append(1)
        return decode(*message)

    monkeypatch.setattr(frames.FrameDecoder, 'decode', counted)
    counts, results = [], []
    for budget in (2**30, 0):  # bytes; without any, for reading, prior and writing
        small = ReadOptions(tracking_pixels=48 * 36, max_full_size_bytes=budget)
        monkeypatch.setattr(read, 'keep_images', partial(keep_images, options=small))
        output = tmp_path / str(budget) / 'refined'
        refine_bag(bag, output, replace(QUICK, pairs=Pairs.NONE))
        counts.append(len(decoded))
        results.append(contents(output))
        decoded.clear()
    assert counts == [FRAMES, 3 * FRAMES]
    assert results[0] == results[1]


def test_frames_without_depth_are_left_out_with_a_note(bag, tmp_path):
    with open_bag(bag) as reader, BagWriter(tmp_path / 'late') as late:
        for topic, recorded_ns, message in reader.messages():
            if topic == '/ground_truth/depth/image':
                set_stamp(message.header.stamp, stamp_ns(message.header.stamp) + 400_000_000)
            late.write(topic, recorded_ns, message)
    facts = refine_bag(tmp_path / 'late', tmp_path / 'refined', replace(QUICK, pairs=Pairs.NONE))
    assert (facts.frames, facts.left_out) == (FRAMES - 4, 4)
    assert '4 of 13 frames have no depth' in facts.notes[0]
    with open_bag(bag) as before, open_bag(tmp_path / 'refined') as after:
        (topic,) = (one.name for one in after.topics if one.name.endswith('depth/image'))
        found = [decode_depth(message) for _, _, message in after.messages([topic])]
        truth = [
            decode_depth(message)
            for _, _, message in before.messages(['/ground_truth/depth/image'])
        ]
    np.testing.assert_allclose(np.nanmedian(found[0]), np.nanmedian(truth[0]), rtol=1e-3)


def test_a_cut_gets_a_note(tmp_path):
    rng = np.random.default_rng(0)
    looks = [rng.integers(0, 256, (24, 32, 3), np.uint8) // (1 + 3 * n) for n in range(2)]
    images = DiskArray(tmp_path / 'images', (24, 32, 3), 'uint8')
    with images.writer() as out:
        for n in (0, 0, 0, 0, 1, 1, 1, 1):
            out.append(looks[n])
    sequence = ImageSequence(
        np.arange(8), 'cam', (32, 24), np.full((8, 4), np.nan), images, images, 0, (), (), 'key'
    )
    (note,) = shot_cut_notes(sequence)
    assert 'at frame 4 (' in note
    images.path.write_bytes(images.path.read_bytes()[: 4 * images.record_bytes])
    assert shot_cut_notes(sequence) == ()
