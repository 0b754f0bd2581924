# SPDX-License-Identifier: Apache-2.0
"""Image messages and the calibration of their camera, as rectified frames."""

from __future__ import annotations

import re
from typing import Any

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.frames import Frame
from videodepth_ros.messages.camera_info import view_from
from videodepth_ros.messages.image import decode_compressed, decode_image, is_compressed
from videodepth_ros.messages.sample_scale import SampleScale
from videodepth_ros.messages.topic_words import topic_words
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.messages.video import VideoImage

RECTIFY = ('auto', 'always', 'never')
"""Choices of the option ``rectify``; auto: unless the name of the image topic marks it so."""

_RECTIFIED = re.compile(
    'rect|rectif.*|rectilinear|undist.*|dewarp.*|'
    '(image|img|left|right|color|mono|rgb)rect|rect(image|img|color|mono|rgb)'
)
_NEGATIONS = {'not', 'non', 'no', 'un', 'pre'}


def is_rectified(image_topic: str) -> bool:
    """Return whether a topic's name marks rectified images: a word such as undistorted.

    Words end at / _ - and capital letters: image_rect_color, rectified/image, imageRect.
    """
    words = topic_words(image_topic)
    return any(
        _RECTIFIED.fullmatch(word) and before not in _NEGATIONS
        for before, word in zip(['', *words], words, strict=False)
    )


def needs_rectification(image_topic: str, rectify: str = 'auto') -> bool:
    """Return whether the images of a topic show the distortion that camera_info describes.

    rectify  one of `RECTIFY`
    raises   ConfigError if it is another
    """
    if rectify not in RECTIFY:
        raise ConfigError(f'rectify is {rectify!r}; choose one of {" ".join(RECTIFY)}')
    return rectify == 'always' or (rectify == 'auto' and not is_rectified(image_topic))


class FrameDecoder:
    """Decode the image messages of one camera into rectified frames.

    lens_fault               why the last image was not rectified though it shows distortion;
                             empty if it was
    is_calibration_unusable  the camera_info did not fit the last image
    samples                  bits that 16-bit images use
    """

    def __init__(self, *, rectify: bool) -> None:
        """Create a decoder; ``rectify``: images show the distortion of their camera_info."""
        self.lens_fault = ''
        self.is_calibration_unusable = False
        self.samples = SampleScale()
        self._rectify = rectify

    @property
    def notes(self) -> list[str]:
        """What is taken otherwise than the messages have it, in words; empty if nothing is."""
        lens = self.lens_fault and f'images are not rectified: {self.lens_fault}'
        return [note for note in (lens, self.samples.note) if note]

    def decode(self, message: Any, info: Any | None) -> Frame:
        """Decode an Image, CompressedImage or VideoImage, with the CameraInfo of its camera.

        Images whose lens cannot be removed are frames as they are, with the raw camera.
        raises  InputError if the image cannot be decoded or ``info`` does not fit it
        """
        if isinstance(message, VideoImage):
            image = message.pixels()
        else:
            decode = decode_compressed if is_compressed(message) else decode_image
            image = decode(message, self.samples)
        self.lens_fault, self.is_calibration_unusable = '', True
        camera, rectifier, self.lens_fault = view_from(
            info, image.shape[1], image.shape[0], rectify=self._rectify
        )
        self.is_calibration_unusable = False
        header = message.header
        return Frame(stamp_ns(header.stamp), header.frame_id, image, camera, rectifier)
