# SPDX-License-Identifier: Apache-2.0
"""The web server of the page: its files, and a WebSocket for each browser.

A browser sends ``{"frame": n, "streams": [...]}`` and receives one packet: frame n of a recording,
or of a live node the next one whose number is greater than n. As it asks again when it has drawn,
nothing is queued for a slow one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from videodepth_ros.core.errors import ConfigError, VideoDepthError
from videodepth_ros.results.map_page import WEB
from videodepth_ros.view.access import is_own_name, is_same_origin
from videodepth_ros.view.options import SERVER, ServerOptions, ViewOptions
from videodepth_ros.view.packets import PacketEncoder, pack
from videodepth_ros.view.source import STREAMS, Source

FILES = {
    '/': ('index.html', 'text/html'),
    '/view.css': ('view.css', 'text/css'),
    '/view.js': ('view.js', 'text/javascript'),
    '/scene.js': ('scene.js', 'text/javascript'),
    '/three.min.js': ('three.min.js', 'text/javascript'),
}
"""Files that are served, with their types; there are no others."""

SECURITY_HEADERS = {
    'Content-Security-Policy': "default-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self' ws: wss:; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-cache',
}
READ_ONLY = 'the page is read-only: start `videodepth view` with --control'
LOG = logging.getLogger('videodepth.view')
LOG.setLevel(logging.WARNING)  # websockets logs each request


class Client:
    """One browser.

    wanted   number of the frame that it waits for, see the module; None: it has not asked
    streams  what it shows
    """

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.wanted: int | None = None
        self.streams: frozenset[str] = frozenset()
        self.status: dict[str, Any] | None = None  # that it has
        self.due = asyncio.Event()
        self.next_s = 0.0  # not before this time of the loop


class ViewServer:
    """Serve one source to some browsers."""

    def __init__(
        self, source: Source, options: ViewOptions, limits: ServerOptions = SERVER
    ) -> None:
        self._source, self._options, self._limits = source, options, limits
        self._encoder = PacketEncoder(options.max_pixels, limits)
        self._clients: set[Client] = set()
        self._encoding = asyncio.Lock()
        self._packet: tuple[tuple[int, frozenset[str]], bytes] | None = None  # the last one

    async def run(self, on_start: Callable[[str], None], is_done: Callable[[], bool]) -> None:
        """Serve until ``is_done``.

        on_start  called with the address of the page

        Raise ConfigError if the port cannot be used.
        """
        loop = asyncio.get_running_loop()

        def notify() -> None:
            loop.call_soon_threadsafe(self._wake)

        self._source.open(notify)
        host = self._options.host
        try:
            server = await self._listen()
        except OSError as error:
            raise ConfigError(
                f'{host}:{self._options.port} cannot be used: {error}; give another --port'
            ) from error
        async with server:
            port = next(iter(server.sockets)).getsockname()[1]
            on_start(f'http://{f"[{host}]" if ":" in host else host}:{port}')
            while not is_done():
                await asyncio.sleep(self._limits.poll_period_s)

    async def _listen(self) -> Server:
        return await serve(
            self._serve_client,
            self._options.host,
            self._options.port,
            process_request=self._respond,
            compression=None,
            max_size=self._limits.max_message_bytes,
            logger=LOG,
        )

    def _respond(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return a file, or an error; None: the request opens a WebSocket."""
        path, host = request.path.partition('?')[0], request.headers.get('Host', '')
        if not is_own_name(host):
            return _text(HTTPStatus.FORBIDDEN, f'{host} is not a name of this server')
        if path == '/ws':
            if not is_same_origin(request.headers.get('Origin'), host):
                return _text(HTTPStatus.FORBIDDEN, 'this page is of another site')
            if len(self._clients) >= self._limits.max_clients:
                return _text(HTTPStatus.SERVICE_UNAVAILABLE, 'too many browsers: close one')
            return None
        if path == '/map':
            found = self._source.map()
            return _no_map() if found is None else _body(pack(found[0], [found[1]]), BINARY)
        if path not in FILES:
            return _text(HTTPStatus.NOT_FOUND, 'there is no such page')
        name, kind = FILES[path]
        return _body((WEB / name).read_bytes(), f'{kind}; charset=utf-8')

    async def _serve_client(self, connection: ServerConnection) -> None:
        client = Client(connection)
        self._clients.add(client)
        sender = asyncio.create_task(self._send(client))
        try:
            async for text in connection:
                await self._handle(client, text)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            self._clients.discard(client)
            self._show()

    async def _handle(self, client: Client, text: str | bytes) -> None:
        """Handle one message of a browser; a malformed one closes the connection."""
        try:
            message = json.loads(text)
            if 'frame' in message:
                client.wanted = int(message['frame'])
                client.streams = STREAMS & frozenset(message.get('streams', ()))
                self._show()
                client.due.set()
            elif 'set' in message or 'reset' in message:
                await self._control(client, message)
            else:
                raise ValueError(f'unknown message {sorted(message)}')
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            await client.connection.close(1003, f'{error}'[:100])

    async def _control(self, client: Client, message: dict[str, Any]) -> None:
        try:
            if not self._options.control:
                reason = READ_ONLY
            elif 'reset' in message:
                reason = await self._source.reset()
            else:
                reason = await self._source.set_parameter(str(message['set']), message['value'])
        except (VideoDepthError, TimeoutError, asyncio.TimeoutError) as error:
            reason = str(error) or 'the node does not answer'
        await client.connection.send(json.dumps({'refused': reason, 'of': message}))

    async def _send(self, client: Client) -> None:
        """Send what is new, whenever the browser is ready for it."""
        facts = {**self._source.facts(), 'control': self._options.control}
        try:
            await client.connection.send(json.dumps({'facts': facts}))
            client.due.set()
            while True:
                await client.due.wait()
                client.due.clear()
                await self._send_status(client)
                await self._send_frame(client)
        except ConnectionClosed:
            pass

    async def _send_status(self, client: Client) -> None:
        status = self._source.status()
        if status is not client.status:
            client.status = status
            await client.connection.send(json.dumps({'status': status}))

    async def _send_frame(self, client: Client) -> None:
        is_live, newest = self._source.facts()['stamps'] is None, self._source.newest()
        if client.wanted is None or newest < 0 or (is_live and newest <= client.wanted):
            return
        loop = asyncio.get_running_loop()
        if loop.time() < client.next_s:
            loop.call_at(client.next_s, client.due.set)
            return
        number = newest if is_live else min(max(client.wanted, 0), newest)
        client.wanted, client.next_s = None, loop.time() + 1 / self._options.max_rate_hz
        try:
            packet = await self._encode(number, client.streams)
        except VideoDepthError as error:
            await client.connection.send(json.dumps({'error': str(error), 'number': number}))
            return
        await client.connection.send(packet)

    async def _encode(self, number: int, streams: frozenset[str]) -> bytes:
        """Return the packet of a frame, which is encoded once for all browsers."""
        async with self._encoding:
            key = number, streams
            if self._packet is None or self._packet[0] != key:
                self._packet = key, await asyncio.to_thread(self._encode_now, number, streams)
            return self._packet[1]

    def _encode_now(self, number: int, streams: frozenset[str]) -> bytes:
        return self._encoder.encode(number, self._source.read(number, streams))

    def _show(self) -> None:
        self._source.show(frozenset().union(*(client.streams for client in self._clients)))

    def _wake(self) -> None:
        for client in self._clients:
            client.due.set()


BINARY = 'application/octet-stream'


def _text(status: HTTPStatus, text: str) -> Response:
    return _body(f'{text}\n'.encode(), 'text/plain; charset=utf-8', status)


def _no_map() -> Response:
    return _text(HTTPStatus.NOT_FOUND, 'there is no map')


def _body(data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    headers = Headers(SECURITY_HEADERS)
    headers['Content-Type'], headers['Content-Length'] = kind, str(len(data))
    headers['Connection'] = 'close'
    return Response(status.value, status.phrase, headers, data)
