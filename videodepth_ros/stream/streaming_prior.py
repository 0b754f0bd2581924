# SPDX-License-Identifier: Apache-2.0
"""A model that streams depth, or a single-image network of a card, as a prior."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.open import open_engine
from videodepth_ros.frames import DepthMap, Frame, ScaleSource
from videodepth_ros.models.catalogue import ModelCard, weights_path
from videodepth_ros.models.mono import MonoEstimate, PriorKind
from videodepth_ros.stream.session import DepthSession, SessionSettings


class StreamingPrior:
    """A streaming model as a prior; values have the size of its network's input."""

    def __init__(self, model: ModelCard, engine: str = 'auto') -> None:
        """Prepare a stream; its engine is opened with the first frame.

        raises  ModelError where the weights are missing
        """
        weights_path(model)
        self.name, self.notice = model.name, model.notice
        self._model = model

        def open_for_size(width: int, height: int) -> Engine:
            return open_engine(model.name, engine, width, height)

        self._session = DepthSession(
            model, open_for_size, SessionSettings(output='network', guided=model.soft)
        )

    def estimate(self, frames: Iterable[Frame]) -> Iterator[MonoEstimate]:
        """Yield the depth of every frame of one stream, see ``prior.MonoPrior``."""
        self._session.forget()
        for frame in frames:
            depth = self._session.step(frame, with_confidence=False).depth
            yield _relative(depth) if self._model.is_relative else _metric(depth)

    def close(self) -> None:
        """Free the engine."""
        self._session.close()


def _metric(depth: DepthMap) -> MonoEstimate:
    used = depth.camera if depth.scale_source is ScaleSource.INTRINSICS else None
    return MonoEstimate(
        depth.depth_m, PriorKind.METRIC, used.fx if used else None, depth.scale_source
    )


def _relative(depth: DepthMap) -> MonoEstimate:
    """Return relative inverse depth, 0 where nothing was hit."""
    return MonoEstimate(np.divide(1, depth.depth_m, dtype=np.float32), PriorKind.RELATIVE_INVERSE)
