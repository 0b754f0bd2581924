# SPDX-License-Identifier: Apache-2.0
"""Pair provider with the network of Align3R (Lu et al., arXiv 2412.03079).

Encoding a frame is most of the cost and independent of its pairs: features are computed once per
frame and cached.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from videodepth_ros.alignment.options import ALIGN3R_DEFAULTS, Align3rOptions
from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.core.arrays import Edge, Float32Array, MaskArray, UInt8Array
from videodepth_ros.core.errors import DeviceError, InputError
from videodepth_ros.models.align3r import Align3R, Features, PairPoints, load_align3r
from videodepth_ros.models.align3r_input import (
    CropWindow,
    network_image,
    network_point_map,
    network_window,
    point_map_from_depth,
    point_map_from_disparity,
)
from videodepth_ros.models.catalogue import ALIGN3R_DEPTH_PRO, align3r_card, weights_path
from videodepth_ros.models.device_precision import select_device
from videodepth_ros.models.mono import PriorKind


class Align3rPairProvider:
    """A `PairProvider`; pairs have the size of the depth prior."""

    notice = ALIGN3R_DEPTH_PRO.notice

    def __init__(
        self,
        images: UInt8Array,
        prior: Float32Array,
        kind: PriorKind,
        options: Align3rOptions = ALIGN3R_DEFAULTS,
        network: Align3R | None = None,
    ) -> None:
        """Load the network.

        images   (N, H, W, 3) uint8 RGB
        prior    (N, h, w) float32, output of a monocular depth network for the whole images
        kind     of the prior: weights trained with Depth Pro take depth, those with Depth
                 Anything its inverse depth, not inverted
        network  None: the imported weights; show their licence ``notice`` to the user
        raises   InputError where images and prior do not match; ModelError without weights;
                 ConfigError, DeviceError as `select_device`
        """
        if len(images) != len(prior) or images.ndim != 4 or prior.ndim != 3:
            raise InputError(
                f'images {images.shape} and depth prior {prior.shape} do not fit: give '
                '(N, H, W, 3) and (N, h, w)'
            )
        place = select_device(options.device, options.precision)
        network = network or load_align3r(
            weights_path(align3r_card(metric=kind is PriorKind.METRIC))
        )
        if place.dtype != torch.float32:
            network = network.in_precision(place.dtype)
        self._network = network.to(place.device)
        self._device = place.device
        self._batch_size = place.batch(options.batch_size, options.gpu_batch_size)
        self._images, self._prior, self._kind = images, prior, kind
        height, width = images.shape[1:3]
        self._window = network_window(width, height, options.long_side_px)
        self._sampler = WindowSampler.for_map(
            self._window, prior.shape[2], prior.shape[1], options.discontinuity_ratio
        )
        self._features: OrderedDict[int, Features] = OrderedDict()
        self._cached_frames = options.cached_frames
        self._far_m = options.far_m

    def pairs(self, edges: Iterable[Edge]) -> Iterator[PointMapPair]:
        """Yield the pair of every edge, ordered by the later frame so that the cache is small.

        raises  DeviceError where the network fails
        """
        ordered = sorted(edges, key=lambda edge: (max(edge), min(edge), edge))
        for start in range(0, len(ordered), self._batch_size):
            batch = ordered[start : start + self._batch_size]
            try:
                with torch.inference_mode():
                    points = self._infer(batch)
            except RuntimeError as error:
                raise DeviceError(
                    f'the network of Align3R failed on {self._device}: {error}; '
                    'where memory has run out, choose a smaller batch'
                ) from error
            yield from self._to_pairs(batch, points)

    def _infer(self, edges: Sequence[Edge]) -> PairPoints:
        frames = {frame for edge in edges for frame in edge}
        features = {frame: self._encode(frame) for frame in sorted(frames)}
        return self._network.pair(
            Features.join([features[i] for i, _ in edges]),
            Features.join([features[j] for _, j in edges]),
        )

    def _encode(self, frame: int) -> Features:
        """Return the features of a frame, from the cache or computed."""
        if frame not in self._features:
            prior = np.asarray(self._prior[frame])
            points = (
                point_map_from_depth(prior, self._far_m)
                if self._kind is PriorKind.METRIC
                else point_map_from_disparity(prior)
            )
            image = network_image(np.asarray(self._images[frame]), self._window)
            self._features[frame] = self._network.encode(
                *(
                    torch.from_numpy(each)[None].to(self._device)
                    for each in (image, network_point_map(points, self._window))
                )
            )
        self._features.move_to_end(frame)
        while len(self._features) > self._cached_frames:
            self._features.popitem(last=False)
        return self._features[frame]

    def _to_pairs(self, edges: Sequence[Edge], found: PairPoints) -> Iterator[PointMapPair]:
        points_1, points_2 = found.points_1.cpu().numpy(), found.points_2.cpu().numpy()
        confidence_1 = found.confidence_1.cpu().numpy()
        confidence_2 = found.confidence_2.cpu().numpy()
        for k, (i, j) in enumerate(edges):
            points_i, confidence_i = self._sampler.sample(points_1[k], confidence_1[k])
            points_j, confidence_j = self._sampler.sample(points_2[k], confidence_2[k])
            yield PointMapPair(i, j, points_i, points_j, confidence_i, confidence_j)


@dataclass(frozen=True, eq=False)
class WindowSampler:
    """Resampling of the network's crop window at the pixels of a map of the whole image.

    columns, rows        (h, w) float32, pixel coordinates in the window
    inside               (h, w) bool, pixels in the window
    discontinuity_ratio  neighbouring points further apart are not interpolated [share of distance]
    """

    columns: Float32Array
    rows: Float32Array
    inside: MaskArray
    discontinuity_ratio: float

    @classmethod
    def for_map(
        cls,
        window: CropWindow,
        width: int,
        height: int,
        discontinuity_ratio: float = ALIGN3R_DEFAULTS.discontinuity_ratio,
    ) -> WindowSampler:
        """Return the sampler of a map of ``width`` x ``height``."""
        column = (np.arange(width) + 0.5) * (window.resized_width / width) - 0.5 - window.left
        row = (np.arange(height) + 0.5) * (window.resized_height / height) - 0.5 - window.top
        columns, rows = np.meshgrid(column.astype(np.float32), row.astype(np.float32))
        inside = (
            (columns > -0.5)
            & (columns < window.width - 0.5)
            & (rows > -0.5)
            & (rows < window.height - 0.5)
        )
        return cls(columns, rows, inside, discontinuity_ratio)

    def sample(
        self, points: Float32Array, confidence: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Return points (h, w, 3) and confidence (h, w) of the window's maps, float32.

        Bilinear on surfaces, nearest at discontinuities. Unknown points are NaN, with confidence
        1, which has weight 0.
        """
        nearest = self._remap(points, cv2.INTER_NEAREST)
        smooth = self._remap(points, cv2.INTER_LINEAR)
        with np.errstate(invalid='ignore'):  # where the network overflowed
            limit = self.discontinuity_ratio * np.linalg.norm(nearest, axis=2)
            discontinuous = np.linalg.norm(smooth - nearest, axis=2) > limit
        smooth[discontinuous] = nearest[discontinuous]
        smooth[~self.inside] = np.nan
        weight = self._remap(confidence, cv2.INTER_NEAREST)
        weight[~np.isfinite(smooth).all(axis=2)] = 1
        return smooth, weight

    def _remap(self, values: Float32Array, interpolation: int) -> Float32Array:
        return np.asarray(
            cv2.remap(
                values, self.columns, self.rows, interpolation, borderMode=cv2.BORDER_REPLICATE
            ),
            np.float32,
        )
