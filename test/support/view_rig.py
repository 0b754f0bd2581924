# SPDX-License-Identifier: Apache-2.0
"""The server of the page in a thread, and a source whose frames are made up."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.view.options import ServerOptions, ViewOptions
from videodepth_ros.view.packets import unpack
from videodepth_ros.view.server import ViewServer
from videodepth_ros.view.source import ViewFrame

WIDTH, HEIGHT = 64, 48
CAMERA = Intrinsics(WIDTH, HEIGHT, 50.0, 50.0, 31.5, 23.5)


class MadeUpSource:
    """A live source: frame n is a plane at 1 + n metres, with an image of grey level n."""

    def __init__(self) -> None:
        self.number, self.shown = -1, frozenset[str]()
        self.values: dict[str, Any] = {}
        self.reads = 0
        self.resets = 0
        self.is_broken = False
        self._status: dict[str, Any] = {'state': 'running', 'warnings': []}
        self.notify: Callable[[], None] = lambda: None

    def open(self, notify: Callable[[], None]) -> None:
        self.notify = notify

    def publish(self) -> None:
        self.number += 1
        self.notify()

    def warn(self, text: str) -> None:
        self._status = {**self._status, 'warnings': [text]}
        self.notify()

    def facts(self) -> dict[str, Any]:
        return {'title': 'made up', 'stamps': None, 'streams': ['image', 'depth'], 'path': [],
                'yaw': 0.0, 'has_map': False, 'parameters': []}  # fmt: skip

    def status(self) -> dict[str, Any]:
        return self._status

    def show(self, streams: Collection[str]) -> None:
        self.shown = frozenset(streams)

    def newest(self) -> int:
        return self.number

    def read(self, number: int, streams: Collection[str]) -> ViewFrame:
        self.reads += 1
        if self.is_broken:
            raise InputError('this frame is damaged')
        return ViewFrame(
            number,
            'camera',
            np.full((HEIGHT, WIDTH, 3), number % 256, np.uint8) if 'image' in streams else None,
            np.full((HEIGHT, WIDTH), 1.0 + number, np.float32) if 'depth' in streams else None,
            camera=CAMERA,
        )

    def map(self) -> None:
        return None

    async def set_parameter(self, name: str, value: Any) -> str:
        self.values[name] = value
        return '' if name == 'known' else f'{name} is unknown'

    async def reset(self) -> str:
        self.resets += 1
        return ''


@contextmanager
def served(source: Any, limits: ServerOptions | None = None, **options: Any) -> Iterator[str]:
    """Serve a source in a thread and yield the address."""
    server = ViewServer(source, ViewOptions(port=0, **options), limits or ServerOptions())
    started, ended = threading.Event(), threading.Event()
    address: list[str] = []

    def on_start(text: str) -> None:
        address.append(text)
        started.set()

    thread = threading.Thread(target=lambda: asyncio.run(server.run(on_start, ended.is_set)))
    thread.start()
    try:
        assert started.wait(30)
        yield address[0]
    finally:
        ended.set()
        thread.join()


def get(address: str, **headers: str) -> tuple[int, bytes]:
    """Return status and body of a request."""
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


class Browser:
    """A client of the protocol."""

    def __init__(self, address: str, **options: Any) -> None:
        from websockets.sync.client import connect

        self._context = connect(address.replace('http', 'ws') + '/ws', max_size=None, **options)

    def __enter__(self) -> Browser:
        self.socket = self._context.__enter__()
        return self

    def __exit__(self, *_: Any) -> None:
        self._context.__exit__(None, None, None)

    def receive(self) -> Any:
        """Return the next message: a packet as header and blobs, or JSON."""
        data = self.socket.recv(timeout=30)
        return unpack(data) if isinstance(data, bytes) else json.loads(data)

    def until(self, key: str) -> Any:
        """Skip messages in JSON up to one with a key."""
        while True:
            message = self.receive()
            if isinstance(message, dict) and key in message:
                return message[key]

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def ask(self, frame: int, *streams: str) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the next frame."""
        self.send(frame=frame, streams=streams or ('image', 'depth'))
        while isinstance(message := self.receive(), dict):
            assert 'error' not in message, message
        return message
