# SPDX-License-Identifier: Apache-2.0
"""A single-image network of the user as an engine: normalisation, run, meaning of its output.

The network runs in ONNX Runtime or OpenVINO (single_image_onnx.py, single_image_openvino.py). The
state of a stream is the factor that its first frame gives to a relative output, so that the unit
does not change within a stream; the session stabilises what drifts (stream/stabilization.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray, UInt8Array
from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.engine import EngineSpec, State, TensorSpec, check_image
from videodepth_ros.engines.graph import IMAGE, INVERSE_DEPTH, STATE_IN, STATE_OUT
from videodepth_ros.engines.options import SingleImageOptions
from videodepth_ros.engines.point_map import depth_of_points
from videodepth_ros.models.network_card import NetworkCard
from videodepth_ros.models.network_entries import OutputKind
from videodepth_ros.models.preprocess import normalised

DEFAULTS = SingleImageOptions()
NOMINAL = 100.0
"""Inverse depth of Z = 1 m in the units of ``InverseDepthUnit``."""


class NetworkRunner(Protocol):
    """A network in a runtime, at one size.

    engine     name of the engine
    device     description, for diagnostics
    precision  ``fp32``, ``fp16`` or ``bf16``
    """

    engine: str
    device: str
    precision: str

    def run(self, image: Float32Array) -> Mapping[str, Float32Array]:
        """Compute the outputs of a normalised image.

        image    of the shape of the network's input, float32
        returns  ``NetworkGraph.outputs`` by name, in the shapes that the network gives them
        raises   DeviceError if the device fails
        """

    def close(self) -> None:
        """Free all memory."""


class SingleImageEngine:
    """A network of a card, see ``Engine``; the input is the image (H, W, 3) uint8.

    States are arrays (1) float32: the factor of a relative output; 0 before the first frame.
    """

    def __init__(
        self,
        card: NetworkCard,
        width: int,
        height: int,
        open_runner: Callable[[], NetworkRunner],
        notes: tuple[str, ...] = (),
    ) -> None:
        """Open the network and run it once.

        open_runner  opens it in a runtime at ``width`` x ``height``
        notes        events while it was opened, passed on in the spec
        raises       ModelError where its output is not a map of the input; what opening raises
        """
        self._card, self._runner = card, open_runner()
        runner = self._runner
        self.spec = EngineSpec(
            model=card.name,
            engine=runner.engine,
            device=runner.device,
            precision=runner.precision,
            width=width,
            height=height,
            inputs=(
                TensorSpec(IMAGE, (height, width, 3), 'uint8'),
                TensorSpec(STATE_IN, (1,), 'float32'),
            ),
            outputs=(
                TensorSpec(INVERSE_DEPTH, (1, height, width), 'float32'),
                TensorSpec(STATE_OUT, (1,), 'float32'),
            ),
            notes=notes,
        )
        try:
            self._inverse_depth(np.zeros((height, width, 3), np.uint8))
        except Exception:
            runner.close()
            raise

    def zero_state(self) -> State:
        """Return the state before the first frame."""
        return State(np.zeros(1, np.float32))

    def step(self, image: UInt8Array, state: State) -> tuple[Float32Array, State]:
        """Compute one frame, see ``Engine.step``."""
        check_image(image, self.spec)
        inverse_depth = self._inverse_depth(image)
        if not self._card.output.is_relative:
            return inverse_depth, state
        factor = np.asarray(state, np.float32)
        if not factor.any():
            factor = _nominal_factor(inverse_depth)
        return inverse_depth * factor, State(factor)

    def close(self) -> None:
        """Free the network."""
        self._runner.close()

    def _inverse_depth(self, image: UInt8Array) -> Float32Array:
        """Return inverse depth (height, width) float32 in the unit of the card, for an image."""
        card, graph = self._card, self._card.graph
        planes = normalised(image, card.mean, card.std, card.channels)
        ones = (1,) * (graph.rank - planes.ndim)
        found = self._runner.run(planes.reshape(ones + planes.shape))
        hit = None
        if card.hit and graph.hit:
            values = self._fitted(graph.hit, found[graph.hit])
            hit = values > card.hit.limit if card.hit.is_above else values < card.hit.limit
        depth = self._depth(found, hit)
        inverse_depth = to_inverse_depth(depth, card, self.spec.width)
        return inverse_depth if hit is None else np.where(hit, inverse_depth, np.float32(0))

    def _depth(self, found: Mapping[str, Float32Array], hit: MaskArray | None) -> Float32Array:
        """Return the output (height, width) float32; of a point map the depth in metres."""
        graph = self._card.graph
        values = found[graph.output]
        if self._card.output is not OutputKind.POINTS or not graph.scale:
            return self._fitted(graph.output, values)
        points = np.stack(
            [self._fitted(graph.output, values[..., axis]) for axis in range(3)], axis=-1
        )
        is_point = np.ones(points.shape[:2], np.bool_) if hit is None else hit
        return depth_of_points(points, is_point) * found[graph.scale].reshape(-1)[0]

    def _fitted(self, name: str, values: Float32Array) -> Float32Array:
        """Return an output as a map (height, width) float32 of the image.

        raises  ModelError where it is none
        """
        width, height = self.spec.width, self.spec.height
        squeezed = values.squeeze()
        rows, columns = squeezed.shape if squeezed.ndim == 2 else (0, 0)
        ratio = columns * height / (rows * width) if rows else 0.0
        if not 1 / DEFAULTS.max_aspect_change <= ratio <= DEFAULTS.max_aspect_change:
            raise ModelError(
                f'the output {name} of {self._card.file} is {values.shape} for an image of '
                f'{width}x{height}: it is not a map of the image; give another output_name in '
                f'{self._card.name}'
            )
        if (rows, columns) == (height, width):
            return squeezed
        return np.asarray(cv2.resize(squeezed, (width, height)), np.float32)


def to_inverse_depth(values: Float32Array, card: NetworkCard, width: int) -> Float32Array:
    """Return inverse depth in the unit of the card, >= 0, 0 where nothing was hit.

    values  (H, W) float32, output of the network; NaN stays NaN. An inverse depth below 0 and a
            depth that is not above 0 stand for nothing hit
    width   of the network's input [px]

    A relative output has an unknown factor. Canonical depth y = Z F / fx gives
    C = fx / (width Z) = F / (width y) (Depth Pro, arXiv 2410.02073, section 3.1; Metric3D, arXiv
    2307.10984, section 3.1).
    """
    if card.output.is_inverse:
        return np.maximum(values, 0) * np.float32(NOMINAL)
    is_canonical = card.output is OutputKind.CANONICAL
    factor = np.float32(NOMINAL * (card.canonical_focal_px / width if is_canonical else 1))
    return np.divide(factor, values, out=np.zeros_like(values), where=~(values <= 0))


def _nominal_factor(inverse_depth: Float32Array) -> Float32Array:
    """Return the factor (1) float32 that puts the median at a nominal depth; 0 without depth."""
    hit = inverse_depth[inverse_depth > 0]
    if not hit.size:
        return np.zeros(1, np.float32)
    return np.array([NOMINAL / DEFAULTS.nominal_depth_m / np.median(hit)], np.float32)
