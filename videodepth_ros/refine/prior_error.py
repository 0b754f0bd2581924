# SPDX-License-Identifier: Apache-2.0
"""Expected relative error of the depth of a prior, frame by frame, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.workspace import DiskArray, WorkFolder, digest
from videodepth_ros.models.cards import ErrorModel
from videodepth_ros.models.catalogue import card
from videodepth_ros.mvs.confidence import USUAL_PRIOR_ERROR
from videodepth_ros.refine.prior_depth import DepthSequence
from videodepth_ros.refine.priors import is_streaming
from videodepth_ros.refine.settings import Method, RefineSettings
from videodepth_ros.stream.confidence import DEFAULTS, ErrorEstimator, grid_shape


def cached_prior_error(
    work: WorkFolder, settings: RefineSettings, depth: DepthSequence
) -> DiskArray | None:
    """Return the expected error of a prior's depth (N, rows, columns), as of the live node.

    settings  their prior; networks that no error model was fitted to have `UNCALIBRATED`
    depth     of the recording, before alignment
    returns   float32, on a coarse grid, computed unless it is on disk; None for the depth of a
              recording, which no network made
    """
    prior = settings.prior
    if prior == 'bag':
        return None
    streamed = is_streaming(prior) and settings.method is not Method.ROLLINGDEPTH
    model = card(prior).errors if streamed else None
    error = DiskArray(
        work.path('error', digest(depth, model, DEFAULTS)),
        grid_shape(depth.array.record_shape),
        'float32',
    )
    if not error.exists():
        with error.writer() as kept:
            for one in _errors(depth, model):
                kept.append(one)
    return error


def _errors(depth: DepthSequence, model: ErrorModel | None) -> Iterator[Float32Array]:
    estimator = ErrorEstimator(model)
    for depth_m in depth.array.open():
        with np.errstate(divide='ignore'):
            inverse_depth = np.reciprocal(np.asarray(depth_m, np.float32))
        yield estimator.update(np.nan_to_num(inverse_depth, nan=0.0, posinf=0.0))


def error_of(error: DiskArray | None, index: int, shape: tuple[int, ...]) -> Float32Array:
    """Return the expected error of one frame, (H, W) float32; None: `USUAL_PRIOR_ERROR`."""
    if error is None:
        return np.full(shape, USUAL_PRIOR_ERROR, np.float32)
    return np.asarray(cv2.resize(np.asarray(error.open()[index]), shape[::-1]), np.float32)
