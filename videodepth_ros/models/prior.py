# SPDX-License-Identifier: Apache-2.0
"""Interface of monocular depth priors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby, islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.frames import Frame, ScaleSource

Array = NDArray[np.float32]


class PriorKind(str, Enum):
    """Kind of the values of an estimate."""

    METRIC = 'metric'  # depth: Z in metres
    RELATIVE_INVERSE = 'relative_inverse'  # a / Z + b: inverse depth up to scale and shift


@dataclass(frozen=True)
class MonoEstimate:
    """Estimate of one frame.

    values        (h, w) float32 of the whole image, at a size of the prior's choice; NaN unknown;
                  a depth of +inf or an inverse depth of 0: nothing hit
    kind          of ``values``
    focal_px      fx at the width of ``values``, used for the depth or estimated; None: unknown
    scale_source  origin of the metres; None without metres
    """

    values: Array
    kind: PriorKind
    focal_px: float | None = None
    scale_source: ScaleSource | None = None

    def at_focal(self, focal_px: float) -> MonoEstimate:
        """Return the metric depth for another focal length.

        focal_px  at the width of ``values``
        raises    InputError where the depth does not depend on a focal length

        Depth Pro estimates a focal length per frame; one for all frames of a camera reduces
        flicker. D = f / (w C) is proportional to it (arXiv 2410.02073, section 3.1).
        """
        if self.kind is not PriorKind.METRIC or self.focal_px is None:
            raise InputError('this estimate has no focal length to be replaced')
        factor = np.float32(focal_px / self.focal_px)
        return replace(self, values=self.values * factor, focal_px=focal_px)


class MonoPrior(Protocol):
    """Monocular depth prior.

    name    by which it is opened
    notice  licence notice due to the user; None without restrictions
    """

    name: str
    notice: str | None

    def estimate(self, frames: Iterable[Frame]) -> Iterator[MonoEstimate]:
        """Yield the estimate of every frame, in order; at most one batch is held.

        raises  InputError where a frame is unusable, DeviceError where the computation fails
        """

    def close(self) -> None:
        """Free all memory."""


def batches(frames: Iterable[Frame], most: int) -> Iterator[list[Frame]]:
    """Yield the frames in order, in lists of up to ``most`` of one size."""
    for _, alike in groupby(frames, key=lambda frame: frame.size):
        while batch := list(islice(alike, most)):
            yield batch
