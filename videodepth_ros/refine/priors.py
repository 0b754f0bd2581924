# SPDX-License-Identifier: Apache-2.0
"""Every prior of the offline job by its name: networks on single frames, the streaming models of
the live wing, and the depth that the recording has already.
"""

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
"""Priors with a memory: their answer depends on the frames before."""

NETWORKS = tuple(network.name for network in PRIOR_CARDS)
"""Priors that see one frame alone and take seconds for it on a CPU."""

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
    depth_stamps      of that topic, growing; read where it is None
    engine            what runs a streaming model, see ``engines.open.open_engine``
    device, batch     where and how the networks run, see ``models.mono.open_mono_prior``
    raises            ConfigError for a name or topic that is not there, ModelError where weights
                      are missing, DeviceError where something is not installed, BagError where
                      the recording cannot be read
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
    """A model of the live wing; values have the size of its network's input."""

    def __init__(self, model: ModelCard, engine: str = 'auto') -> None:
        """Prepare a stream of a model; its engine is opened with the first frame.

        raises  ModelError where its weights are missing
        """
        weights_path(model)
        self.name, self.notice = model.name, model.notice

        def open_now(width: int, height: int) -> Engine:
            return open_engine(model.name, engine, width, height)

        self._session = DepthSession(
            model, open_now, SessionSettings(output='network', guided=model.soft)
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
