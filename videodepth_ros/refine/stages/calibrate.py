# SPDX-License-Identifier: Apache-2.0
"""Stage between prior and consistency: calibrate the lens on demand."""

from __future__ import annotations

import json
from dataclasses import asdict

from videodepth_ros.core.threads import single_threaded_blas
from videodepth_ros.core.workspace import atomic_write, digest
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.image_sequence import ImageSequence
from videodepth_ros.refine.prior_depth import PriorDepth
from videodepth_ros.refine.settings import Intrinsics as IntrinsicsOption
from videodepth_ros.refine.settings import Pairs
from videodepth_ros.sfm.lens import Lens, calibrate_lens
from videodepth_ros.sfm.sparse import default_camera


def find_lens(job: JobContext, images: ImageSequence, prior: PriorDepth) -> Lens | None:
    """Calibrate the lens from the tracks; None if not asked for, or without distortion."""
    if not _is_wanted(job, images):
        return None
    path = job.work.path('lens', digest(prior, images.key)).with_suffix('.json')
    if not path.exists():
        lens = _calibrate(job, images, prior)
        with atomic_write(path) as part:
            part.write_text(json.dumps(lens and asdict(lens)), encoding='utf-8')
    stored = json.loads(path.read_text(encoding='utf-8'))
    if stored is None:
        return None
    numbers = {name: tuple(stored[name]) for name in ('centre', 'radial', 'sigmas')}
    return Lens(Intrinsics(**stored['camera']), **numbers)


def _is_wanted(job: JobContext, images: ImageSequence) -> bool:
    """Return whether the lens is to be estimated, by the bundle adjustment of this job.

    Depth of the recording belongs to its images as they are, so that these are not rectified.
    """
    settings = job.settings
    is_asked_for = settings.intrinsics is IntrinsicsOption.REFINE
    is_geometric = settings.chosen_pairs is Pairs.GEOMETRIC
    return is_asked_for and is_geometric and settings.prior != 'bag' and not images.is_zooming


@single_threaded_blas()
def _calibrate(job: JobContext, images: ImageSequence, prior: PriorDepth) -> Lens | None:
    depth = prior.to_depth(job.work.path('lens-depth', digest(prior, images.key)))
    height, width = images.images.record_shape[:2]
    camera = images.camera_at(width, height) or default_camera(width, height)
    return calibrate_lens(images.images.open(), depth.array.open(), camera)


def lens_notes(lens: Lens, size: tuple[int, int]) -> tuple[str, ...]:
    """Return a note on an estimated lens, in pixels of images of ``size``."""
    found = ', '.join(
        f'{name} {value:.4g} +- {sigma:.2g}' for name, value, sigma in lens.scaled_to(*size).facts
    )
    return (
        f'the lens is estimated, and the images are rectified by it: {found}. camera_info of the '
        'results is that of the rectified images; this is no calibration',
    )
