# SPDX-License-Identifier: Apache-2.0
"""Models of the catalogue as results of commands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFacts:
    """One model of the catalogue; ``path`` is None if its weights are not on this machine."""

    name: str
    variant: str
    licence: str
    commercial_use: bool
    bundled: bool
    path: str | None
    sha256: str | None
    source: str


def model_facts(name: str) -> ModelFacts:
    """Return the catalogue entry of a model and the path of its weights."""
    from videodepth_ros.core.errors import ModelError
    from videodepth_ros.models.catalogue import weights_card, weights_path

    model = weights_card(name)
    try:
        path = str(weights_path(model))
    except ModelError:
        path = None
    return ModelFacts(
        model.name,
        model.variant,
        model.licence,
        model.commercial_use,
        model.bundled,
        path,
        model.sha256,
        model.source,
    )
