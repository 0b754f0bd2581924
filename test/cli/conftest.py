# SPDX-License-Identifier: Apache-2.0
"""Small bags, and the command line with an engine that returns at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))   # instant_engine

from instant_engine import InstantEngine

from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.cli import main
from videodepth_ros.geometry.camera import Intrinsics

WIDTH, HEIGHT = 160, 128
CAMERA = Intrinsics(WIDTH, HEIGHT, 128.0, 128.0, 79.5, 63.5)
START_NS, PERIOD_NS = 10 ** 9, 50_000_000
NEAR_M, FAR_M = 1.6, 4.0   # of the instant engine: 100 fx / (width v) for this camera


def truth_m() -> np.ndarray:
    """Return the depth that the instant engine sees, exactly, at the size of the image."""
    depth_m = np.full((HEIGHT, WIDTH), FAR_M, np.float32)
    depth_m[HEIGHT // 4:HEIGHT // 2, WIDTH // 4:WIDTH // 2] = NEAR_M
    return depth_m


def write_scene(path: Path, frames: int = 5, scale: float = 1.0) -> Path:
    """Write a bag with a camera that moves along x, and its truth times ``scale``."""
    rng = np.random.default_rng(0)
    with BagWriter(path) as bag:
        for k in range(frames):
            stamp_ns, T_map_cam = START_NS + k * PERIOD_NS, np.eye(4)
            T_map_cam[0, 3] = 0.1 * k
            image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            bag.write_image('camera/image_raw', stamp_ns, 'optical', image)
            bag.write_camera_info('camera/camera_info', stamp_ns, 'optical', CAMERA)
            bag.write_depth('ground_truth/depth/image', stamp_ns, 'optical', truth_m() * scale)
            bag.write_pose('ground_truth/pose', stamp_ns, 'map', T_map_cam)
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / 'scene')


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[InstantEngine]:
    """Have every engine opened at once; the list holds those that were."""
    engines: list[InstantEngine] = []

    def open_engine(model: str, engine: str, width: int, height: int) -> InstantEngine:
        engines.append(InstantEngine(width, height))
        return engines[-1]

    monkeypatch.setattr('videodepth_ros.engines.open.open_engine', open_engine)
    monkeypatch.setattr('videodepth_ros.models.catalogue.weights_path', lambda card: tmp_path)
    return engines


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, Any]]:
    """Run a command and return its exit code and what it wrote with --json."""
    def run_command(*arguments: object) -> tuple[int, Any]:
        facts = tmp_path / 'facts.json'
        code = main([str(argument) for argument in arguments] + ['--json', str(facts)])
        return code, json.loads(facts.read_text())
    return run_command
