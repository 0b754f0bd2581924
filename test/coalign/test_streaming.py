# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.coalign.streaming import StreamAlignment, coalign_stream
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.synthetic.scenes import render_scene

pytestmark = pytest.mark.slow

FRAMES, WIDTH, HEIGHT = 18, 192, 144


class Recording:
    """A room, and the output of a model: compressed depth, each frame at its own scale."""

    def __init__(self) -> None:
        shot = list(render_scene('studios', 900, FRAMES, WIDTH, HEIGHT, 15.0))
        self.images = np.stack([frame.image for frame in shot])
        self.truth = np.stack([frame.depth_m for frame in shot]).astype(np.float32)
        self.camera: Intrinsics = shot[0].camera
        random = np.random.default_rng(0)
        wobble = np.exp(random.normal(0, 0.15, (FRAMES, 1, 1)))
        self.depth = (wobble * self.truth**0.8).astype(np.float32)


@pytest.fixture(scope='module')
def recording() -> Recording:
    return Recording()


@pytest.fixture(scope='module')
def found(recording) -> StreamAlignment:
    return coalign_stream(recording.images, recording.depth, recording.camera)


def aligned(found: StreamAlignment, depth: np.ndarray) -> np.ndarray:
    return np.stack([found.apply(frame, one) for frame, one in enumerate(depth)])


def log_ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the log of a ratio of depths; NaN in the sky."""
    with np.errstate(invalid='ignore'):
        return np.log(one / other)


def scales(depth: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the scale that fits each frame alone, over their mean."""
    expected = np.exp([np.median(one[np.isfinite(one)]) for one in log_ratio(truth, depth)])
    return expected / expected.mean()


def test_frames_agree_better_and_their_shape_is_better(recording, found):
    after = aligned(found, recording.depth)
    assert found.connected.all()
    before_drift, drift = (
        scales(depth, recording.truth).std() for depth in (recording.depth, after)
    )
    assert drift < 0.3 * before_drift
    errors = []
    for depth in (recording.depth, after):
        log_error = log_ratio(depth, recording.truth)
        errors.append(np.nanmean(np.abs(log_error - np.nanmedian(log_error))))
    assert errors[1] < 0.5 * errors[0]


def test_the_unit_stays_that_of_the_model(recording, found):
    change = log_ratio(aligned(found, recording.depth), recording.depth).ravel()
    known = np.isfinite(change)
    order = np.argsort(change[known])
    near = np.cumsum(1 / recording.depth.ravel()[known][order])
    middle = change[known][order][np.searchsorted(near, near[-1] / 2)]
    assert abs(middle) < 0.02


def test_unknown_and_infinite_depth_stays(recording, found):
    depth = recording.depth[3].copy()
    depth[:] = 2
    depth[:9], depth[9:20] = np.nan, np.inf
    after = found.apply(3, depth)
    assert np.isnan(after[:9]).all()
    assert np.isposinf(after[9:20]).all()
    assert np.isfinite(after[20:]).all()
    assert after.dtype == np.float32


def test_saved_and_loaded_alignments_are_equal(recording, found, tmp_path):
    found.save(tmp_path / 'coalign.npz')
    again = StreamAlignment.load(tmp_path / 'coalign.npz')
    np.testing.assert_array_equal(aligned(again, recording.depth), aligned(found, recording.depth))


def test_runs_are_deterministic_and_report_progress(recording, found):
    shares: list[float] = []
    again = coalign_stream(recording.images, recording.depth, recording.camera, shares.append)
    np.testing.assert_array_equal(again.log_field, found.log_field)
    np.testing.assert_array_equal(again.curve.values, found.curve.values)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_without_tracks_depth_is_unchanged():
    images = np.full((10, 96, 128, 3), 90, np.uint8)
    depth = np.random.default_rng(0).uniform(1, 3, (10, 96, 128)).astype(np.float32)
    found = coalign_stream(images, depth, None)
    assert not found.connected.any()
    np.testing.assert_allclose(aligned(found, depth), depth, rtol=1e-6)


def test_a_single_frame_is_unchanged(recording):
    found = coalign_stream(recording.images[:1], recording.depth[:1], recording.camera)
    np.testing.assert_allclose(found.apply(0, recording.depth[0]), recording.depth[0], rtol=1e-6)


def test_scale_is_not_carried_over_a_cut(recording):
    images = np.concatenate([recording.images[:9], recording.images[9:, ::-1, ::-1]])
    depth = np.concatenate([recording.depth[:9], 3 * recording.depth[9:, ::-1, ::-1]])
    after = aligned(coalign_stream(images, depth, recording.camera), depth)
    change = np.nanmedian(log_ratio(after, depth), axis=(1, 2))
    # Were it carried, the two halves would differ by ln 3 = 1.1; the curve moves each a bit.
    assert np.median(change[9:]) - np.median(change[:9]) == pytest.approx(0, abs=0.3)


def test_true_depth_hardly_changes(recording):
    found = coalign_stream(recording.images, recording.truth, recording.camera)
    change = log_ratio(aligned(found, recording.truth), recording.truth)
    assert np.nanmedian(np.abs(change)) < 0.01
    assert np.nanquantile(np.abs(change), 0.95) < 0.05


def test_another_number_of_depth_maps_is_rejected(recording):
    with pytest.raises(InputError, match='18 images and 17 depth maps'):
        coalign_stream(recording.images, recording.depth[1:], recording.camera)
