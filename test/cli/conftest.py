# SPDX-License-Identifier: Apache-2.0
"""Small bags, and the command line with an engine that returns at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from test.support.instant_engine import InstantEngine
from test.support.small_bag import write_scene
from videodepth_ros.cli import main


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / 'scene')


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[InstantEngine]:
    """Have every engine opened at once; the list holds those that were."""
    engines: list[InstantEngine] = []

    def open_engine(
        model: str, engine: str, width: int, height: int, *, threads: int = 0
    ) -> InstantEngine:
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
