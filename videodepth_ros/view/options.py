# SPDX-License-Identifier: Apache-2.0
"""Options of the page, its server and its sources."""

from __future__ import annotations

from dataclasses import dataclass

from videodepth_ros.core.options import option


@dataclass(frozen=True, kw_only=True)
class ViewOptions:
    """Options of `videodepth view`."""

    host: str = option(
        '127.0.0.1', 'Address to listen at: by default this machine alone; 0.0.0.0: every network.'
    )
    port: int = option(8090, 'Port to listen at; 0: any that is free.', minimum=0, maximum=65535)
    control: bool = option(
        False, 'Let the page set parameters of the live node and reset its state.'
    )
    max_rate_hz: float = option(
        30.0, 'Frames per second and browser.', unit='Hz', minimum=0.1, maximum=1000.0
    )
    max_pixels: int = option(
        640 * 480,
        'Pixels of depth and image that are sent; rows and columns of larger ones are left out. '
        'Fewer save bandwidth of a radio link: a pixel takes about 4 bytes a frame.',
        minimum=1024,
        maximum=1 << 24,
    )


@dataclass(frozen=True)
class ServerOptions:
    """Limits of the server."""

    max_clients: int = 8  # browsers at the same time
    max_message_bytes: int = 1 << 14  # of a request
    jpeg_quality: int = 80
    colour_share: float = 0.1  # way of the colours of depth to those of a frame
    poll_period_s: float = 0.1  # check for an interruption [s]


@dataclass(frozen=True)
class LiveSourceOptions:
    """Subscription to a live node."""

    watch_period_s: float = 0.1  # check of the publishers and of what the browsers show [s]
    parameter_period_s: float = 1.0  # poll of the parameters [s]
    pending_frames: int = 4  # stamps that wait for the rest of their messages
    service_timeout_s: float = 5.0  # of a service of the live node [s]


SERVER = ServerOptions()
LIVE_SOURCE = LiveSourceOptions()
