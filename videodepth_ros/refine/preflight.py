# SPDX-License-Identifier: Apache-2.0
"""Checks before a job starts: names, topics and weights."""

from __future__ import annotations

from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.models.cards import CARD_SUFFIX, is_card
from videodepth_ros.models.catalogue import (
    METRIC_PRIORS,
    PRIOR_CARDS,
    ROLLINGDEPTH_CARD,
    align3r_card,
    card,
    cards,
    weights_path,
)
from videodepth_ros.refine.depth_topic import choose_depth_topic
from videodepth_ros.refine.priors import PRIORS
from videodepth_ros.refine.settings import Method, Pairs, RefineSettings
from videodepth_ros.rollingdepth.settings import rolling_preset


def check_requirements(bag: BagReader, settings: RefineSettings) -> None:
    """Check what a later stage would fail for.

    raises  ConfigError for an unknown prior or preset, and for a missing or ambiguous depth
            topic; ModelError with the way to get them where weights are missing
    """
    own = card(settings.prior) if is_card(settings.prior) else None
    if own is None and settings.prior not in PRIORS:
        raise ConfigError(
            f'there is no prior {settings.prior!r}: choose one of {", ".join(PRIORS)}, or the '
            f'path of the {CARD_SUFFIX} card of a network'
        )
    if settings.prior == 'bag':
        choose_depth_topic(bag, settings.depth_topic)
    for model in (*cards(), *PRIOR_CARDS):
        if model.name == settings.prior:
            weights_path(model)
    if settings.method is Method.ROLLINGDEPTH:
        rolling_preset(settings.preset)
        weights_path(ROLLINGDEPTH_CARD)
    if settings.chosen_pairs is Pairs.ALIGN3R:
        relative = {each.name for each in PRIOR_CARDS} - set(METRIC_PRIORS)
        is_relative = own.is_relative if own else settings.prior in relative
        weights_path(align3r_card(metric=not is_relative))
