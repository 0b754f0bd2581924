# SPDX-License-Identifier: Apache-2.0
"""Sky in the depth of a network: +inf (nothing hit, REP-117) instead of some far surface.

Networks put most of the sky at infinity and parts of it, clouds or the gap between roofs, at tens
of metres. Seeds are the pixels beyond any surface of use; the sky is what is connected with them
and has their colour. Where there is no seed, as indoors, there is no sky.
"""

from __future__ import annotations

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray, UInt8Array
from videodepth_ros.stream.options import SkyOptions
from videodepth_ros.stream.scale import Scale

DEFAULTS = SkyOptions()


def find_sky(
    inverse_depth: Float32Array, image: UInt8Array, scale: Scale, options: SkyOptions = DEFAULTS
) -> MaskArray:
    """Return the pixels of the sky, (h, w) bool.

    inverse_depth  (h, w) float32 of the network, finite and >= 0
    image          (H, W, 3) uint8 RGB, of any size
    """
    seed = inverse_depth < scale.metres / options.far_m
    if np.count_nonzero(seed) < options.min_seed_px:
        return np.zeros(seed.shape, np.bool_)
    size = seed.shape[1], seed.shape[0]
    small = image
    if image.shape[:2] != seed.shape:
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    colour = cv2.blur(small, (3, 3)).astype(np.float32)
    beyond_near = inverse_depth < scale.metres / options.near_m
    alike = _difference(colour, seed, options) < options.colour_difference
    count, label = cv2.connectedComponents(
        (seed | (beyond_near & alike)).astype(np.uint8), None, 4
    )
    is_sky = np.bincount(label[seed], minlength=count) >= options.min_seed_px
    is_sky[0] = False
    return np.asarray(is_sky[label], np.bool_)


def without_sky(
    inverse_depth: Float32Array, image: UInt8Array, scale: Scale, options: SkyOptions = DEFAULTS
) -> Float32Array:
    """Return inverse depth (h, w) float32 with 0, nothing hit, in the sky; see `find_sky`."""
    sky = find_sky(inverse_depth, image, scale, options)
    return np.where(sky, np.float32(0), inverse_depth) if sky.any() else inverse_depth


def _difference(colour: Float32Array, seed: MaskArray, options: SkyOptions) -> Float32Array:
    """Return the greatest difference of a pixel's channels from the mean of the seeds around it.

    colour  (h, w, 3) float32; where no seed is in the window, the mean of all of them counts
    """
    side = 2 * round(options.window_share * seed.shape[1] / 2) + 1
    share = cv2.blur(seed.astype(np.float32), (side, side))[..., None]
    total = cv2.blur(np.where(seed[..., None], colour, np.float32(0)), (side, side))
    nearby = share > options.min_window_share
    mean = np.where(nearby, total / np.where(nearby, share, 1), colour[seed].mean(axis=0))
    return np.asarray(np.abs(colour - mean).max(axis=2), np.float32)
