# SPDX-License-Identifier: Apache-2.0
"""Sky in the depth of a network: +inf (nothing hit, REP-117) instead of some far surface.

Networks put most of the sky at infinity and parts of it, clouds or the gap between roofs, at tens
of metres. Seeds are the pixels beyond any surface of use; the sky is what is connected with them
and has their colour. Between high walls networks take the sky for the end of the lane. There it is
what is overexposed, as far as the farthest of the rest, and reaches the upper border; or lies
anywhere if there are seeds, for arches divide the sky. Where there is neither, as indoors, there
is no sky.
"""

from __future__ import annotations

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray, UInt8Array
from videodepth_ros.models.preprocess import resized_image
from videodepth_ros.stream.options import SkyOptions
from videodepth_ros.stream.scale import Scale

DEFAULTS = SkyOptions()


def find_sky(
    inverse_depth: Float32Array, image: UInt8Array, scale: Scale, options: SkyOptions = DEFAULTS
) -> MaskArray:
    """Return the pixels of the sky, (h, w) bool.

    Colours of seeds and connections are found on a coarse grid, edges at full size.
    inverse_depth  (h, w) float32 of the network, finite and >= 0
    image          (H, W, 3) uint8 RGB, of any size
    """
    seed = inverse_depth < scale.metres / options.far_m
    beyond_near = inverse_depth < scale.metres / options.near_m
    size = seed.shape[1], seed.shape[0]
    if image.shape[:2] != seed.shape:
        image = resized_image(image, *size)
    step = max(1, round(size[0] / options.grid_width_px))
    coarse = slice(None, None, step), slice(None, None, step)
    is_seen = np.count_nonzero(seed) >= options.min_seed_px
    if not is_seen and not _is_white(image[coarse], options).any():
        return np.zeros(seed.shape, np.bool_)
    colour = np.asarray(cv2.blur(image, (3, 3)), np.uint8)
    grid_seed = seed[coarse] if is_seen else np.zeros_like(seed[coarse])
    min_px = max(options.min_seed_px // step**2, 1)
    grid_seed = grid_seed | _overexposed_sky(
        colour[coarse], inverse_depth[coarse], grid_seed, beyond_near[coarse], min_px, options
    )
    if not grid_seed.any():
        return np.zeros(seed.shape, np.bool_)
    mean = _mean_colour(colour[coarse], grid_seed, options)
    candidate = seed | (beyond_near & _is_alike(colour, mean, options))
    connected = _connected(candidate[coarse], grid_seed, min_px)
    around = cv2.dilate(connected, np.ones((3, 3), np.uint8)) if step > 1 else connected
    found: MaskArray = cv2.resize(around, size, interpolation=cv2.INTER_NEAREST) > 0
    return candidate & found


def without_sky(
    inverse_depth: Float32Array, image: UInt8Array, scale: Scale, options: SkyOptions = DEFAULTS
) -> Float32Array:
    """Return inverse depth (h, w) float32 with 0, nothing hit, in the sky; see `find_sky`."""
    sky = find_sky(inverse_depth, image, scale, options)
    return np.where(sky, np.float32(0), inverse_depth) if sky.any() else inverse_depth


def _mean_colour(colour: UInt8Array, seed: MaskArray, options: SkyOptions) -> UInt8Array:
    """Return the mean colour of the seeds around each pixel, (h, w, 3) uint8.

    colour  (h, w, 3) uint8; where no seed is in the window, the mean of all of them counts
    """
    if not seed.any():
        return np.full_like(colour, colour.mean(axis=(0, 1)))
    side = 2 * round(options.window_share * seed.shape[1] / 2) + 1
    share = cv2.blur(seed.astype(np.float32), (side, side))[..., None]
    seeds = np.where(seed[..., None], colour, np.uint8(0)).astype(np.float32)
    total = cv2.blur(seeds, (side, side))
    nearby = share > options.min_window_share
    mean = np.where(nearby, total / np.where(nearby, share, 1), colour[seed].mean(axis=0))
    return np.asarray(np.rint(mean), np.uint8)


def _is_alike(colour: UInt8Array, mean: UInt8Array, options: SkyOptions) -> MaskArray:
    """Return where no channel of a pixel differs much from the mean of the seeds around it.

    mean  (h', w', 3) uint8 on the coarse grid
    """
    size = colour.shape[1], colour.shape[0]
    difference = cv2.absdiff(colour, cv2.resize(mean, size, interpolation=cv2.INTER_LINEAR))
    return np.asarray(
        cv2.inRange(difference, (0, 0, 0), (int(options.colour_difference),) * 3) > 0, np.bool_
    )


def _overexposed_sky(
    colour: UInt8Array,
    inverse_depth: Float32Array,
    seed: MaskArray,
    beyond_near: MaskArray,
    min_px: int,
    options: SkyOptions,
) -> MaskArray:
    """Return the overexposed regions that are as far as the farthest of the rest, (h, w) bool.

    Without seeds they must reach the upper border. An image that is overexposed as a whole shows
    no sky, but a wrong exposure.
    """
    white = _is_white(colour, options)
    if not white.any() or white.mean() > options.max_white_share:
        return np.zeros(white.shape, np.bool_)
    rest = inverse_depth[~(white | seed)]
    limit = np.quantile(rest, 1 - options.far_quantile) / options.far_ratio if rest.size else 0.0
    count, label = cv2.connectedComponents((white & beyond_near).astype(np.uint8), None, 4)
    size_px = np.bincount(label.ravel(), minlength=count)
    far_px = np.bincount(label[inverse_depth < limit], minlength=count)
    is_sky = (2 * far_px > size_px) & (size_px >= min_px)
    if not seed.any():
        is_sky &= np.isin(np.arange(count), label[0])
    is_sky[0] = False
    return np.asarray(is_sky[label], np.bool_)


def _is_white(colour: UInt8Array, options: SkyOptions) -> MaskArray:
    return np.asarray(cv2.inRange(colour, (options.white_level,) * 3, (255,) * 3) > 0)


def _connected(candidate: MaskArray, seed: MaskArray, min_seeds: int) -> UInt8Array:
    """Return 1 in the components of candidates with enough seeds, (h, w) uint8."""
    count, label = cv2.connectedComponents(candidate.astype(np.uint8), None, 4)
    is_sky = np.bincount(label[seed], minlength=count) >= min_seeds
    is_sky[0] = False
    return np.asarray(is_sky[label], np.uint8)
