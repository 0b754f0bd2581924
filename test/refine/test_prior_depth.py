# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import numpy as np
import pytest

from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.mono import MonoEstimate, PriorKind
from videodepth_ros.refine.options import PriorOptions
from videodepth_ros.refine.prior_depth import (
    PriorDepth,
    estimate_prior_depth,
    evict_cache,
    resize_estimate,
)

SIZE = (8, 6)
FRAMES = [Frame(n, 'camera', np.full((12, 16, 3), n, np.uint8)) for n in range(5)]


class ScriptedPrior:
    """A prior that values_ofs what it is told to, and remembers the frames."""

    name, notice = 'scripted', None

    def __init__(self, values_of):
        self.values_of, self.stamps_ns = values_of, []

    def estimate(self, frames):
        for frame in frames:
            self.stamps_ns.append(frame.stamp_ns)
            yield self.values_of(frame.stamp_ns)

    def close(self):
        pass


def metric(n, focal_px=None):
    depth = np.full((3, 4), 1 + n, np.float32)
    return MonoEstimate(depth, PriorKind.METRIC, focal_px, ScaleSource.INTRINSICS)


def kept(tmp_path, values_of, **how):
    into, prior = PriorDepth.at(tmp_path / 'told', SIZE), ScriptedPrior(values_of)
    estimate_prior_depth(FRAMES, prior, into, lambda: None, resume=how.pop('resume', False), **how)
    return into, prior


def test_metric_depth_is_kept_as_it_is(tmp_path):
    into, _ = kept(tmp_path, metric)
    depth = into.to_depth(tmp_path / 'depth').array
    assert depth == into.values
    assert depth.open().shape == (5, 6, 8)
    np.testing.assert_allclose(depth.open()[:, 2, 3], [1, 2, 3, 4, 5], rtol=1e-6)
    assert (into.kind, into.scale_source, into.focal_px) == (
        PriorKind.METRIC,
        ScaleSource.INTRINSICS,
        None,
    )


def test_one_focal_length_holds_for_all_frames(tmp_path):
    into, _ = kept(tmp_path, lambda n: metric(0, focal_px=4.0 if n < 3 else 8.0))
    assert into.focal_px == 8.0  # of the width 8, twice that of the estimate
    np.testing.assert_allclose(
        into.to_depth(tmp_path / 'depth').array.open()[:, 0, 0], [1, 1, 1, 0.5, 0.5]
    )


def test_relative_inverse_depth_becomes_depth_in_a_unit_of_each_frame(tmp_path):
    values = np.array([[4, 2], [1, 0]], np.float32).repeat(3, 0).repeat(4, 1)
    into, _ = kept(tmp_path, lambda n: MonoEstimate((n + 1) * values, PriorKind.RELATIVE_INVERSE))
    depth = into.to_depth(tmp_path / 'depth').array.open()
    assert into.scale_source is None
    for one in depth:
        np.testing.assert_allclose(one[[0, 0, 5], [0, 7, 0]], [1.5 / 4, 1.5 / 2, 1.5])
        assert one[5, 7] == np.inf


def test_a_killed_job_continues_after_its_last_frame(tmp_path):
    for name in 'ab':
        (tmp_path / name).mkdir()
    whole, _ = kept(tmp_path / 'a', metric)
    for suffix, records in (('.values', 2), ('.metadata', 3)):  # one file was ahead
        array = whole.values if suffix == '.values' else whole.metadata
        part = tmp_path / 'b' / f'told{suffix}.part'
        part.write_bytes(array.path.read_bytes()[: records * array.record_bytes])
    again, prior = kept(tmp_path / 'b', metric, resume=True)
    assert prior.stamps_ns == [2, 3, 4]
    assert again.values.path.read_bytes() == whole.values.path.read_bytes()
    assert again.metadata.path.read_bytes() == whole.metadata.path.read_bytes()


@pytest.mark.parametrize('size', [(4, 3), (8, 6), (16, 12)])
def test_resizing_makes_no_depth_between_two_surfaces(size):
    values = np.where(np.arange(8) < 4, 1, 9).astype(np.float32)[None].repeat(6, 0)
    found = resize_estimate(MonoEstimate(values, PriorKind.METRIC), *size)
    assert found.shape == size[::-1]
    assert set(np.unique(found[np.isfinite(found)])) == {1, 9}


def test_the_least_recently_used_files_are_evicted(tmp_path):
    for age_s, name in enumerate(('new', 'middle', 'old')):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (10**9 - age_s, 10**9 - age_s))
    evict_cache(tmp_path, PriorOptions(max_cache_bytes=20))
    assert {file.name for file in tmp_path.iterdir()} == {'new', 'middle'}


def test_recent_files_are_not_evicted(tmp_path):
    for name in ('mine.values', 'mine.metadata', 'of_another_job.values.part'):
        (tmp_path / name).write_bytes(bytes(10))
    evict_cache(tmp_path, PriorOptions(max_cache_bytes=5))
    assert len(list(tmp_path.iterdir())) == 3
