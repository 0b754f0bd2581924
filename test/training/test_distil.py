# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training import distil, self_teacher
from training.pseudo_labels import clip_length, source_frames, store_labels
from training.samples import BatchPlan
from training.shards import find_clips
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import InputError
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.importing import import_weights
from videodepth_ros.models.mono import MonoEstimate, PriorKind
from videodepth_ros.results.depth_topics import CONFIDENCE, DEPTH

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, FX = 128, 96, 100.0


class Slope:
    """A teacher for which depth grows up the image; relative or metric."""

    name, notice = 'slope', None

    def __init__(self, kind: PriorKind, focal_px: float | None = None) -> None:
        self.kind, self.focal_px = kind, focal_px

    def estimate(self, frames):
        for _ in frames:
            values = np.linspace(5, 1, 48, dtype=np.float32)[:, None].repeat(64, axis=1)
            if self.kind is PriorKind.RELATIVE_INVERSE:
                values = 7 / values - 3
            yield MonoEstimate(values, self.kind, self.focal_px)

    def close(self) -> None:
        pass


def images(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(count)]


def shots(count: int, camera: Intrinsics | None = None) -> list[Frame]:
    return [Frame(k, 'camera', image, camera) for k, image in enumerate(images(count))]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the fine-tuning one of seconds."""
    torch.set_num_threads(1)
    plans = BatchPlan(2, 1, ((96, 80),)), BatchPlan(1, 2, ((96, 80),))
    phases = tuple(
        replace(phase, batch=plan, steps=2)
        for phase, plan in zip(distil.RECIPE.phases, plans, strict=True)
    )
    monkeypatch.setattr(distil, 'RECIPE', replace(distil.RECIPE, phases=phases))


def test_metric_labels_are_canonical(tmp_path: Path) -> None:
    camera = Intrinsics.centred(WIDTH, HEIGHT, FX)
    teacher = Slope(PriorKind.METRIC)
    assert store_labels(tmp_path, 'site0', shots(3, camera), 2, teacher, None) == 2
    first, last = find_clips(tmp_path)
    assert (len(first.image), len(last.image)) == (2, 1)
    label = np.asarray(first.inverse_depth[0], np.float32)
    assert label[0, 0] == pytest.approx(100 * FX / WIDTH / 5, rel=1e-2)
    assert label[-1, 0] == pytest.approx(100 * FX / WIDTH / 1, rel=1e-2)


def test_metric_labels_need_a_focal_length(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='give --focal'):
        store_labels(tmp_path, 'site0', shots(1), 1, Slope(PriorKind.METRIC), None)
    teacher = Slope(PriorKind.METRIC, focal_px=32.0)
    store_labels(tmp_path, 'site0', shots(1), 1, teacher, None)
    (clip,) = find_clips(tmp_path)
    assert clip.inverse_depth[0, -1, 0] == pytest.approx(50, rel=1e-2)


def test_relative_labels_have_the_median_and_spread_of_the_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = np.linspace(4, 60, 100, dtype=np.float32).reshape(1, 10, 10)
    monkeypatch.setattr('training.pseudo_labels.predict_clip', lambda *_: student)
    store_labels(tmp_path, 'site0', shots(1), 1, Slope(PriorKind.RELATIVE_INVERSE), None)
    (clip,) = find_clips(tmp_path)
    label = np.asarray(clip.inverse_depth, np.float32)
    near, far = label[0, -1, 0], label[0, 0, 0]
    assert near > far > 0
    assert np.median(label) == pytest.approx(np.median(student), rel=0.02)


def test_images_stand_alone_and_videos_are_clips(tmp_path: Path) -> None:
    for k, image in enumerate(images(4)):
        cv2.imwrite(str(tmp_path / f'{k}.png'), image)
    assert clip_length(tmp_path) == 1
    assert clip_length(tmp_path / 'ride.mp4') == 8
    read = list(source_frames(tmp_path, every=3, focal=0.8))
    assert len(read) == 2
    assert read[0].camera is not None
    assert read[0].camera.fx == pytest.approx(0.8 * WIDTH)
    np.testing.assert_array_equal(read[1].image, images(4)[3][..., ::-1])


def test_depth_of_a_recording_teaches(tmp_path: Path, short: None, monkeypatch) -> None:
    """From a bag with depth to weights that `videodepth weights import` takes."""
    bag, camera = tmp_path / 'bag', Intrinsics.centred(WIDTH, HEIGHT, FX)
    with BagWriter(bag) as writer:
        for k, image in enumerate(images(18)):
            stamp_ns = (k + 1) * 10**8
            writer.write_image('/camera/image_raw', stamp_ns, 'camera', image)
            writer.write_camera_info('/camera/camera_info', stamp_ns, 'camera', camera)
            depth_m = np.full((HEIGHT, WIDTH), 2.0, np.float32)
            depth_m[:9] = np.nan
            writer.write_depth('/camera/depth/image', stamp_ns, 'camera', depth_m)
    run = tmp_path / 'run'
    distil.label(run, [bag], 'bag', every=1, focal=None)
    data = distil.site_data(run)
    clips = [*find_clips(data.recorded), *find_clips(data.held_out)]
    assert sorted(len(clip.image) for clip in clips) == [2, 8, 8]
    label = np.asarray(clips[0].inverse_depth, np.float32)
    assert np.isnan(label[:, :9]).all()
    np.testing.assert_allclose(label[:, 9:], 100 * FX / WIDTH / 2, rtol=1e-3)

    distil.rehearse(run, 1)
    before, after = distil.fine_tune(run, distil.RECIPE)
    assert 'abs_rel' in '\n'.join(distil.summary(before, after))
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'store'))
    assert import_weights(run / 'nano.safetensors').name == 'nano'


def test_refined_depth_teaches_where_it_is_sure(tmp_path: Path, monkeypatch) -> None:
    """From a recording, whose third frame was left out by the refinement."""
    bag, camera = tmp_path / 'bag', Intrinsics.centred(WIDTH, HEIGHT, FX)
    with BagWriter(bag) as writer:
        for k, image in enumerate(images(4)):
            writer.write_image('/camera/image_raw', (k + 1) * 10**8, 'camera', image)
            writer.write_camera_info('/camera/camera_info', (k + 1) * 10**8, 'camera', camera)

    def refine(recording: Path, folder: Path, log) -> None:
        with BagWriter(folder) as writer:
            for k in (0, 1, 3):
                header, share = ((k + 1) * 10**8, 'camera'), np.full((HEIGHT, WIDTH), 0.95)
                share[:9] = 0.85
                writer.write_depth(DEPTH, *header, np.full((HEIGHT, WIDTH), k + 1, np.float32))
                writer.write_confidence(CONFIDENCE, *header, share.astype(np.float32))

    monkeypatch.setattr(self_teacher, 'refine_bag', refine)
    run = tmp_path / 'run'
    distil.label(run, [bag], 'refine', every=1, focal=None)
    (clip,) = find_clips(distil.site_data(run).held_out)
    label = np.asarray(clip.inverse_depth, np.float32)
    assert np.isnan(label[:, :9]).all()
    assert np.isnan(label[2]).all()
    for k in (0, 1, 3):
        np.testing.assert_allclose(label[k, 9:], 100 * FX / WIDTH / (k + 1), rtol=1e-3)


def test_sources_without_depth_are_an_error_each_time(tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    with BagWriter(bag) as writer:
        for k, image in enumerate(images(2)):
            header = (k + 1) * 10**8, 'camera'
            writer.write_image('/camera/image_raw', *header, image)
            writer.write_camera_info(
                '/camera/camera_info', *header, Intrinsics.centred(WIDTH, HEIGHT, FX)
            )
            writer.write_depth(
                '/camera/depth/image', *header, np.full((9, 12), np.nan, np.float32)
            )
    for _ in range(2):
        with pytest.raises(InputError, match='knows no depth'):
            distil.label(tmp_path / 'run', [bag], 'bag', every=1, focal=None)


def test_refined_depth_needs_a_recording(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='videodepth import'):
        distil.label(tmp_path / 'run', [tmp_path / 'ride.mp4'], 'refine', every=1, focal=None)


def test_a_network_teaches(tmp_path: Path, short: None, monkeypatch) -> None:
    """A Depth Anything V2 with random weights, and images without a camera."""
    small_priors = pytest.importorskip('test.support.small_priors')
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'store'))
    small_priors.small_depth_anything(tmp_path / 'store/depth-anything-v2-small')
    photos, run = tmp_path / 'photos', tmp_path / 'run'
    photos.mkdir()
    for k, image in enumerate(images(3)):
        cv2.imwrite(str(photos / f'{k}.png'), image)
    distil.label(run, [photos], 'depth-anything-v2-small', every=1, focal=None)
    data = distil.site_data(run)
    assert len(find_clips(data.recorded)) == 2
    assert len(find_clips(data.held_out)) == 1
    assert np.isfinite(find_clips(data.recorded)[0].inverse_depth).all()
