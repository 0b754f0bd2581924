# SPDX-License-Identifier: Apache-2.0
"""Frames as the page receives them.

A packet is the length of a header (uint32, little-endian), the header in JSON, and the blobs that
it lists, each from a multiple of four bytes on: ``image`` as JPEG; ``depth`` as uint16 levels of
``unit_m``, 0 unknown, 65535 nothing hit; ``confidence`` as uint8, 255 for 1.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.pictures import ColourRange, colour_range, follow_range
from videodepth_ros.view.options import SERVER, ServerOptions
from videodepth_ros.view.source import ViewFrame

UNKNOWN, NOTHING_HIT = 0, 65535
"""Levels of depth that are no distance."""


class PacketEncoder:
    """Encode the frames of one source; the colours of depth follow from frame to frame."""

    def __init__(self, max_pixels: int, options: ServerOptions = SERVER) -> None:
        self._max_pixels, self._options = max_pixels, options
        self._colours: ColourRange | None = None

    def encode(self, number: int, frame: ViewFrame) -> bytes:
        """Return the packet of a frame."""
        header: dict[str, Any] = {
            'number': number,
            'stamp': frame.stamp_ns / 1e9,
            'frame_id': frame.frame_id,
            'age': frame.age_s,
            'pose': None if frame.T_map_cam is None else frame.T_map_cam.ravel().tolist(),
        }
        blobs = {}
        if frame.image is not None:
            blobs['image'] = self._jpeg(frame.image)
        if frame.depth_m is not None:
            step = self._step(frame.depth_m)
            levels, unit_m = depth_levels(frame.depth_m[::step, ::step])
            blobs['depth'] = levels.tobytes()
            header['depth'] = self._depth_facts(levels, unit_m, step, frame)
        if frame.confidence is not None:
            step = self._step(frame.confidence)
            shares = np.nan_to_num(frame.confidence[::step, ::step])
            blobs['confidence'] = (255 * np.clip(shares, 0, 1)).astype(np.uint8).tobytes()
            header['confidence'] = dict(zip(('height', 'width'), shares.shape, strict=True))
        header['blobs'] = {name: len(data) for name, data in blobs.items()}
        return pack(header, list(blobs.values()))

    def _step(self, picture: NDArray[Any]) -> int:
        """Return the rows and columns between pixels that are sent."""
        return int(np.ceil((picture.shape[0] * picture.shape[1] / self._max_pixels) ** 0.5))

    def _jpeg(self, image: NDArray[np.uint8]) -> bytes:
        step = self._step(image)
        pixels = np.ascontiguousarray(image[::step, ::step])
        return bytes(simplejpeg.encode_jpeg(pixels, quality=self._options.jpeg_quality))

    def _depth_facts(
        self, levels: NDArray[np.uint16], unit_m: float, step: int, frame: ViewFrame
    ) -> dict[str, Any]:
        assert frame.depth_m is not None
        now = colour_range([frame.depth_m])
        self._colours = follow_range(self._colours, now, self._options.colour_share)
        camera = None if frame.camera is None else _camera(frame.camera.strided(step))
        height, width = levels.shape
        return {
            'width': width,
            'height': height,
            'unit': unit_m,
            'camera': camera,
            'colours': [self._colours.near_m, self._colours.far_m],
        }


def depth_levels(depth_m: Float32Array) -> tuple[NDArray[np.uint16], float]:
    """Quantize depth linearly up to the farthest pixel.

    depth_m  (H, W) float32, metres; NaN unknown, +inf nothing hit
    returns  (H, W) uint16, and the metres of a level
    """
    is_finite = np.isfinite(depth_m) & (depth_m > 0)
    farthest_m = float(depth_m.max(initial=0, where=is_finite)) or 1.0
    unit_m = farthest_m / (NOTHING_HIT - 1)
    scaled = np.where(is_finite, depth_m, 0) * np.float32(1 / unit_m)
    levels = np.rint(np.clip(scaled, 1, NOTHING_HIT - 1)).astype('<u2')
    levels[~is_finite] = UNKNOWN
    levels[np.isposinf(depth_m)] = NOTHING_HIT
    return levels, unit_m


def pack(header: dict[str, Any], blobs: list[bytes]) -> bytes:
    """Join header and blobs."""
    text = json.dumps(header, allow_nan=False).encode()
    text += b' ' * (-len(text) % 4)
    padded = [blob + bytes(-len(blob) % 4) for blob in blobs]
    return b''.join([struct.pack('<I', len(text)), text, *padded])


def unpack(packet: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Split a packet of `PacketEncoder` into its header and its blobs by name."""
    (length,) = struct.unpack_from('<I', packet)
    header, at, blobs = json.loads(packet[4 : 4 + length]), 4 + length, {}
    for name, size in header['blobs'].items():
        blobs[name] = packet[at : at + size]
        at += size + -size % 4
    return header, blobs


def _camera(camera: Intrinsics) -> list[float]:
    return [camera.fx, camera.fy, camera.cx, camera.cy]
