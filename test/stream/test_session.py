# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from test.support.instant_engine import FAR_M, NEAR_M, InstantEngine
from videodepth_ros.core.errors import DeviceError, InputError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics
from videodepth_ros.models.catalogue import InverseDepthUnit, card
from videodepth_ros.stream.motion_stereo import Correction
from videodepth_ros.stream.session import DepthSession, ResetReason, SessionSettings

CARD = replace(
    card('nano'), unit=InverseDepthUnit.NOMINAL, patch=16, min_size_px=16, max_pixels=160 * 128
)
CAMERA = Intrinsics(320, 256, 300.0, 300.0, 159.5, 127.5)
PERIOD_NS = 33_000_000


class Bench:
    """A session whose engines can be looked at."""

    def __init__(self, settings: SessionSettings | None = None) -> None:
        self.engines: list[InstantEngine] = []
        self.session = DepthSession(CARD, self.open, settings or SessionSettings())

    def open(self, width: int, height: int) -> InstantEngine:
        self.engines.append(InstantEngine(width, height))
        return self.engines[-1]

    def step(
        self,
        k: int,
        *,
        frame_id: str = 'camera',
        size: tuple[int, int] = (320, 256),
        camera: Intrinsics | None = CAMERA,
    ):
        image = np.zeros((size[1], size[0], 3), np.uint8)
        return self.session.step(Frame(10**18 + k * PERIOD_NS, frame_id, image, camera))

    @property
    def states(self) -> list[int]:
        return self.engines[-1].seen


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_state_goes_from_frame_to_frame(bench):
    assert [bench.step(k).reset for k in range(4)] == [None] * 4
    assert bench.states == [0, 1, 2, 3]
    assert len(bench.engines) == 1


def test_depth_has_the_header_of_its_image_and_the_size_of_the_camera(bench):
    depth = bench.step(5).depth
    assert (depth.stamp_ns, depth.frame_id) == (10**18 + 5 * PERIOD_NS, 'camera')
    assert depth.depth_m.shape == depth.confidence.shape == (256, 320)
    assert depth.depth_m.dtype == depth.confidence.dtype == np.float32
    assert depth.camera == CAMERA
    assert depth.scale_source is ScaleSource.MODEL
    assert {round(float(z), 3) for z in np.unique(depth.depth_m)} == {NEAR_M, FAR_M}


def test_depth_may_have_the_size_of_the_network():
    bench = Bench(SessionSettings(output='network'))
    depth = bench.step(0).depth
    assert depth.depth_m.shape == (128, 160)
    assert depth.camera == CAMERA.scaled_to(160, 128)
    assert bench.step(1, camera=None).depth.camera is None


@pytest.mark.parametrize(
    ('reason', 'next_frame'),
    [
        (ResetReason.TIME_BACK, {'k': 1}),
        (ResetReason.GAP, {'k': 100}),
        (ResetReason.SIZE, {'k': 4, 'size': (256, 320), 'camera': None}),
        (ResetReason.FRAME_ID, {'k': 4, 'frame_id': 'another'}),
    ],
)
def test_a_frame_that_does_not_follow_starts_afresh(bench, reason, next_frame):
    for k in range(4):
        bench.step(k)
    assert bench.step(**next_frame).reset is reason
    assert bench.states[-1] == 0
    follower = {**next_frame, 'k': next_frame['k'] + 1}
    assert bench.step(**follower).reset is None
    assert bench.states[-1] == 1


@pytest.mark.parametrize('reason', [ResetReason.REQUESTED, ResetReason.CLOCK_JUMP])
def test_a_reset_on_request(bench, reason):
    bench.session.request_reset(reason)  # of nothing is none
    assert bench.step(0).reset is None
    bench.session.request_reset(reason)
    bench.session.request_reset(reason)
    assert [bench.step(k).reset for k in (1, 2)] == [reason, None]
    assert bench.states == [0, 0, 1]


def test_the_gap_is_a_setting(bench):
    bench.step(0)
    bench.session.settings = SessionSettings(max_gap_s=10)
    assert bench.step(100).reset is None


def test_another_size_takes_another_engine_unless_the_network_stays_the_same(bench):
    bench.step(0)
    assert bench.session.is_open_for(320, 256)
    assert bench.step(1, size=(640, 512), camera=None).reset is ResetReason.SIZE
    assert len(bench.engines) == 1
    bench.step(2, size=(256, 320), camera=None)
    assert [engine.closed for engine in bench.engines] == [True, False]
    assert (bench.session.spec.width, bench.session.spec.height) == (128, 160)


def test_a_repeated_stamp_is_refused_and_leaves_the_stream_as_it_was(bench):
    bench.step(0)
    with pytest.raises(InputError, match=r'stamp 1000000000\.000'):
        bench.step(0)
    assert bench.step(1).reset is None
    assert bench.states == [0, 1]


def test_a_network_that_answers_nan_is_reset(bench):
    bench.step(0)
    good = bench.engines[0].answer
    bench.engines[0].answer = np.where(good > 30, np.float32(np.nan), good)
    with pytest.raises(InputError, match='NaN'):
        bench.step(1)
    bench.engines[0].answer = good
    assert bench.step(2).reset is ResetReason.NOT_FINITE
    assert bench.states == [0, 1, 0]


def test_a_device_error_is_passed_on(bench):
    bench.step(0)
    bench.engines[0].error = DeviceError('the device is gone')
    with pytest.raises(DeviceError):
        bench.step(1)


def test_an_image_too_small_for_the_network_is_refused(bench):
    session = DepthSession(replace(CARD, min_size_px=80), bench.open, SessionSettings())
    with pytest.raises(InputError, match='32x32'):
        session.step(Frame(1, 'camera', np.zeros((20, 20, 3), np.uint8)))


def test_beyond_the_range_nothing_was_hit():
    depth = Bench(SessionSettings(max_range_m=3.0)).step(0).depth
    assert set(np.unique(depth.depth_m)) == {NEAR_M, np.inf}


def test_the_factor_scales_every_depth():
    depth = Bench(SessionSettings(scale_factor=2.0)).step(0).depth
    assert {round(float(z), 3) for z in np.unique(depth.depth_m)} == {2 * NEAR_M, 2 * FAR_M}


def test_confidence_can_be_left_out(bench):
    assert bench.step(0).depth.confidence is not None
    frame = Frame(10**18 + PERIOD_NS, 'camera', np.zeros((256, 320, 3), np.uint8))
    assert bench.session.step(frame, with_confidence=False).depth.confidence is None


def test_close_frees_the_engine_and_ends_the_stream(bench):
    bench.step(0)
    bench.session.close()
    assert bench.engines[0].closed
    assert bench.session.spec is None
    assert bench.step(1).reset is None
    assert bench.states == [0]


class Correcting:
    """Doubles the right half, and says how often it was asked to begin anew."""

    def __init__(self) -> None:
        self.restarts = 0

    def correct(self, frame, depth_m, motion_stereo):
        factor = np.ones_like(depth_m)
        factor[:, depth_m.shape[1] // 2 :] = 2
        return Correction(factor)

    def restart(self) -> None:
        self.restarts += 1


@pytest.mark.parametrize('output', ['camera', 'network'])
def test_the_image_guides_edges_where_that_is_wanted(output):
    image = np.random.default_rng(0).integers(0, 256, (256, 320, 3)).astype(np.uint8)
    frame = Frame(10**18, 'camera', image, CAMERA)
    plain, guided = (
        Bench(SessionSettings(output=output, guided=guided)).session.step(frame).depth
        for guided in (False, True)
    )
    assert guided.depth_m.shape == plain.depth_m.shape
    assert not np.array_equal(guided.depth_m, plain.depth_m, equal_nan=True)


@pytest.mark.parametrize('wanted', [True, False])
def test_depth_is_steadied_where_it_is_wanted(wanted):
    plain, bench = Bench(), Bench(SessionSettings(steady=wanted))
    bench.session._temporal = Correcting()
    before, after = plain.step(0).depth.depth_m, bench.step(0).depth.depth_m
    known = np.isfinite(before) & np.isfinite(after)
    known[:, 150:170] = False  # between both halves it is interpolated
    ratio = np.where(known, after / before, np.nan)
    np.testing.assert_allclose(np.nanmean(ratio[:, :150]), 1, rtol=1e-5)
    np.testing.assert_allclose(np.nanmean(ratio[:, 170:]), 2 if wanted else 1, rtol=1e-5)


def test_a_break_in_the_stream_begins_its_steadying_anew():
    bench = Bench(SessionSettings(steady=True))
    bench.session._temporal = Correcting()
    counted = []
    for k in (0, 1, 2, 100):
        bench.step(k)
        counted.append(bench.session._temporal.restarts)
    assert counted == [1, 1, 1, 2]


@pytest.mark.parametrize('wanted', [True, False])
def test_stereo_is_asked_for_where_it_is_wanted(wanted):
    asked = []

    class Asked(Correcting):
        def correct(self, frame, depth_m, motion_stereo):
            asked.append(motion_stereo)
            return super().correct(frame, depth_m, motion_stereo)

    bench = Bench(SessionSettings(steady=True, motion_stereo=wanted))
    bench.session._temporal = Asked()
    bench.step(0)
    assert asked == [wanted]


@pytest.mark.parametrize('steady', [True, False])
def test_a_new_factor_and_a_calibration_that_comes_late_hold_at_once(steady):
    """The corners that keep a stream steady keep no scale that was the operator's or a guess."""
    card = replace(CARD, unit=InverseDepthUnit.CANONICAL)
    session = DepthSession(card, InstantEngine, SessionSettings(steady=steady))
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    image = cv2.resize(noise, (320, 256))

    def farthest_m(k: int, camera: Intrinsics | None) -> float:
        return float(session.step(Frame(k * PERIOD_NS, '', image, camera)).depth.depth_m.max())

    guessed_m = [farthest_m(k, None) for k in range(3)]
    assert guessed_m == pytest.approx([FAR_M * DEFAULT_FOCAL_LENGTH_FACTOR] * 3, rel=0.01)
    known_m = [farthest_m(k, CAMERA) for k in range(3, 6)]
    assert known_m == pytest.approx([FAR_M * CAMERA.fx / CAMERA.width] * 3, rel=0.01)
    session.settings = replace(session.settings, scale_factor=3.0)
    assert farthest_m(6, CAMERA) == pytest.approx(3 * known_m[-1], rel=0.01)
