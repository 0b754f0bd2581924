# SPDX-License-Identifier: Apache-2.0
"""Cards of the catalogue: what is recorded of the weights of a network. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.models.hub import HubSource
from videodepth_ros.models.preprocess import budget_size

CARD_SUFFIX = '.yaml'
"""Suffix of the path of a card (network_card.py), which stands for the name of a model."""


def is_card(name: str) -> bool:
    """Return whether the name of a model is the path of a card."""
    return name.endswith(CARD_SUFFIX)


class InverseDepthUnit(str, Enum):
    """Relation of a model's inverse depth v to the depth Z in metres."""

    NOMINAL = 'nominal'  # v = 100 / Z: FlashDepth's training unit, in effect relative
    CANONICAL = 'canonical'  # v = 100 fx / (width Z): metric with known intrinsics
    CANONICAL_AREA = 'canonical by area'  # v = 100 fx / (w Z), w: width of a 4:3 image as large

    @property
    def is_canonical(self) -> bool:
        """Whether the focal length turns it into metres."""
        return self is not InverseDepthUnit.NOMINAL


@dataclass(frozen=True)
class WeightsCard:
    """Weights of one network.

    name          in parameters and flags
    variant       description
    weights_file  name of the file or folder in the store
    licence       SPDX identifier of the licence of the weights
    commercial_use  whether that licence allows it
    source        one sentence: origin of the file
    hub           where the authors publish it; None: bundled
    sha256        of the stored file, where only one file is valid
    conditions    conditions of a licence that allows commercial use
    bundled       whether weights come with the package; imported ones take precedence
    """

    name: str
    variant: str
    weights_file: str
    licence: str
    commercial_use: bool
    source: str
    hub: HubSource | None = field(default=None, kw_only=True)
    sha256: str | None = field(default=None, kw_only=True)
    conditions: str | None = field(default=None, kw_only=True)
    bundled: bool = field(default=False, kw_only=True)

    @property
    def how_to_get(self) -> str:
        """Command that installs the weights."""
        if self.bundled:
            return 'install the package again'
        return f'videodepth weights fetch {self.name}'

    @property
    def notice(self) -> str | None:
        """Licence notice due to the user; None without restrictions."""
        if self.commercial_use:
            return self.conditions
        return (
            f'the weights of {self.name} are licensed {self.licence}: they must not be used '
            'commercially'
        )


@dataclass(frozen=True)
class ErrorModel:
    """Expected relative error of a network's depth, see stream/confidence.py.

    error = factor (curvature + floor)^curvature_power (flicker + floor)^flicker_power
            (slope + floor)^slope_power
    least, most    limits of the error
    usual_flicker  flicker that the first frame of a stream is taken to have
    """

    factor: float
    curvature_power: float
    flicker_power: float
    slope_power: float = 0.0
    floor: float = 0.003
    least: float = 0.03
    most: float = 0.9
    usual_flicker: float = 0.04

    def error(
        self,
        curvature: Float32Array | float,
        flicker: Float32Array | float,
        slope: Float32Array | float,
    ) -> Float32Array | float:
        """Return the expected relative error, before its limits."""
        return (
            self.factor
            * (curvature + self.floor) ** self.curvature_power
            * (flicker + self.floor) ** self.flicker_power
            * (slope + self.floor) ** self.slope_power
        )


UNCALIBRATED = ErrorModel(0.68, 0.148, 0.24, -0.07, least=0.15)
"""Cautious model of networks that none was fitted to: 1.5 times that of `nano`, at least 15 %."""

Card = TypeVar('Card', bound=WeightsCard)


@dataclass(frozen=True)
class ModelCard(WeightsCard):
    """A model that streams depth.

    mamba_stage   decoder stage, 4 (coarsest) to 1, followed by the temporal module; None: there
                  is no such module
    unit          of the inverse depth
    patch         width and height of the network's input are multiples of this [px]
    min_size_px   shortest side of the network's input
    max_pixels    default limit of the number of pixels of the network's input
    soft          whether its edges are blurred: guided filter by default
    drifts        whether its scale changes with the view: stabilised by default
    errors        expected error of its depth; None: it was not measured
    """

    mamba_stage: int | None
    unit: InverseDepthUnit
    patch: int
    min_size_px: int
    max_pixels: int
    drifts: bool = field(default=False, kw_only=True)
    soft: bool = field(default=False, kw_only=True)
    errors: ErrorModel | None = field(default=None, kw_only=True)

    @property
    def is_relative(self) -> bool:
        """Whether its depth has an unknown unit of each frame."""
        return False

    def input_size(self, width: int, height: int, max_pixels: int = 0) -> tuple[int, int]:
        """Return width and height of the network's input for an image of ``width`` x ``height``.

        max_pixels  limit of its pixels; 0: the model's own
        raises      ConfigError where the limit is below one patch
        """
        return budget_size(width, height, max_pixels or self.max_pixels, self.patch)


@dataclass(frozen=True)
class FolderCard(WeightsCard):
    """A network that transformers or diffusers load from a folder."""

    @property
    def repository(self) -> str:
        """Repository of the Hugging Face hub, ``owner/name``."""
        assert self.hub is not None
        return self.hub.repository

    @property
    def components(self) -> tuple[str, ...]:
        """Files that the folder must have."""
        assert self.hub is not None
        return self.hub.files


def folder_card(
    name: str,
    variant: str,
    licence: str,
    hub: HubSource,
    conditions: str | None = None,
    commercial_use: bool | None = None,
) -> FolderCard:
    """Return the card of a folder of the hub; commercial use by the licence, if not given."""
    return FolderCard(
        name,
        variant,
        name,
        licence,
        licence == 'Apache-2.0' if commercial_use is None else commercial_use,
        f'{hub.repository} on the Hugging Face hub',
        hub=hub,
        conditions=conditions,
    )


def find_card(name: str, choices: tuple[Card, ...]) -> Card:
    """Return the card of that name.

    raises  ConfigError naming the choices
    """
    for choice in choices:
        if choice.name == name:
            return choice
    names = ', '.join(choice.name for choice in choices)
    raise ConfigError(f'there is no model {name!r}: choose one of {names}')
