# SPDX-License-Identifier: Apache-2.0
"""Depth without the pixels that a consumer does not accept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from videodepth_ros.stream.session import StepResult


def without_uncertain(result: StepResult, min_confidence: float) -> StepResult:
    """Return a result in which depth below a confidence is unknown, in the cloud too.

    Nothing hit (+inf) stays, as its confidence is not that of a distance.
    """
    depth = result.depth
    if min_confidence <= 0 or depth.confidence is None:
        return result
    dropped = (depth.confidence < min_confidence) & ~np.isinf(depth.depth_m)
    depth = replace(
        depth,
        depth_m=np.where(dropped, np.float32(np.nan), depth.depth_m),
        confidence=np.where(dropped, np.float32(0), depth.confidence),
    )
    cloud = result.cloud
    if cloud is not None:
        cloud = cloud.copy()  # its memory is the engine's
        cloud[dropped, :3] = np.nan
    return replace(result, depth=depth, cloud=cloud)
