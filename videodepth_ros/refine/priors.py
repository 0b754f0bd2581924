# SPDX-License-Identifier: Apache-2.0
"""The priors by name: networks on single frames, streaming models, depth of the recording."""

from __future__ import annotations

from pathlib import Path

from videodepth_ros.bags.stamps import Stamps
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.models.cards import is_card
from videodepth_ros.models.catalogue import PRIOR_CARDS, card, cards
from videodepth_ros.models.mono import MonoPrior, open_mono_prior
from videodepth_ros.refine.bag_depth import BagDepthPrior
from videodepth_ros.stream.streaming_prior import StreamingPrior

STREAMING = tuple(model.name for model in cards())
"""Priors with a recurrent state: their estimates depend on earlier frames."""

NETWORKS = tuple(network.name for network in PRIOR_CARDS)
"""Priors on single frames, which take seconds a frame on a CPU."""

PRIORS = (*STREAMING, 'bag', *NETWORKS)


def is_streaming(name: str) -> bool:
    """Return whether a prior is a streaming model, given by its name or the path of its card."""
    return name in STREAMING or is_card(name)


def open_prior(
    name: str,
    *,
    bag: Path | None = None,
    depth_topic: str | None = None,
    depth_stamps: Stamps | None = None,
    depth_unit_m: float = 0.0,
    rectify: str = 'auto',
    engine: str = 'auto',
    device: str = 'auto',
    batch: int = 0,
) -> MonoPrior:
    """Open a prior by its name, one of ``PRIORS``, or by the path of a card.

    Nothing is downloaded.

    bag, depth_topic  for the prior ``bag``: the recording, and its topic where it has several
    depth_stamps      of that topic, increasing; None: read here
    depth_unit_m, rectify  see `BagDepthPrior`
    engine            runtime of a streaming model, see ``engines.open.open_engine``
    device, batch     placement of the networks, see ``models.mono.open_mono_prior``
    raises            ConfigError for an unknown name or topic, ModelError where weights are
                      missing, DeviceError where something is not installed, BagError where the
                      recording cannot be read
    """
    if name in NETWORKS:
        return open_mono_prior(name, device=device, batch=batch)
    if is_streaming(name):
        return StreamingPrior(card(name), engine)
    if name != 'bag':
        raise ConfigError(f'there is no prior {name!r}: choose one of {", ".join(PRIORS)}')
    if bag is None:
        raise ConfigError('the prior bag is the depth of a recording: name the recording')
    return BagDepthPrior(bag, depth_topic, depth_stamps, unit_m=depth_unit_m, rectify=rectify)
