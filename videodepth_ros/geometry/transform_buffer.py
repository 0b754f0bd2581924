# SPDX-License-Identifier: Apache-2.0
"""Transforms between coordinate frames over the last seconds, looked up at a stamp.

As in tf2, poses are interpolated, never extrapolated, and a frame has one parent.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.geometry.pose import interpolate_poses, invert_poses


class Transforms(Protocol):
    """Transforms of a robot."""

    def lookup(
        self, target: str, target_ns: int, source: str, source_ns: int
    ) -> Float64Array | None:
        """Return T_target_source (4, 4), each frame at a stamp of its own; None: not known."""

    def parents(self, frame: str) -> list[str]:
        """Return a frame and its ancestors up to the root."""


@dataclass
class _Edge:
    """Transforms of a frame to its parent, in order of their stamps."""

    parent: str
    is_static: bool
    stamps_ns: list[int] = field(default_factory=list)
    T_parent_child: list[Float64Array] = field(default_factory=list)

    def add(self, stamp_ns: int, T: Float64Array, horizon_ns: int) -> None:
        if self.is_static:
            self.stamps_ns, self.T_parent_child = [stamp_ns], [T]
            return
        k = bisect_right(self.stamps_ns, stamp_ns)
        self.stamps_ns.insert(k, stamp_ns)
        self.T_parent_child.insert(k, T)
        old = bisect_right(self.stamps_ns, self.stamps_ns[-1] - horizon_ns)
        del self.stamps_ns[:old], self.T_parent_child[:old]

    def at(self, stamp_ns: int) -> Float64Array | None:
        if self.is_static:
            return self.T_parent_child[0]
        k = bisect_right(self.stamps_ns, stamp_ns)
        if k and self.stamps_ns[k - 1] == stamp_ns:
            return self.T_parent_child[k - 1]
        if not 0 < k < len(self.stamps_ns):
            return None
        pair = slice(k - 1, k + 1)
        stamps = np.array(self.stamps_ns[pair])
        return np.asarray(
            interpolate_poses(stamps, np.array(self.T_parent_child[pair]), np.array([stamp_ns]))[0]
        )


class TransformBuffer:
    """Transforms as they come; thread-safe."""

    def __init__(self, horizon_s: float = 10.0) -> None:
        """Create an empty buffer that keeps transforms of the last ``horizon_s``."""
        self._horizon_ns = int(horizon_s * 1e9)
        self._edges: dict[str, _Edge] = {}
        self._lock = threading.Lock()

    def add(
        self, parent: str, child: str, stamp_ns: int, T: Float64Array, *, is_static: bool = False
    ) -> None:
        """Add T_parent_child (4, 4); another parent than before replaces that one."""
        with self._lock:
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent or edge.is_static != is_static:
                edge = self._edges[child] = _Edge(parent, is_static)
            edge.add(stamp_ns, T, self._horizon_ns)

    def clear(self) -> None:
        """Drop the transforms that move, as after a jump of the clock."""
        with self._lock:
            self._edges = {name: edge for name, edge in self._edges.items() if edge.is_static}

    def parents(self, frame: str) -> list[str]:
        """Return a frame and its ancestors up to the root, or up to a cycle."""
        with self._lock:
            return self._chain(frame)

    def lookup(
        self, target: str, target_ns: int, source: str, source_ns: int
    ) -> Float64Array | None:
        """Return T_target_source (4, 4), each frame at a stamp of its own.

        None if the frames are not connected, or not known at these stamps.
        """
        with self._lock:
            ups, downs = self._chain(target), self._chain(source)
            common = [name for name in ups if name in downs]
            if target_ns != source_ns:
                common.reverse()  # of a robot that moves the root is fixed, its base is not
            for frame in common:
                T_frame_target = self._climb(ups[: ups.index(frame)], target_ns)
                T_frame_source = self._climb(downs[: downs.index(frame)], source_ns)
                if T_frame_target is not None and T_frame_source is not None:
                    return np.asarray(invert_poses(T_frame_target) @ T_frame_source)
        return None

    def _chain(self, frame: str) -> list[str]:
        frames = [frame]
        while (edge := self._edges.get(frames[-1])) and edge.parent not in frames:
            frames.append(edge.parent)
        return frames

    def _climb(self, frames: list[str], stamp_ns: int) -> Float64Array | None:
        """Return T of the parent of the last of some frames and the first; None: not known."""
        T: Float64Array = np.eye(4)
        for name in frames:
            step = self._edges[name].at(stamp_ns)
            if step is None:
                return None
            T = step @ T
        return T
