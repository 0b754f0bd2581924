# SPDX-License-Identifier: Apache-2.0
"""A single-image network in OpenVINO, at one size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.openvino_engine import ERRORS, compile_graph, describe_device, one_line
from videodepth_ros.engines.openvino_runtime import ov
from videodepth_ros.models.network_card import NetworkCard


class OpenVinoRunner:
    """A network of a card, see ``single_image.NetworkRunner``."""

    engine = 'openvino'

    def __init__(
        self,
        card: NetworkCard,
        size: tuple[int, int],
        *,
        precision: str = 'fp32',
        threads: int = 0,
        device: str = 'CPU',
        cache: Path | None = None,
    ) -> None:
        """Compile the network for inputs of ``size``, width and height.

        precision, threads, device, cache  see ``OpenVinoEngine``
        raises     ModelError if OpenVINO cannot load the file, DeviceError if the device fails
        """
        self._card, self.precision = card, precision
        shape = (1,) * (card.graph.rank - 3) + (3, size[1], size[0])
        compiled, name = compile_graph(
            card.file, card.name, precision, threads, device, cache, {card.graph.image: shape}
        )
        self._request: Any = compiled.create_infer_request()
        self._outputs = {name: compiled.output(name) for name in card.graph.outputs}
        self.device = describe_device(name, threads)

    def run(self, image: Float32Array) -> Mapping[str, Float32Array]:
        """Compute the outputs of an image, see ``single_image.NetworkRunner``."""
        graph = self._card.graph
        try:
            found = self._request.infer(
                {graph.image: image.astype(graph.dtype, copy=False), **graph.constants},
                share_inputs=True,
                share_outputs=False,
            )
        except ERRORS as error:
            raise DeviceError(
                f'OpenVINO {ov.__version__} failed on {self._card.name}: {one_line(error)}; '
                'restart the stream and check the free memory'
            ) from error
        return {name: np.asarray(found[port], np.float32) for name, port in self._outputs.items()}

    def close(self) -> None:
        """Free the compiled model."""
        del self._request
