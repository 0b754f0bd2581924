# SPDX-License-Identifier: Apache-2.0
"""A lens that is calibrated from the recording: its images are rectified before the rest."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from videodepth_ros.bags.camera_topics import NO_CAMERA_INFO
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.job import refine_bag
from videodepth_ros.refine.rectification import rectify_frames
from videodepth_ros.refine.settings import Intrinsics as IntrinsicsOption
from videodepth_ros.refine.settings import RefineSettings
from videodepth_ros.refine.stages import calibrate
from videodepth_ros.sfm.lens import Lens

WIDTH, HEIGHT = 96, 72
CAMERA = Intrinsics(WIDTH, HEIGHT, 80.0, 80.0, 49.0, 35.5)
LENS = Lens(CAMERA, (47.5, 35.5), (0.2, -0.05), (1.0, 0.02, 0.01, 0.5, 0.5))
SETTINGS = RefineSettings(camera_info_topic=NO_CAMERA_INFO, processes=1, stereo=False)


def grid_of(points: np.ndarray) -> np.ndarray:
    """Return an image with a bright blob at each of the points (P, 2)."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for x, y in points:
        cv2.circle(image, (round(16 * x), round(16 * y)), 24, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return image


def test_points_of_a_distorted_image_are_where_the_pinhole_sees_them():
    x, y = np.meshgrid([-0.4, -0.15, 0.15, 0.4], [-0.3, 0.0, 0.3])
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    K = np.array([[80.0, 0, 47.5], [0, 80, 35.5], [0, 0, 1]])
    raw, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), K, np.array([0.2, -0.05, 0, 0]))
    ideal = rays @ K.T
    frame = Frame(1, 'cam', grid_of(raw[:, 0]), None)
    (found,) = rectify_frames([frame], LENS)
    assert found.camera == CAMERA
    error = np.abs(found.image.astype(int) - grid_of(ideal[:, :2] / ideal[:, 2:])).mean()
    moved = np.abs(frame.image.astype(int) - grid_of(ideal[:, :2] / ideal[:, 2:])).mean()
    assert error < 0.4 * moved


@pytest.fixture
def recording(tmp_path, monkeypatch):
    make_sample(str(tmp_path / 'scene'), 'studios', 5, 0.6, 10.0, (WIDTH, HEIGHT))
    calls = []

    def found(images, depth, camera):
        calls.append(camera)
        return LENS

    monkeypatch.setattr(calibrate, 'calibrate_lens', found)
    return tmp_path / 'scene', calls


def test_a_recording_without_camera_info_is_rectified_by_its_own_lens(recording, tmp_path):
    bag, calls = recording
    reports = []
    asked = replace(SETTINGS, intrinsics=IntrinsicsOption.REFINE)
    facts = refine_bag(bag, tmp_path / 'out', asked, report=reports.append)
    assert len(calls) == 1
    assert all(one.done <= one.items for one in reports)  # also where stages are repeated
    assert reports[-1].fraction == pytest.approx(1.0)
    assert [name for name, _, _ in facts.lens] == ['fx', 'k1', 'k2', 'cx', 'cy']
    assert any('images are rectified by it' in note for note in facts.notes)
    assert any('as --intrinsics refine asks: the focal length' in note for note in facts.notes)
    assert facts.focal_sigma_px is not None
    with open_bag(tmp_path / 'out') as written:
        (name,) = (one.name for one in written.topics if one.name.endswith('depth/camera_info'))
        _, _, info = next(written.messages([name]))
    assert info.k[2] == pytest.approx(CAMERA.cx)
    assert info.k[0] == pytest.approx(facts.focal_px)
    assert not np.any(info.d)


def test_a_lens_is_calibrated_on_demand_only(recording, tmp_path):
    bag, calls = recording
    assert refine_bag(bag, tmp_path / 'out', SETTINGS).lens == ()
    assert calls == []


def test_a_stated_camera_and_measured_depth_are_left_as_they_are(recording, tmp_path):
    bag, calls = recording
    stated = replace(SETTINGS, camera_info_topic=None)
    assert refine_bag(bag, tmp_path / 'stated', stated).lens == ()
    measured = replace(
        SETTINGS,
        intrinsics=IntrinsicsOption.REFINE,
        prior='bag',
        depth_topic='/ground_truth/depth/image',
    )
    assert refine_bag(bag, tmp_path / 'measured', measured).lens == ()
    assert calls == []
