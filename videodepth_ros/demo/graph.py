# SPDX-License-Identifier: Apache-2.0
"""A live node, a camera and a recorder as processes of their own, in a ROS graph of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from videodepth_ros.core.errors import VideoDepthError

NAMESPACE = '/videodepth'
CAMERA = '/camera'
ANSWER_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 10.0
LIVE_NODE = 'import sys; from videodepth_ros.nodes.live_node import main; sys.exit(main())'


@dataclass(frozen=True)
class Heard:
    """Messages of one topic as the recorder got them: stamps, and age on arrival."""

    stamp_ns: tuple[int, ...]
    age_ms: tuple[float, ...]

    def ages_since(self, start_ns: int) -> list[float]:
        """Return the ages of the messages that are stamped ``start_ns`` or later."""
        return [
            age_ms
            for stamp_ns, age_ms in zip(self.stamp_ns, self.age_ms, strict=True)
            if stamp_ns >= start_ns
        ]


@dataclass(frozen=True)
class LiveRun:
    """What happened in the graph.

    frames     images played; ``warm_up`` of the same image went before, until there was depth
    started_ns first stamp after the warm-up
    offset_ns  stamp of a live message minus that of the same one in the sample
    late_ms    the most by which the camera was late
    depth, points  what the recorder heard
    status     the last status of the node, by field
    """

    frames: int
    warm_up: int
    started_ns: int
    offset_ns: int
    late_ms: float
    depth: Heard
    points: Heard
    status: tuple[tuple[str, Any], ...]

    def depth_ages_ms(self) -> list[float]:
        """Return the age of each depth on arrival, without the warm-up."""
        return self.depth.ages_since(self.started_ns)


class Process:
    """A program that runs as long as the ``with`` block, and tells its log."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self._log = log
        with log.open('w') as output:
            self._child = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
            try:
                self._child.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()

    def check_alive(self) -> None:
        """Raise VideoDepthError with the end of the log if the program has ended."""
        if self._child.poll() is not None:
            raise VideoDepthError(
                f'{self._log.stem} ended with {self._child.returncode}: {self.last_words()}'
            )

    def wait(self, timeout_s: float, *others: Process) -> None:
        """Wait until the program has done its work; ``others`` must live meanwhile.

        raises  VideoDepthError with the end of the log if it fails or takes too long
        """
        deadline_s = time.monotonic() + timeout_s
        while self._child.poll() is None:
            for other in others:
                other.check_alive()
            if time.monotonic() > deadline_s:
                raise VideoDepthError(
                    f'{self._log.stem} did not end within {timeout_s:g} s: {self.last_words()}'
                )
            time.sleep(0.05)
        if self._child.returncode:
            raise VideoDepthError(
                f'{self._log.stem} ended with {self._child.returncode}: {self.last_words()}'
            )

    def last_words(self) -> str:
        """Return the last line of the log."""
        return (self._log.read_text().strip().splitlines() or ['nothing was said'])[-1]


def play_live(
    sample: Path, recording: Path, logs: Path, seconds: float, model: str, engine: str
) -> LiveRun:
    """Play the camera of a bag through a live node and record what it makes of it.

    sample     bag with a camera below /camera
    recording  folder of the bag to write
    raises     VideoDepthError if a process fails, with what it said last
    """
    environment = {
        **os.environ,
        'ROS_DOMAIN_ID': str(60 + os.getpid() % 40),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }
    facts = logs / 'recorder.json'
    remap = [
        '--ros-args',
        '-r',
        f'__ns:={NAMESPACE}',
        '-r',
        f'image:={CAMERA}/image_raw',
        '-r',
        f'camera_info:={CAMERA}/camera_info',
        '-p',
        f'model:={model}',
        '-p',
        f'engine:={engine}',
    ]

    def start(name: str, *arguments: str) -> Process:
        return stack.enter_context(
            Process([sys.executable, *arguments], logs / f'{name}.log', environment)
        )

    with ExitStack() as stack:
        node = start('live_node', '-c', LIVE_NODE, *remap)
        recorder = start(
            'recorder',
            '-m',
            'videodepth_ros.demo.recorder',
            str(recording),
            str(facts),
            '--namespace',
            NAMESPACE,
            '--camera-info',
            f'{CAMERA}/camera_info',
        )
        player = start(
            'player',
            '-m',
            'videodepth_ros.demo.player',
            str(sample),
            '--namespace',
            CAMERA,
            '--timeout-s',
            str(ANSWER_TIMEOUT_S),
        )
        player.wait(ANSWER_TIMEOUT_S + 3 * seconds + 30, node, recorder)
        recorder.wait(60, node)
        node.check_alive()
    return _live_run(json.loads(player.last_words()), json.loads(facts.read_text()))


def _live_run(played: dict[str, Any], recorded: dict[str, Any]) -> LiveRun:
    def heard(name: str) -> Heard:
        topic = recorded['topics'][f'{NAMESPACE}/{name}']
        return Heard(tuple(topic['stamp_ns']), tuple(topic['age_ms']))

    return LiveRun(
        **played,
        depth=heard('depth/image'),
        points=heard('depth/points'),
        status=tuple(recorded['status'].items()),
    )
