# SPDX-License-Identifier: Apache-2.0
"""Where the frames of the page come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from videodepth_ros.core.arrays import Float32Array, Float64Array, UInt8Array
from videodepth_ros.geometry.camera import Intrinsics

STREAMS = frozenset({'image', 'depth', 'confidence'})
"""What a page can show of a frame."""


@dataclass(frozen=True)
class ViewFrame:
    """One frame; what a source does not have, or the page does not show, is None.

    image       (H', W', 3) uint8 RGB
    depth_m     (H, W) float32, Z in metres; NaN unknown, +inf nothing hit
    confidence  (H, W) float32 in [0, 1]
    camera      intrinsics at the size of ``depth_m``
    T_map_cam   (4, 4) float64
    age_s       ROS time minus stamp, live
    """

    stamp_ns: int
    frame_id: str
    image: UInt8Array | None = None
    depth_m: Float32Array | None = None
    confidence: Float32Array | None = None
    camera: Intrinsics | None = None
    T_map_cam: Float64Array | None = None
    age_s: float | None = None


class Source(Protocol):
    """A live node or a recording. Methods are called by the server's thread, `read` by others."""

    def open(self, notify: Callable[[], None]) -> None:
        """Begin; ``notify`` is called, from any thread, when a frame or the status is new."""

    def facts(self) -> dict[str, Any]:
        """Return what the page needs at first: title, stamps of a recording, parameters."""

    def status(self) -> dict[str, Any]:
        """Return the present status and parameters; one that is unchanged is the same object."""

    def show(self, streams: Collection[str]) -> None:
        """Provide these of `STREAMS`, which all browsers together show; none: no browser."""

    def newest(self) -> int:
        """Return the number of the newest frame, from 0; -1 before the first."""

    def read(self, number: int, streams: Collection[str]) -> ViewFrame:
        """Return a frame of a recording, or the newest one of a live node.

        Raise InputError if it cannot be decoded.
        """

    def map(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the map, see ``results.map_cloud``; None: there is none."""

    def set_parameter(self, name: str, value: Any) -> Awaitable[str]:
        """Set a parameter of the live node; return why it was refused, empty if it was not."""

    def reset(self) -> Awaitable[str]:
        """Reset the recurrent state of the live node; return why that failed, or empty."""
