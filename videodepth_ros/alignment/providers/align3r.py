# SPDX-License-Identifier: Apache-2.0
"""Pairs of frames as the network of Align3R sees them (Lu et al., arXiv 2412.03079).

Most of the work is that on a frame alone: it is done once for all pairs that the frame is in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.core.arrays import Edge
from videodepth_ros.core.errors import DeviceError, InputError
from videodepth_ros.models.align3r import Align3R, Features, PairPoints, load_align3r
from videodepth_ros.models.align3r_input import (
    LONG_SIDE_PX,
    CropWindow,
    network_image,
    network_point_map,
    network_window,
    point_map_from_depth,
    point_map_from_disparity,
)
from videodepth_ros.models.catalogue import ALIGN3R_CARD, weights_path
from videodepth_ros.models.device_precision import select_device
from videodepth_ros.models.mono import PriorKind

Array = NDArray[np.float32]

BATCH_ON_GPU = 8

EDGE = 0.1
"""Where neighbouring points lie apart by more of their distance, two surfaces meet."""


@dataclass(frozen=True)
class Align3rOptions:
    """How the network is run.

    device, precision  see ``models.place.select_device``
    batch              pairs computed at once; 0: chosen for the device
    long_side_px       of the network's input, a multiple of 16; the weights know 512
    frames_held        whose features are kept, some 25 MB each: as many as a clip and more
    """

    device: str = 'auto'
    precision: str = 'auto'
    batch: int = 0
    long_side_px: int = LONG_SIDE_PX
    frames_held: int = 24


AS_PUBLISHED = Align3rOptions()


class Align3rPairProvider:
    """A ``PairProvider``; pairs have the size of the prior's values."""

    notice = ALIGN3R_CARD.notice

    def __init__(
        self,
        images: NDArray[np.uint8],
        values: Array,
        kind: PriorKind,
        settings: Align3rOptions = AS_PUBLISHED,
        network: Align3R | None = None,
    ) -> None:
        """Prepare the pairs of a recording.

        images   (N, H, W, 3) uint8, red green blue
        values   (N, h, w) float32, what a prior says of the whole images
        kind     of the values: the weights for Depth Pro want depth, those for Depth Anything its
                 inverse depth as it is
        network  with its weights; None: those that the user has imported, whose ``notice`` is due
        raises   InputError where images and values do not fit; ModelError where there are no
                 weights; ConfigError, DeviceError as ``select_device``
        """
        if len(images) != len(values) or images.ndim != 4 or values.ndim != 3:
            raise InputError(
                f'images {images.shape} and what a prior says of them {values.shape} '
                'do not fit: give (N, H, W, 3) and (N, h, w)'
            )
        place = select_device(settings.device, settings.precision)
        network = network or load_align3r(weights_path(ALIGN3R_CARD))
        if place.dtype != torch.float32:
            network = network.in_precision(place.dtype)
        self._network = network.to(place.device)
        self._device = place.device
        self._batch = place.batch(settings.batch, BATCH_ON_GPU)
        self._images, self._values, self._kind = images, values, kind
        height, width = images.shape[1:3]
        self._window = network_window(width, height, settings.long_side_px)
        self._view = View.of(self._window, values.shape[2], values.shape[1])
        self._features: OrderedDict[int, Features] = OrderedDict()
        self._most = settings.frames_held

    def pairs(self, edges: Iterable[Edge]) -> Iterator[PointMapPair]:
        """Yield the pair of every edge; those of a frame one after the other, earlier ones first.

        raises  DeviceError where the network fails
        """
        ordered = sorted(edges, key=lambda edge: (max(edge), min(edge), edge))
        for start in range(0, len(ordered), self._batch):
            batch = ordered[start : start + self._batch]
            try:
                with torch.inference_mode():
                    points = self._run(batch)
            except RuntimeError as error:
                raise DeviceError(
                    f'the network of Align3R failed on {self._device}: {error}; '
                    'where memory has run out, choose a smaller batch'
                ) from error
            yield from self._as_pairs(batch, points)

    def _run(self, edges: Sequence[Edge]) -> PairPoints:
        needed = {frame for edge in edges for frame in edge}
        features = {frame: self._encoded(frame) for frame in sorted(needed)}
        return self._network.pair(
            Features.join([features[i] for i, _ in edges]),
            Features.join([features[j] for _, j in edges]),
        )

    def _encoded(self, frame: int) -> Features:
        """Return the features of a frame, computed if they are not held."""
        if frame not in self._features:
            values = np.asarray(self._values[frame])
            points = (
                point_map_from_depth(values)
                if self._kind is PriorKind.METRIC
                else point_map_from_disparity(values)
            )
            image = network_image(np.asarray(self._images[frame]), self._window)
            self._features[frame] = self._network.encode(
                *(
                    torch.from_numpy(each)[None].to(self._device)
                    for each in (image, network_point_map(points, self._window))
                )
            )
        self._features.move_to_end(frame)
        while len(self._features) > self._most:
            self._features.popitem(last=False)
        return self._features[frame]

    def _as_pairs(self, edges: Sequence[Edge], found: PairPoints) -> Iterator[PointMapPair]:
        points_1, points_2 = found.points_1.cpu().numpy(), found.points_2.cpu().numpy()
        confidence_1 = found.confidence_1.cpu().numpy()
        confidence_2 = found.confidence_2.cpu().numpy()
        for k, (i, j) in enumerate(edges):
            first, first_confidence = self._view.seen(points_1[k], confidence_1[k])
            second, second_confidence = self._view.seen(points_2[k], confidence_2[k])
            yield PointMapPair(i, j, first, second, first_confidence, second_confidence)


@dataclass(frozen=True, eq=False)
class View:
    """Where the pixels of a map of the whole image lie in the network's window.

    columns, rows  (h, w) float32, in pixels of the window
    inside         (h, w) bool, what the network has seen
    """

    columns: Array
    rows: Array
    inside: NDArray[np.bool_]

    @staticmethod
    def of(window: CropWindow, width: int, height: int) -> View:
        """Return the view of a map of ``width`` x ``height``."""
        column = (np.arange(width) + 0.5) * (window.resized_width / width) - 0.5 - window.left
        row = (np.arange(height) + 0.5) * (window.resized_height / height) - 0.5 - window.top
        columns, rows = np.meshgrid(column.astype(np.float32), row.astype(np.float32))
        inside = (
            (columns > -0.5)
            & (columns < window.width - 0.5)
            & (rows > -0.5)
            & (rows < window.height - 0.5)
        )
        return View(columns, rows, inside)

    def seen(self, points: Array, confidence: Array) -> tuple[Array, Array]:
        """Return points (h, w, 3) and confidence (h, w) of the window's maps, float32.

        On a surface they are interpolated; between two, the nearest is taken. Unknown points are
        NaN and worth nothing.
        """
        near = self._sampled(points, cv2.INTER_NEAREST)
        smooth = self._sampled(points, cv2.INTER_LINEAR)
        with np.errstate(invalid='ignore'):  # where the network's answer overflowed
            apart = np.linalg.norm(smooth - near, axis=2) > EDGE * np.linalg.norm(near, axis=2)
        smooth[apart] = near[apart]
        smooth[~self.inside] = np.nan
        weight = self._sampled(confidence, cv2.INTER_NEAREST)
        weight[~np.isfinite(smooth).all(axis=2)] = 1
        return smooth, weight

    def _sampled(self, values: Array, how: int) -> Array:
        return np.asarray(
            cv2.remap(values, self.columns, self.rows, how, borderMode=cv2.BORDER_REPLICATE),
            np.float32,
        )
