# SPDX-License-Identifier: Apache-2.0
"""Depth Anything V2 (Yang et al., arXiv 2406.09414): relative inverse depth, or metric depth.

Network and image processor are those of `transformers`, the latter in its variant that resizes
with Pillow, so that torchvision need not be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DepthAnythingForDepthEstimation, DPTImageProcessorPil

from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.catalogue import FolderCard
from videodepth_ros.models.device_precision import DevicePrecision
from videodepth_ros.models.pretrained import ExportableNetwork, load_pretrained
from videodepth_ros.models.prior import MonoEstimate, PriorKind, batches


class DepthAnything:
    """Depth Anything V2; values have the size of the network's input, about 518 px.

    The library's cubic upsampling to the camera's size overshoots at edges and is not used.
    """

    def __init__(
        self, card: FolderCard, folder: Path, placement: DevicePrecision, batch: int = 0
    ) -> None:
        """Load network and processor of a folder, see ``mono.open_mono_prior``.

        raises  ModelError where it is incomplete
        """
        self.name, self.notice = card.name, card.notice
        self._placement, self._batch = placement, placement.batch(batch, on_gpu=16)
        self._model: Any = load_pretrained(DepthAnythingForDepthEstimation, folder, placement)
        try:
            self._processor: Any = DPTImageProcessorPil.from_pretrained(
                folder, local_files_only=True
            )
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(
                f'{folder}/preprocessor_config.json cannot be used: {error}; {card.how_to_get}'
            ) from error
        # Relative and metric outputs have the same tensors: the configuration decides.
        self._is_metric = self._model.config.depth_estimation_type == 'metric'

    def estimate(self, frames: Iterable[Frame]) -> Iterator[MonoEstimate]:
        """Yield the estimate of every frame, see ``prior.MonoPrior``."""
        kind, source = (
            (PriorKind.METRIC, ScaleSource.MODEL)
            if self._is_metric
            else (PriorKind.RELATIVE_INVERSE, None)
        )
        for batch in batches(frames, self._batch):
            for values in self._run(batch):
                yield MonoEstimate(values.numpy(), kind, scale_source=source)

    def close(self) -> None:
        """Drop the network."""
        del self._model

    def exportable(self, width: int, height: int) -> ExportableNetwork:
        """Return the network alone, for camera images of ``width`` x ``height``."""
        pixels = self._processor(
            [np.zeros((height, width, 3), np.uint8)],
            return_tensors='pt',
            input_data_format='channels_last',
        )['pixel_values']
        name = 'depth' if self._is_metric else 'relative_inverse_depth'
        return ExportableNetwork(
            _TensorOutput(self._model),
            torch.zeros_like(pixels),
            (name,),
            tuple(self._processor.image_mean),
            tuple(self._processor.image_std),
        )

    def _run(self, frames: list[Frame]) -> Tensor:
        """Return the answers (B, h, w) float32, on the CPU, for frames of one size."""
        inputs = self._processor(
            [frame.image for frame in frames],
            return_tensors='pt',
            input_data_format='channels_last',
        )
        pixels = inputs['pixel_values'].to(self._placement.device, self._placement.dtype)
        try:
            with torch.inference_mode():
                return self._model(pixels).predicted_depth.float().cpu()
        except RuntimeError as error:
            raise DeviceError(
                f'{self.name} failed on {self._placement.device}: {error}; where memory '
                'has run out, choose a smaller batch'
            ) from error


class _TensorOutput(nn.Module):
    """The library's network with a tensor for an answer."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, h, w) to values (B, h, w)."""
        return self.network(image).predicted_depth
