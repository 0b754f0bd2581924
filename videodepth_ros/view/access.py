# SPDX-License-Identifier: Apache-2.0
"""Who may talk to the server.

A page of another site may open a WebSocket to this machine, and a name of that site may resolve to
its address (DNS rebinding). A request is served if it names the server by an address or by its own
name, and if its page came from there.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether an address to listen at is of this machine alone."""
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_own_name(host: str, name: str = '') -> bool:
    """Return whether the Host header ``host`` names this server.

    name  of this machine; empty: that of the system
    """
    try:
        hostname = urlsplit(f'//{host}').hostname or ''
    except ValueError:
        return False
    name = (name or socket.gethostname()).lower()
    if hostname in ('localhost', name, f'{name}.local'):
        return True
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return True


def is_same_origin(origin: str | None, host: str) -> bool:
    """Return whether a WebSocket was opened by a page of this server; None: by no browser."""
    return origin is None or origin in (f'http://{host}', f'https://{host}')
