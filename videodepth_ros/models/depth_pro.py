# SPDX-License-Identifier: Apache-2.0
"""Depth Pro: metric depth and focal length of an image (Bochkovskii et al., arXiv 2410.02073).

The network is that of `transformers`; this module adds the square input and the conversion of
canonical inverse depth to metres. The library's processor does not support a known focal length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DepthProForDepthEstimation

from videodepth_ros.core.errors import DeviceError, InputError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.catalogue import FolderCard
from videodepth_ros.models.device_precision import DevicePrecision
from videodepth_ros.models.pretrained import ExportableNetwork, load_pretrained
from videodepth_ros.models.prior import MonoEstimate, PriorKind, batches

NEAREST_M, FARTHEST_M = 1e-4, 1e4
"""Range of depth [m]; 10 km is the sky."""


class DepthPro:
    """Depth Pro; values have the size of the frame."""

    def __init__(
        self,
        card: FolderCard,
        folder: Path,
        placement: DevicePrecision,
        batch: int = 0,
        *,
        camera_focal: bool = True,
    ) -> None:
        """Load the network of a folder, see ``mono.open_mono_prior``.

        raises  ModelError where it is incomplete
        """
        self.name, self.notice = card.name, card.notice
        self._placement, self._batch = placement, placement.batch(batch, on_gpu=4)
        self._camera_focal = camera_focal
        self._model: Any = load_pretrained(DepthProForDepthEstimation, folder, placement)
        config = self._model.config
        self._side_px = round(config.patch_size / min(config.scaled_images_ratios))

    def estimate(self, frames: Iterable[Frame]) -> Iterator[MonoEstimate]:
        """Yield the metric depth of every frame, see ``prior.MonoPrior``."""
        for batch in batches(frames, self._batch):
            yield from self._estimates(batch)

    def close(self) -> None:
        """Drop the network."""
        del self._model

    def exportable(self) -> ExportableNetwork:
        """Return the network alone; its input is square, whatever the camera."""
        example = torch.zeros(1, 3, self._side_px, self._side_px)
        return ExportableNetwork(
            _TensorOutput(self._model),
            example,
            ('canonical_inverse_depth', 'field_of_view_deg'),
            (0.5,) * 3,
            (0.5,) * 3,
        )

    def _estimates(self, frames: list[Frame]) -> Iterator[MonoEstimate]:
        known = [
            frame.camera.fx if frame.camera and self._camera_focal else None for frame in frames
        ]
        images = np.stack([frame.image for frame in frames])
        height, width = images.shape[1:3]
        canonical, fields_of_view = self._run(images, with_field_of_view=None in known)
        for frame, inverse, fx, angle in zip(
            frames, canonical, known, fields_of_view, strict=True
        ):
            if not (fx or 0 < angle < 180):
                raise InputError(
                    f'{self.name} takes the image at {frame.stamp_ns * 1e-9:.9f} to '
                    f'have a field of view of {angle:.0f} degrees; give the '
                    'intrinsics of the camera'
                )
            focal_px = fx or focal_from_fov(angle, width)
            depth_m = metric_depth(inverse, focal_px / width, width, height)
            source = ScaleSource.INTRINSICS if fx else ScaleSource.MODEL
            yield MonoEstimate(depth_m.cpu().numpy(), PriorKind.METRIC, focal_px, source)

    def _run(self, images: np.ndarray, *, with_field_of_view: bool) -> tuple[Tensor, list[float]]:
        """Return canonical inverse depths (B, S, S) and fields of view [deg].

        images  (B, H, W, 3) uint8

        The field of view has its own transformer, which is skipped if not needed; then it is NaN.
        """
        self._model.use_fov_model = with_field_of_view
        pixels = square_input(torch.from_numpy(images).to(self._placement.device), self._side_px)
        try:
            with torch.inference_mode():
                found = self._model(pixels.to(self._placement.dtype))
        except RuntimeError as error:
            raise DeviceError(
                f'{self.name} failed on {self._placement.device}: {error}; where memory '
                'has run out, choose a smaller batch'
            ) from error
        angles = (
            found.field_of_view.float().reshape(-1).tolist()
            if with_field_of_view
            else [float('nan')] * len(images)
        )
        return found.predicted_depth.float(), angles


class _TensorOutput(nn.Module):
    """The library's network with tensors for an answer."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        network.use_fov_model = True

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image (B, 3, S, S) to canonical inverse depth (B, S, S) and field of view (B,)."""
        found = self.network(image)
        return found.predicted_depth, found.field_of_view


def square_input(images: Tensor, side_px: int) -> Tensor:
    """Return the network's input (B, 3, S, S) float32, -1 black to 1 white.

    images  (B, H, W, 3) uint8, red green blue

    The image is resized to a square without antialiasing, as in training.
    """
    pixels = (images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    if tuple(pixels.shape[2:]) == (side_px, side_px):
        return pixels
    return functional.interpolate(pixels, (side_px, side_px), mode='bilinear')


def focal_from_fov(field_of_view_deg: float, width: int) -> float:
    """Return fx [px] of an image of that width and horizontal field of view."""
    return float(0.5 * width / np.tan(0.5 * np.deg2rad(field_of_view_deg)))


def metric_depth(canonical: Tensor, focal_widths: float, width: int, height: int) -> Tensor:
    """Return Z in metres (height, width) float32: D = f / (w C), section 3.1 of the paper.

    canonical     (S, S) float32, C: the inverse depth that a camera with f = w would see
    focal_widths  f / w, the focal length in widths of the image
    """
    inverse = (canonical / focal_widths)[None, None]
    if tuple(canonical.shape) != (height, width):
        inverse = functional.interpolate(inverse, (height, width), mode='bilinear')
    return 1 / inverse[0, 0].clamp(1 / FARTHEST_M, 1 / NEAREST_M)
