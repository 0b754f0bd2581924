# SPDX-License-Identifier: Apache-2.0
"""A single-image network in ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.engines.onnx_engine import ORT_ERRORS, session_options, usable_cores
from videodepth_ros.models.network_card import NetworkCard


class OnnxRunner:
    """A network of a card, see ``single_image.NetworkRunner``."""

    engine, precision = 'onnx', 'fp32'

    def __init__(self, card: NetworkCard, threads: int = 0) -> None:
        """Load the network; it takes any size.

        threads  per frame; 0: the cores available to this process
        raises   ModelError if ONNX Runtime cannot load it
        """
        threads = threads or usable_cores()
        self._card, self.device = card, f'CPU, {threads} threads'
        try:
            self._session = ort.InferenceSession(
                str(card.file), session_options(threads), providers=['CPUExecutionProvider']
            )
        except ORT_ERRORS as error:
            raise ModelError(
                f'ONNX Runtime {ort.__version__} cannot load {card.file}: {error}; export it '
                'with another opset'
            ) from error

    def run(self, image: Float32Array) -> Mapping[str, Float32Array]:
        """Compute the outputs of an image, see ``single_image.NetworkRunner``."""
        graph = self._card.graph
        try:
            found = self._session.run(
                graph.outputs,
                {graph.image: image.astype(graph.dtype, copy=False), **graph.constants},
            )
        except ORT_ERRORS as error:
            raise DeviceError(
                f'ONNX Runtime failed on {self._card.name} with an input of {image.shape}: '
                f'{" ".join(str(error).split())}; check size or multiple in the card'
            ) from error
        return {
            name: np.asarray(each, np.float32)
            for name, each in zip(graph.outputs, found, strict=True)
        }

    def close(self) -> None:
        """Free the session."""
        del self._session
