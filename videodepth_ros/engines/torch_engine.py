# SPDX-License-Identifier: Apache-2.0
"""Reference engine: the model in torch on the CPU."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.engine import EngineSpec, State, TensorSpec, check_image
from videodepth_ros.engines.graph import IMAGE, INVERSE_DEPTH, STATE_IN, STATE_OUT
from videodepth_ros.models.flashdepth import FlashDepth


class TorchEngine:
    """A FlashDepth at one size. States are tensors (layers, 1, heads, P, N) float32."""

    def __init__(
        self, model: FlashDepth, name: str, width: int, height: int, threads: int = 0
    ) -> None:
        """Wrap ``model``, called ``name`` in the catalogue, for inputs of ``width`` x ``height``.

        threads  of the whole process, as torch has it; 0: unchanged
        """
        if threads > 0:
            torch.set_num_threads(threads)
        self._model = model.eval()
        state = TensorSpec(STATE_IN, tuple(model.zero_state().shape), 'float32')
        self.spec = EngineSpec(
            model=name,
            engine='torch',
            precision='fp32',
            width=width,
            height=height,
            device=f'CPU, {torch.get_num_threads()} threads',
            inputs=(TensorSpec(IMAGE, (1, 3, height, width), 'float32'), state),
            outputs=(
                TensorSpec(INVERSE_DEPTH, (1, height, width), 'float32'),
                TensorSpec(STATE_OUT, state.shape, 'float32'),
            ),
        )

    def zero_state(self) -> State:
        """Return the state before the first frame."""
        return State(self._model.zero_state())

    def step(self, image: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Compute one frame, see ``Engine.step``."""
        check_image(image, self.spec)
        try:
            with torch.inference_mode():
                inverse_depth, after = self._model.step(
                    torch.from_numpy(image)[None], cast(torch.Tensor, state)
                )
        except RuntimeError as error:
            raise DeviceError(
                f'torch failed on {self.spec.model}: {error}; restart the stream '
                'and check the free memory'
            ) from error
        return inverse_depth[0].numpy(), State(after)

    def close(self) -> None:
        """Release the weights."""
        del self._model
