# SPDX-License-Identifier: Apache-2.0
"""From stored frames to samples: one view for a whole clip, and a camera's faults for each frame.

A view is a crop that is resized to the network's size, perhaps mirrored. With the crop's width
w_c the canonical inverse depth 100 fx / (w_c Z) is that of the whole frame times w / w_c: a zoomed
view looks nearer by that factor, and only so can fx / w_c give metres again. Depth itself stays,
and stays where the frame is rolled about the optical axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Array = NDArray[np.float32]

MAX_ZOOM = 1.6
ROLLED_SHARE = 0.3
ROLL_DEG = 7.0
"""Deviation of the roll of a hand-held camera, in the share of the views that are rolled."""


@dataclass(frozen=True)
class View:
    """A crop of a stored frame, in its pixels, resized to ``size`` (width, height).

    The frame is rolled by ``roll_deg`` about its centre first.
    """

    left: int
    top: int
    width: int
    height: int
    size: tuple[int, int]
    mirrored: bool
    roll_deg: float = 0.0

    def image(self, image: Image) -> Image:
        """Return the view (h, w, 3) uint8 of a frame (H, W, 3) uint8."""
        shrinking = self.width > self.size[0]
        view = cv2.resize(
            self._crop(self._rolled(image, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)),
            self.size,
            interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR,
        )
        return view[:, ::-1] if self.mirrored else view

    def inverse_depth(self, inverse_depth: NDArray[np.float16]) -> Array:
        """Return the canonical inverse depth (h, w) float32 of the view, nearest pixels.

        inverse_depth  (H, W) float16, canonical for the whole frame
        returns        NaN where a rolled frame shows nothing
        """
        zoom = inverse_depth.shape[1] / self.width
        frame = inverse_depth.astype(np.float32)
        rolled = self._rolled(frame, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, np.nan)
        view = cv2.resize(self._crop(rolled), self.size, interpolation=cv2.INTER_NEAREST_EXACT)
        return (view[:, ::-1] if self.mirrored else view) * np.float32(zoom)

    def _rolled(
        self, frame: NDArray[np.generic], sampling: int, border: int, value: float = 0.0
    ) -> NDArray[np.generic]:
        if self.roll_deg == 0:
            return frame
        height, width = frame.shape[:2]
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.roll_deg, 1.0)
        return cv2.warpAffine(
            frame, turn, (width, height), flags=sampling, borderMode=border, borderValue=value
        )

    def _crop(self, frame: NDArray[np.generic]) -> NDArray[np.generic]:
        return frame[self.top : self.top + self.height, self.left : self.left + self.width]


def random_view(rng: Generator, width: int, height: int, size: tuple[int, int]) -> View:
    """Draw a view of a frame of ``width`` x ``height``: whole in a third of the draws."""
    zoom = 1.0 if rng.random() < 1 / 3 else rng.uniform(1.0, MAX_ZOOM)
    stretch = rng.uniform(0.94, 1.06)  # of the aspect: sizes are rounded to patches in use too
    aspect = size[0] / size[1] * stretch
    crop_width = min(width, height * aspect) / zoom
    w, h = round(crop_width), min(round(crop_width / aspect), height)
    return View(
        int(rng.integers(width - w + 1)),
        int(rng.integers(height - h + 1)),
        w,
        h,
        size,
        mirrored=bool(rng.random() < 0.5),
        roll_deg=float(rng.normal(0, ROLL_DEG)) if rng.random() < ROLLED_SHARE else 0.0,
    )


@dataclass(frozen=True)
class Look:
    """The faults of one camera: constant over a clip except where ``jittered``."""

    gain: Array
    gamma: float
    contrast: float
    saturation: float
    blur_px: float
    noise: float
    jpeg_quality: int

    def jittered(self, rng: Generator) -> Look:
        """Return the look of another frame of the same clip: exposure and balance wander."""
        gain = self.gain * np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.01, 3)).astype(np.float32)
        return Look(
            gain,
            self.gamma,
            self.contrast,
            self.saturation,
            self.blur_px,
            self.noise,
            self.jpeg_quality,
        )

    def apply(self, image: Image, rng: Generator) -> Image:
        """Return the image (h, w, 3) uint8 as this camera would have given it."""
        levels = np.arange(256, dtype=np.float32)[:, None] / 255
        table = (levels**self.gamma - 0.5) * self.contrast + 0.5
        table = np.clip(table * self.gain * 255, 0, 255).astype(np.uint8)
        image = cv2.LUT(np.ascontiguousarray(image), table[:, None, :])
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.addWeighted(image, self.saturation, grey, 1 - self.saturation, 0)
        if self.blur_px > 0:
            image = cv2.GaussianBlur(image, (0, 0), self.blur_px)
        if self.noise > 0:
            image = _noisy(image, self.noise, rng)
        if self.jpeg_quality < 100:
            image = _jpeg(image, self.jpeg_quality)
        return image


def random_look(rng: Generator) -> Look:
    """Draw a camera."""
    return Look(
        gain=np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.08, 3)).astype(np.float32),
        gamma=float(np.exp(rng.normal(0, 0.25))),
        contrast=float(np.exp(rng.normal(0, 0.15))),
        saturation=float(rng.uniform(0, 0.2) if rng.random() < 0.06 else rng.uniform(0.5, 1.4)),
        blur_px=float(rng.uniform(0.4, 1.2) if rng.random() < 0.2 else 0),
        noise=float(rng.uniform(1, 8) if rng.random() < 0.35 else 0),
        jpeg_quality=int(rng.integers(30, 95)) if rng.random() < 0.3 else 100,
    )


def _noisy(image: Image, sigma: float, rng: Generator) -> Image:
    """Add normal noise of ``sigma`` grey levels, drawn by OpenCV, which is ten times faster."""
    cv2.setRNGSeed(int(rng.integers(2**31)))
    noise = np.empty(image.shape, np.int16)
    cv2.randn(noise, 0, sigma)
    return cv2.add(image, noise, dtype=cv2.CV_8U)


def _jpeg(image: Image, quality: int) -> Image:
    _, packed = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(packed, cv2.IMREAD_COLOR)
