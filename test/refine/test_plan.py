# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from videodepth_ros.alignment.pair_graph import build_pair_graph
from videodepth_ros.bags.output_options import (
    OUTPUT,
    Compression,
    ConfidenceEncoding,
    DepthEncoding,
)
from videodepth_ros.refine.plan import JobPlan, stored_bytes
from videodepth_ros.refine.settings import Method


def plan(
    frames, camera, working, processes=1, *, poses=True, aligns=True, stereo=False, prior='nano'
):
    return JobPlan(
        frames,
        camera,
        working,
        frames / 10,
        Method.ALIGN3R,
        prior,
        build_pair_graph(frames) if poses else None,
        aligns,
        stereo,
        processes,
    )


@pytest.mark.parametrize(
    ('job', 'measured_mb'),
    [
        ((40, (1920, 1080), (369, 207)), 615),
        ((40, (1920, 1080), (369, 207), 2), 722),
        ((12, (320, 240), (320, 240)), 351),
    ],
)
def test_memory_is_about_what_was_measured(job, measured_mb):
    """The sum of the proportional set sizes of all processes, at its peak."""
    assert plan(*job).memory_mb == pytest.approx(measured_mb, rel=0.25)


def test_more_processes_than_clips_take_no_more():
    assert (
        plan(12, (320, 240), (320, 240), 64).memory_mb
        == plan(12, (320, 240), (320, 240)).memory_mb
    )


def test_the_plan_lists_frames_pairs_and_cost():
    line = str(plan(40, (640, 480), (320, 240)))
    assert '40 frames of 640x480' in line
    assert '4 keyframes, 4 clips' in line
    assert '1 keyframe, 1 clip,' in str(plan(5, (64, 48), (64, 48)))
    assert 'beside the networks' not in line
    assert 'beside the networks' in str(plan(40, (640, 480), (320, 240), prior='depth-pro'))
    assert 'no poses' in str(plan(40, (640, 480), (320, 240), poses=False))


def test_stereo_and_bundle_adjustment_replace_the_alignment():
    with_stereo = plan(40, (640, 480), (320, 240), aligns=False, stereo=True)
    assert 'poses by bundle adjustment, depth by stereo' in str(with_stereo)
    assert [stage.name for stage in with_stereo.stages()] == [
        'read',
        'prior',
        'track',
        'stereo',
        'write',
    ]


def test_disk_space_includes_the_results_and_is_about_what_was_measured():
    """The peak of work folder and results of 30 frames, in steps of .1 s."""
    small = replace(
        plan(30, (320, 240), (320, 240), aligns=False, stereo=True),
        bytes_per_pixel=stored_bytes(OUTPUT),
    )
    assert small.disk_mb == pytest.approx(63.3, rel=0.25)
    assert small.results_mb == pytest.approx(18.2, rel=0.25)
    assert f'{small.disk_mb:.0f} MB on disk ({small.results_mb:.0f} MB of results)' in str(small)


@pytest.mark.parametrize(
    'smaller',
    [
        {'confidence': False},
        {'confidence_encoding': ConfidenceEncoding.BYTE},
        {'depth_encoding': DepthEncoding.MILLIMETRES},
        {'depth_encoding': DepthEncoding.COMPRESSED},
    ],
)
def test_other_encodings_take_less_and_no_compression_more(smaller):
    assert stored_bytes(replace(OUTPUT, **smaller)) < stored_bytes(OUTPUT)
    assert stored_bytes(replace(OUTPUT, compression=Compression.NONE)) == 8
    assert stored_bytes(replace(OUTPUT, points=True)) > stored_bytes(OUTPUT)


def test_copied_topics_are_part_of_the_results():
    one = plan(10, (320, 240), (320, 240))
    assert replace(one, copied_bytes=10**9).results_mb == pytest.approx(one.results_mb + 1000)
