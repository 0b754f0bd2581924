# SPDX-License-Identifier: Apache-2.0
"""What every monocular prior tells of a frame, and how it is asked."""

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
    """What the values of an estimate are."""

    METRIC = 'metric'  # depth: Z in metres
    RELATIVE_INVERSE = 'relative_inverse'  # a / Z + b: inverse depth up to scale and shift


@dataclass(frozen=True)
class MonoEstimate:
    """What a prior says of one frame.

    values        (h, w) float32 of the whole image, at a size that the prior chooses; NaN unknown;
                  a depth of +inf or an inverse depth of 0: nothing hit
    kind          what ``values`` are
    focal_px      fx, at the width of ``values``, that a depth was computed with or that was
                  estimated; None where the prior knows of none
    scale_source  where the metres come from; None where there are none
    """

    values: Array
    kind: PriorKind
    focal_px: float | None = None
    scale_source: ScaleSource | None = None

    def at_focal(self, focal_px: float) -> MonoEstimate:
        """Return the metric depth that the prior would have told for another focal length.

        focal_px  at the width of ``values``
        raises    InputError where the depth does not come from a focal length

        Depth Pro estimates the focal length of each frame anew; a video of one camera flickers
        less at one for all. D = f / (w C) is proportional to it (arXiv 2410.02073, section 3.1).
        """
        if self.kind is not PriorKind.METRIC or self.focal_px is None:
            raise InputError('this estimate has no focal length to be replaced')
        factor = np.float32(focal_px / self.focal_px)
        return replace(self, values=self.values * factor, focal_px=focal_px)


class MonoPrior(Protocol):
    """Tells the depth of frames one by one.

    name    by which it is opened
    notice  what a user must be told of the licence of its weights; None where there is nothing
    """

    name: str
    notice: str | None

    def estimate(self, frames: Iterable[Frame]) -> Iterator[MonoEstimate]:
        """Yield the estimate of every frame, in order; only a batch of them is held.

        raises  InputError where a frame cannot be used, DeviceError where the computation fails
        """

    def close(self) -> None:
        """Free what the prior holds."""


def batches(frames: Iterable[Frame], most: int) -> Iterator[list[Frame]]:
    """Yield the frames in order, in lists of up to ``most`` of one size."""
    for _, alike in groupby(frames, key=lambda frame: frame.size):
        while batch := list(islice(alike, most)):
            yield batch
