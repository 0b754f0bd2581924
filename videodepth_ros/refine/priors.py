# SPDX-License-Identifier: Apache-2.0
"""The priors by name: networks on single frames, streaming models, depth of the recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from videodepth_ros.bags.stamps import Stamps
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.open import open_engine
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.catalogue import PRIOR_CARDS, ModelCard, card, cards, weights_path
from videodepth_ros.models.mono import MonoEstimate, MonoPrior, PriorKind, open_mono_prior
from videodepth_ros.refine.bag_depth import BagDepthPrior
from videodepth_ros.stream.session import DepthSession, SessionSettings

STREAMING = tuple(model.name for model in cards())
"""Priors with a recurrent state: their estimates depend on earlier frames."""

NETWORKS = tuple(network.name for network in PRIOR_CARDS)
"""Priors on single frames, which take seconds a frame on a CPU."""

PRIORS = (*STREAMING, 'bag', *NETWORKS)


def open_prior(
    name: str,
    *,
    bag: Path | None = None,
    depth_topic: str | None = None,
    depth_stamps: Stamps | None = None,
    engine: str = 'auto',
    device: str = 'auto',
    batch: int = 0,
) -> MonoPrior:
    """Open a prior by its name, one of ``PRIORS``; nothing is downloaded.

    bag, depth_topic  for the prior ``bag``: the recording, and its topic where it has several
    depth_stamps      of that topic, increasing; None: read here
    engine            runtime of a streaming model, see ``engines.open.open_engine``
    device, batch     placement of the networks, see ``models.mono.open_mono_prior``
    raises            ConfigError for an unknown name or topic, ModelError where weights are
                      missing, DeviceError where something is not installed, BagError where the
                      recording cannot be read
    """
    if name in NETWORKS:
        return open_mono_prior(name, device=device, batch=batch)
    if name in STREAMING:
        return StreamingPrior(card(name), engine)
    if name != 'bag':
        raise ConfigError(f'there is no prior {name!r}: choose one of {", ".join(PRIORS)}')
    if bag is None:
        raise ConfigError('the prior bag is the depth of a recording: name the recording')
    return BagDepthPrior(bag, depth_topic, depth_stamps)


class StreamingPrior:
    """A streaming model as a prior; values have the size of its network's input."""

    def __init__(self, model: ModelCard, engine: str = 'auto') -> None:
        """Prepare a stream; its engine is opened with the first frame.

        raises  ModelError where the weights are missing
        """
        weights_path(model)
        self.name, self.notice = model.name, model.notice

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
            used = depth.camera if depth.scale_source is ScaleSource.INTRINSICS else None
            yield MonoEstimate(
                depth.depth_m, PriorKind.METRIC, used.fx if used else None, depth.scale_source
            )

    def close(self) -> None:
        """Free the engine."""
        self._session.close()
