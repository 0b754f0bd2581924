# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by its DevTools protocol, so that the tests need no driver."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
FLAGS = (
    '--headless=new',
    '--no-sandbox',
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
    '--disable-background-networking',
    '--disable-renderer-backgrounding',
    '--disable-backgrounding-occluded-windows',
    '--remote-debugging-port=0',
)
PATIENCE_S = 120.0


class Page:
    """One page of the browser."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._count = 0
        self.errors: list[str] = []
        self.call('Runtime.enable')

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._count += 1
        self._socket.send(json.dumps({'id': self._count, 'method': method, 'params': params}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if message.get('method') == 'Runtime.exceptionThrown':
                self.errors.append(json.dumps(message['params']['exceptionDetails'])[:500])
            if message.get('id') == self._count:
                assert 'error' not in message, message
                return message['result']

    def open(self, url: str, width: int, height: int) -> None:
        size = {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': False}
        self.call('Emulation.setDeviceMetricsOverride', **size)
        self.call('Page.navigate', url=url)
        self.until(f'location.href.startsWith({url!r}) && document.readyState === "complete"')

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        found = self.call(
            'Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in found, found
        return found['result'].get('value')

    def until(self, expression: str) -> Any:
        """Wait until an expression is true and return its value."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline_s, f'{expression} did not come true; {self.errors}'
            time.sleep(0.05)
        return value

    def picture(self) -> np.ndarray:
        """Return what is on the screen, (H, W, 3) RGB."""
        data = self.call('Page.captureScreenshot', format='png')['data']
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        return pixels[..., ::-1]

    def crop(self, selector: str) -> np.ndarray:
        """Return the pixels of an element."""
        code = f'JSON.stringify(document.querySelector({selector!r}).getBoundingClientRect())'
        box = {name: round(value) for name, value in json.loads(self.evaluate(code)).items()}
        return self.picture()[box['top'] : box['bottom'], box['left'] : box['right']]


@contextmanager
def browser_page() -> Iterator[Page]:
    """Start a browser and open its page."""
    from websockets.sync.client import connect

    assert CHROMIUM
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [CHROMIUM, *FLAGS, f'--user-data-dir={folder}', 'about:blank']
        browser = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert browser.stderr
        try:
            port = next(
                line.split(':')[2].split('/')[0]
                for line in browser.stderr
                if 'DevTools listening' in line
            )
            with urllib.request.urlopen(f'http://127.0.0.1:{port}/json/list') as answer:
                pages = [one for one in json.load(answer) if one['type'] == 'page']
            with connect(pages[0]['webSocketDebuggerUrl'], max_size=None) as socket:
                yield Page(socket)
        finally:
            browser.terminate()
            browser.wait()
            browser.stderr.close()
