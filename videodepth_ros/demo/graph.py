# SPDX-License-Identifier: Apache-2.0
"""A ROS graph of three processes: live node, camera and recorder."""

from __future__ import annotations

import json
import os
import shlex
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
START_TIMEOUT_S = 180.0  # to the first depth; an engine may have to be built [s]
STOP_TIMEOUT_S = 10.0  # from SIGINT to SIGKILL [s]
RECORDER_TIMEOUT_S = 60.0  # from the end of the camera to the end of the recorder [s]
PLAYER_MARGIN_S = 30.0  # of the camera, beyond three times the length of the sample [s]
LIVE_NODE = 'import sys; from videodepth_ros.nodes.live_node import main; sys.exit(main())'


@dataclass(frozen=True)
class ReceivedMessages:
    """Messages of one topic in the recorder: stamps, and ages on arrival."""

    stamp_ns: tuple[int, ...]
    age_ms: tuple[float, ...]

    def ages_since(self, start_ns: int) -> list[float]:
        """Return the ages of the messages with a stamp of ``start_ns`` or later."""
        return [
            age_ms
            for stamp_ns, age_ms in zip(self.stamp_ns, self.age_ms, strict=True)
            if stamp_ns >= start_ns
        ]


@dataclass(frozen=True)
class LiveRun:
    """Results of one run.

    frames      images played, without the ``warm_up`` copies of the first image before them
    started_ns  first stamp after the warm-up
    offset_ns   stamp of a live message minus its stamp in the sample
    late_ms     maximum delay of the camera
    status      last status of the node, by field
    """

    frames: int
    warm_up: int
    started_ns: int
    offset_ns: int
    late_ms: float
    depth: ReceivedMessages
    points: ReceivedMessages
    status: tuple[tuple[str, Any], ...]

    def depth_ages_ms(self) -> list[float]:
        """Return the ages of depth images on arrival, without the warm-up."""
        return self.depth.ages_since(self.started_ns)


class Process:
    """A program that runs during a ``with`` block, with a log file."""

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
        """Raise VideoDepthError with the last line of the log if the program has ended."""
        if self._child.poll() is not None:
            raise VideoDepthError(
                f'{self._log.stem} ended with {self._child.returncode}: {self.last_line()}'
            )

    def wait(self, timeout_s: float, *others: Process) -> None:
        """Wait for the end of the program while ``others`` run.

        Raise VideoDepthError with the last line of the log if one fails or at the timeout.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._child.poll() is None:
            for other in others:
                other.check_alive()
            if time.monotonic() > deadline_s:
                raise VideoDepthError(
                    f'{self._log.stem} did not end within {timeout_s:g} s: {self.last_line()}'
                )
            time.sleep(0.05)
        if self._child.returncode:
            raise VideoDepthError(
                f'{self._log.stem} ended with {self._child.returncode}: {self.last_line()}'
            )

    def last_line(self) -> str:
        """Return the last line of the log."""
        return (self._log.read_text().strip().splitlines() or ['the log is empty'])[-1]


def play_live(
    sample: Path, recording: Path, logs: Path, seconds: float, model: str, engine: str
) -> LiveRun:
    """Play the camera of a bag through a live node and record its outputs.

    sample     bag with a camera below /camera
    recording  folder of the bag to write

    Raise VideoDepthError with the last line of its log if a process fails.
    """
    environment = {
        **os.environ,
        'ROS_DOMAIN_ID': str(60 + os.getpid() % 40),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }
    summary = logs / 'recorder.json'

    def start(name: str, command: str) -> Process:
        words = [sys.executable, *shlex.split(command)]
        return stack.enter_context(Process(words, logs / f'{name}.log', environment))

    with ExitStack() as stack:
        node = start(
            'live_node',
            f'-c {shlex.quote(LIVE_NODE)} --ros-args -r __ns:={NAMESPACE} '
            f'-r image:={CAMERA}/image_raw -r camera_info:={CAMERA}/camera_info '
            f'-p model:={model} -p engine:={engine}',
        )
        recorder = start(
            'recorder',
            f'-m videodepth_ros.demo.recorder {shlex.quote(str(recording))} '
            f'{shlex.quote(str(summary))} --namespace {NAMESPACE} '
            f'--camera-info {CAMERA}/camera_info',
        )
        player = start(
            'player',
            f'-m videodepth_ros.demo.player {shlex.quote(str(sample))} --namespace {CAMERA} '
            f'--timeout-s {START_TIMEOUT_S}',
        )
        player.wait(START_TIMEOUT_S + 3 * seconds + PLAYER_MARGIN_S, node, recorder)
        recorder.wait(RECORDER_TIMEOUT_S, node)
        node.check_alive()
    return _live_run(json.loads(player.last_line()), json.loads(summary.read_text()))


def _live_run(played: dict[str, Any], recorded: dict[str, Any]) -> LiveRun:
    def received(name: str) -> ReceivedMessages:
        topic = recorded['topics'][f'{NAMESPACE}/{name}']
        return ReceivedMessages(tuple(topic['stamp_ns']), tuple(topic['age_ms']))

    return LiveRun(
        **played,
        depth=received('depth/image'),
        points=received('depth/points'),
        status=tuple(recorded['status'].items()),
    )
