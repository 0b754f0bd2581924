# SPDX-License-Identifier: Apache-2.0
"""Packets of H.264 and H.265 video as images: foxglove CompressedVideo, FFMPEGPacket, and
CompressedImage whose format names a codec.

A packet depends on those before it, so each is decoded in order, also where its image is not used.
PyAV decodes (``pip install av``, the extra ``video``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import DeviceError, InputError
from videodepth_ros.messages.h26x import FrameNumbers, is_key_packet, units

Bytes = NDArray[np.uint8]

_CODECS = (
    (re.compile(r'[hx]\.?264|avc', re.IGNORECASE), 'h264'),
    (re.compile(r'[hx]\.?265|hevc', re.IGNORECASE), 'hevc'),
)
"""Decoder by the name of a format or encoder: h264, libx264, h264_nvenc, hevc_vaapi."""


@dataclass(frozen=True)
class VideoPacket:
    """A packet of a video stream in order.

    header  with stamp and frame_id, as of std_msgs/Header
    codec   ``h264`` or ``hevc``; empty: another one
    format  as the message names it
    """

    header: Any
    codec: str
    format: str
    data: bytes


@dataclass(frozen=True)
class VideoImage:
    """The image of a packet, in place of its message.

    image  (H, W, 3) uint8 RGB; None: ``fault`` is the reason
    """

    header: Any
    image: Bytes | None
    fault: str = ''

    def pixels(self) -> Bytes:
        """Return the image; raise InputError if there is none."""
        if self.image is None:
            raise InputError(self.fault)
        return self.image


def video_packet(message: Any) -> VideoPacket | None:
    """Return a message as a packet of a video; None if it is none."""
    if hasattr(message, 'timestamp') and hasattr(message, 'format'):  # foxglove CompressedVideo
        header = SimpleNamespace(stamp=message.timestamp, frame_id=message.frame_id)
        return _packet(header, message.format, message.data)
    if hasattr(message, 'pts'):  # FFMPEGPacket
        return _packet(message.header, message.encoding, message.data)
    if hasattr(message, 'format') and _codec(message.format):  # CompressedImage
        return _packet(message.header, message.format, message.data)
    return None


def _packet(header: Any, name: str, data: Any) -> VideoPacket:
    return VideoPacket(header, _codec(name), name, bytes(data))


def _codec(name: str) -> str:
    """Return the codec of a format such as ``h264``, or ``libx265;yuv420p``; empty if unknown."""
    first = name.partition(';')[0]
    return next((codec for pattern, codec in _CODECS if pattern.search(first)), '')


class VideoDecoder:
    """Decode the packets of one camera in order.

    waited  packets before a key frame, which have no image
    lost    packets that are missing, by the frame numbers of H.264
    """

    def __init__(self) -> None:
        """Wait for the first key frame."""
        self.waited = self.lost = 0
        self._context: Any = None
        self._codec = ''
        self._numbers = FrameNumbers()
        self._is_synchronised = False

    @property
    def note(self) -> str:
        """Counts of packets without an image, in words; empty if there are none."""
        counts = ((self.waited, 'packets wait for a key frame'), (self.lost, 'packets are lost'))
        return ', '.join(f'{count} {what}' for count, what in counts if count)

    @property
    def waiting(self) -> str:
        """Counts as in ``note`` while a key frame has to come; else empty."""
        return '' if self._is_synchronised else self.note

    def decode(self, packet: VideoPacket) -> VideoImage:
        """Return the image of the next packet, or why there is none.

        raises  DeviceError if PyAV is not installed
        """
        try:
            return VideoImage(packet.header, self._decode(packet))
        except InputError as error:
            return VideoImage(packet.header, None, str(error))

    def _decode(self, packet: VideoPacket) -> Bytes:
        if not packet.codec:
            raise InputError(
                f'video of format {packet.format!r} is not decoded here: publish h264 or h265'
            )
        if next(units(packet.data), None) is None:
            raise InputError(
                f'a {packet.format} packet of {len(packet.data)} bytes has no start code: publish '
                'in Annex B format'
            )
        if packet.codec != self._codec:
            self._restart(packet.codec)
        self._synchronise(packet)
        return self._image(packet)

    def _synchronise(self, packet: VideoPacket) -> None:
        """Raise InputError while packets are missing that this one depends on."""
        lost = self._numbers.lost_before(packet.data) if packet.codec == 'h264' else 0
        if is_key_packet(packet.codec, packet.data):
            self._is_synchronised = True
            return
        if lost and self._is_synchronised:
            self.lost += lost
            self._is_synchronised = False
        if not self._is_synchronised:
            self.waited += 1
            reason = f'{self.lost} packets were lost' if self.lost else 'the stream began before'
            raise InputError(
                f'a {packet.format} packet needs a key frame that has not come ({reason}); send '
                'key frames more often, or publish reliably'
            )

    def _image(self, packet: VideoPacket) -> Bytes:
        av = _import_av()
        try:
            frames = self._context.decode(av.Packet(packet.data))
        except av.FFmpegError as error:
            self._is_synchronised = False
            raise InputError(
                f'a {packet.format} packet of {len(packet.data)} bytes is damaged: {error}; check '
                'the link from the camera'
            ) from error
        if not frames or frames[-1].is_corrupt:
            self._is_synchronised = is_key_packet(packet.codec, packet.data)  # parameters alone
            raise InputError(
                f'a {packet.format} packet gives no whole image: packets were lost, or the stream '
                'has B frames; publish one image a packet, without B frames'
            )
        return np.ascontiguousarray(frames[-1].to_ndarray(format='rgb24'))

    def _restart(self, codec: str) -> None:
        """Open the decoder of a codec, which returns each image with its packet."""
        av = _import_av()
        self._context = av.CodecContext.create(codec, 'r')
        self._context.thread_count = 1  # frame threads delay the images
        self._context.flags |= av.codec.context.Flags.low_delay
        self._codec, self._numbers, self._is_synchronised = codec, FrameNumbers(), False


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise DeviceError(
            f'video cannot be decoded: {error}; `pip install av`, or publish images'
        ) from error
    return av
