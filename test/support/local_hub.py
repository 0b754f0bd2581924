# SPDX-License-Identifier: Apache-2.0
"""A local server with the protocol of the Hugging Face hub: API, LFS redirects, ranges, etags."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = '0123456789abcdef0123456789abcdef01234567'
LFS_BYTES = 1000
"""Larger files are in large-file storage: their etag is a SHA-256, and they are redirected."""


@dataclass
class Hub:
    """Contents and faults of the server.

    files        content by repository and path
    gated        repositories that answer 401 with the code of gated ones
    break_after  bytes of the next LFS answers after which the connection breaks, in this order
    busy         number of answers with status 429 before the server serves
    corrupt      whether LFS content differs from its digest
    requests     method, path and range of what was requested
    """

    files: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    break_after: list[int] = field(default_factory=list)
    busy: int = 0
    corrupt: bool = False
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ''


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve on a free port of this machine while the block runs; sets ``hub.url``."""

    class Handler(_Handler):
        content = hub

    server = _Server(('127.0.0.1', 0), Handler)
    hub.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        server.close_connections()
        thread.join()


class _Server(ThreadingHTTPServer):
    """Ends the threads of connections that clients keep open."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def close_connections(self) -> None:
        for connection in self._connections:
            with suppress(OSError):  # closed by the client
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    content: Hub
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.content
        path = unquote(self.path.partition('?')[0]).lstrip('/')
        hub.requests.append((self.command, path, self.headers.get('Range')))
        if hub.busy > 0:
            hub.busy -= 1
            return self._send(429, b'', {'Retry-After': '0'})
        kind, _, rest = path.partition('/')
        if kind == 'api':
            return self._api(rest)
        if kind == 'lfs':
            return self._lfs(rest)
        return self._resolve(path)

    def _api(self, rest: str) -> None:
        parts = rest.split('/')  # models/owner/name[/revision/REV]
        name, revision = '/'.join(parts[1:3]), parts[4] if len(parts) > 4 else 'main'
        files = self.content.files.get(name)
        if self._refused(name):
            return None
        if files is None or revision not in ('main', COMMIT):
            code = 'RevisionNotFound' if files is not None else 'RepoNotFound'
            return self._send(404, b'{}', {'X-Error-Code': code})
        siblings = [_sibling(path, content) for path, content in files.items()]
        body = {'id': name, 'modelId': name, 'sha': COMMIT, 'siblings': siblings}
        return self._send(200, json.dumps(body).encode(), {'Content-Type': 'application/json'})

    def _resolve(self, path: str) -> None:
        name, _, rest = path.partition('/resolve/')
        revision, _, file = rest.partition('/')
        content = self.content.files.get(name, {}).get(file)
        if self._refused(name):
            return None
        if content is None or revision not in ('main', COMMIT):
            return self._send(404, b'', {'X-Error-Code': 'EntryNotFound'})
        headers = {'X-Repo-Commit': COMMIT, 'Accept-Ranges': 'bytes'}
        if len(content) <= LFS_BYTES:
            return self._send(200, content, {**headers, 'ETag': f'"{_blob(content)}"'})
        linked = {
            'X-Linked-Size': str(len(content)),
            'X-Linked-Etag': f'"{hashlib.sha256(content).hexdigest()}"',
            # another host, as the hub's storage is
            'Location': f'{self.content.url.replace("127.0.0.1", "localhost")}/lfs/{name}/{file}',
        }
        return self._send(302, b'', {**headers, **linked})

    def _lfs(self, path: str) -> None:
        owner, name, file = path.split('/', 2)
        content = self.content.files[f'{owner}/{name}'][file]
        if self.content.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:]
        status, headers = 200, {'ETag': f'"{hashlib.sha256(content).hexdigest()}"'}
        requested = self.headers.get('Range')
        if requested:
            start = int(requested.removeprefix('bytes=').partition('-')[0])
            status = 206
            headers['Content-Range'] = f'bytes {start}-{len(content) - 1}/{len(content)}'
            content = content[start:]
        if self.command == 'GET' and self.content.break_after:
            return self._break(status, content, headers, self.content.break_after.pop(0))
        return self._send(status, content, headers)

    def _break(self, status: int, content: bytes, headers: dict[str, str], after: int) -> None:
        """Announce all of the content, send part of it, and close the connection."""
        self.send_response(status)
        for name, value in {**headers, 'Content-Length': str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:after])
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()

    def _refused(self, name: str) -> bool:
        if name not in self.content.gated:
            return False
        self._send(401, b'{}', {'X-Error-Code': 'GatedRepo', 'X-Error-Message': 'gated'})
        return True

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {'Content-Length': str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == 'GET':
            self.wfile.write(content)


def _sibling(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {'rfilename': path, 'size': len(content), 'blobId': _blob(content)}
    if len(content) > LFS_BYTES:
        sha256 = hashlib.sha256(content).hexdigest()
        entry['lfs'] = {'sha256': sha256, 'size': len(content), 'pointerSize': 130}
    return entry


def _blob(content: bytes) -> str:
    return hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest()
