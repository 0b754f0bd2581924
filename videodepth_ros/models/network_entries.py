# SPDX-License-Identifier: Apache-2.0
"""Entries of the card of a network (network_card.py): their parsers, and what to give."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from videodepth_ros.models.cards import InverseDepthUnit
from videodepth_ros.models.preprocess import Triple


class OutputKind(str, Enum):
    """Meaning of a network's output y for a point at depth Z [m]."""

    RELATIVE_INVERSE = 'relative inverse depth'  # a / Z + b with unknown a and b: MiDaS
    RELATIVE = 'relative depth'  # a Z with unknown a
    INVERSE = 'inverse depth'  # 1 / Z [1/m]
    METRIC = 'depth in metres'  # Z
    CANONICAL_INVERSE = 'canonical inverse depth'  # fx / (width Z): Depth Pro
    CANONICAL = 'canonical depth'  # Z F / fx, F the canonical focal length [px]: Metric3D
    POINTS = (
        'affine point map'  # X, Y, Z + b in an unknown unit, which scale_name turns to m: MoGe
    )

    @property
    def is_relative(self) -> bool:
        """Whether its unit is unknown."""
        return self in (OutputKind.RELATIVE_INVERSE, OutputKind.RELATIVE)

    @property
    def is_inverse(self) -> bool:
        """Whether it falls with the depth."""
        return self.value.endswith('inverse depth')

    @property
    def unit(self) -> InverseDepthUnit:
        """Unit of the inverse depth that the engine makes of it."""
        is_canonical = self in (OutputKind.CANONICAL_INVERSE, OutputKind.CANONICAL)
        return InverseDepthUnit.CANONICAL if is_canonical else InverseDepthUnit.NOMINAL


@dataclass(frozen=True)
class HitRule:
    """Pixels that hit something: those whose value of an output is above a limit, or below it."""

    output: str
    is_above: bool
    limit: float


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _triple(value: Any) -> Triple:
    red, green, blue = (_number(each) for each in value)
    return red, green, blue


def _positive_triple(value: Any) -> Triple:
    triple = _triple(value)
    if min(triple) <= 0:
        raise ValueError
    return triple


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ValueError
    return float(value)


def _positive(value: Any) -> float:
    if not _number(value) > 0:
        raise ValueError
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _parse_size(value: Any) -> tuple[int, int]:
    match = re.fullmatch(r'([1-9]\d{0,4})x([1-9]\d{0,4})', _text(value))
    if not match:
        raise ValueError
    return int(match[1]), int(match[2])


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _colours(value: Any) -> str:
    if value not in ('rgb', 'bgr'):
        raise ValueError
    return str(value)


def _names(value: Any) -> tuple[str, ...]:
    return tuple(_text(each) for each in (value if isinstance(value, list) else [value]))


def _constants(value: Any) -> tuple[tuple[str, float], ...]:
    return tuple((_text(name), _number(each)) for name, each in dict(value).items())


def _hit_rule(value: Any) -> HitRule:
    match = re.fullmatch(r'(\S+)\s*([<>])\s*(\S+)', _text(value))
    if not match:
        raise ValueError
    return HitRule(match[1], match[2] == '>', _number(float(match[3])))


def _sha256(value: Any) -> str:
    if not re.fullmatch('[0-9a-f]{64}', _text(value)):
        raise ValueError
    return _text(value)


ENTRIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    'file': (_text, 'the ONNX file, relative to the card'),
    'output': (OutputKind, 'one of ' + ', '.join(kind.value for kind in OutputKind)),
    'licence': (_text, 'the SPDX identifier of the licence of the weights, or unknown'),
    'size': (_parse_size, 'width and height of the input, such as 518x392'),
    'multiple': (_count, 'a whole number of pixels of which both sides are multiples'),
    'max_pixels': (_count, 'the largest number of pixels of the input'),
    'white': (_positive, 'the value of white before normalisation, such as 1 or 255'),
    'mean': (_triple, 'three numbers, of red, green and blue'),
    'std': (_positive_triple, 'three numbers above 0, of red, green and blue'),
    'colours': (_colours, 'rgb or bgr, the order of the channels'),
    'output_name': (_names, 'the name of the output with the depth, or a list of alternatives'),
    'constants': (_constants, 'names and numbers of the inputs beside the image'),
    'scale_name': (_names, 'the name of the output with the factor from its points to metres'),
    'hit': (_hit_rule, 'where something was hit, such as "mask > 0.5" or "sky < 0.5"'),
    'canonical_focal_px': (_positive, 'the focal length of the canonical camera in pixels'),
    'soft_edges': (_flag, 'true if its edges are blurred, so that the guided filter is on'),
    'network': (_text, 'a description of the network'),
    'url': (_text, 'where the authors publish it'),
    'sha256': (_sha256, 'the SHA-256 of the file, 64 hexadecimal digits'),
    'taught_by': (_text, 'the networks or data that it was trained with, and their licences'),
}
"""Entries of a card: parser, and what to give."""

REQUIRED = ('file', 'output', 'licence')
