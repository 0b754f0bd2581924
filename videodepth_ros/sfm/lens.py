# SPDX-License-Identifier: Apache-2.0
"""Calibration of a lens from the tracks of a moving camera: focal length, k1, k2, principal point.

All are free at first; the principal point, k2 and k1 are held in turn, as in the simpler camera
models of COLMAP, unless that raises the cost of bundle adjustment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.sfm.lens_fields import centre_fields, radial_fields
from videodepth_ros.sfm.options import DEFAULTS, LensOptions, ReconstructionOptions
from videodepth_ros.sfm.reprojection import BundleState
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction, adjuster_of
from videodepth_ros.sfm.sparse import adjust_lens
from videodepth_ros.sfm.tracks import ImageSequence, Tracks, track_features

CENTRE = (2, 3)
GROUPS: tuple[tuple[int, ...], ...] = (CENTRE, (1,), (0,))
"""Parameters that are held together: the principal point, and those of r^4 and of r^2."""
SAMPLES = 64
"""Radii at which the inverse of the polynomial is fitted."""


@dataclass(frozen=True)
class Lens:
    """Calibrated lens of a camera.

    camera  pinhole of the rectified images, at the size of the images
    centre  principal point of the distortion, (2,)
    radial  k1 and k2 of OpenCV's model about it
    sigmas  uncertainties of fx, k1, k2, cx, cy; 0: not estimated
    """

    camera: Intrinsics
    centre: tuple[float, float]
    radial: tuple[float, float]
    sigmas: tuple[float, float, float, float, float]

    def scaled_to(self, width: int, height: int) -> Lens:
        """Return the lens of the images resized to ``width`` x ``height``."""
        camera = self.camera.scaled_to(width, height)
        x, y = width / self.camera.width, height / self.camera.height
        column, row = self.centre
        fx, k1, k2, cx, cy = self.sigmas
        return Lens(
            camera,
            ((column + 0.5) * x - 0.5, (row + 0.5) * y - 0.5),
            self.radial,
            (fx * x, k1, k2, cx * x, cy * y),
        )

    @property
    def facts(self) -> tuple[tuple[str, float, float], ...]:
        """Name, value and uncertainty of what was estimated."""
        camera, names = self.camera, ('fx', 'k1', 'k2', 'cx', 'cy')
        values = (camera.fx, *self.radial, camera.cx, camera.cy)
        rows = zip(names, values, self.sigmas, strict=True)
        return tuple((name, value, sigma) for name, value, sigma in rows if sigma)


def calibrate_lens(
    images: ImageSequence,
    depth: Float32Array,
    camera: Intrinsics,
    options: ReconstructionOptions = DEFAULTS,
) -> Lens | None:
    """Calibrate the lens of a recording; None where the images show no more than a focal length.

    images  (N, H, W, 3) uint8 RGB, not rectified; depth (N, h, w) float32, the prior
    camera  assumed intrinsics at the size of the images, from which the estimate starts
    """
    stride = options.lens.stride
    if len(depth[::stride]) < options.lens.min_frames:
        return None
    tracks = track_features(images[::stride], lambda _: None, options.tracking, options.contrast)
    return fit_lens(tracks, depth[::stride], camera, options)


def fit_lens(
    tracks: Tracks,
    depth: Float32Array,
    camera: Intrinsics,
    options: ReconstructionOptions = DEFAULTS,
) -> Lens | None:
    """Fit the lens to tracks; parameters as in `calibrate_lens`."""
    free = np.ones(4, np.bool_)
    sparse = _adjust(tracks, depth, camera, free, options)
    if not len(sparse.observations.frame):
        return None
    state = sparse.state
    for group in GROUPS:
        fewer = free.copy()
        fewer[list(group)] = False
        held, rise = _hold(sparse, state, fewer, options)
        is_vague = group == CENTRE and not _is_certain(sparse, options)
        if rise < options.lens.min_cost_decrease or is_vague:
            free, state = fewer, held
    if not free.any():
        return None
    if not free.all():
        sparse = _adjust(tracks, depth, camera, free, options)
    sigmas = _inflated_sigmas(sparse, options)
    is_determined = _is_determined(sparse, sigmas, options.lens)
    return _lens(sparse, camera, sigmas) if is_determined else None


def _sigmas(camera: Intrinsics, free: MaskArray, options: ReconstructionOptions) -> Float64Array:
    """Return the sigmas (4,) of the parameters before any evidence; 0: held at 0."""
    radial, centre = options.lens.radial_sigma, options.lens.centre_sigma_widths * camera.width
    return np.where(free, [radial, radial, centre, centre], 0.0)


def _adjust(
    tracks: Tracks,
    depth: Float32Array,
    camera: Intrinsics,
    free: MaskArray,
    options: ReconstructionOptions,
) -> SparseReconstruction:
    """Initialize and adjust with some parameters free, the last time from where it is then."""
    lens, sigma, start = np.zeros(4), _sigmas(camera, free, options), camera
    xy = tracks.pixel - np.array([camera.cx, camera.cy])
    fields = np.concatenate([radial_fields(xy, camera.fx), centre_fields(len(xy))], axis=1)
    for _ in range(options.lens.repetitions):
        sparse = adjust_lens(tracks, depth, start, fields, lens, sigma, options)
        lens, focal_px = sparse.state.lens, float(np.exp(sparse.state.log_focal))
        start = replace(camera, fx=focal_px, fy=focal_px * camera.fy / camera.fx)
    return sparse


def _hold(
    sparse: SparseReconstruction,
    state: BundleState,
    free: MaskArray,
    options: ReconstructionOptions,
) -> tuple[BundleState, float]:
    """Adjust with all but the ``free`` parameters held at 0.

    returns  the new state, and by what share of the cost it is worse than ``state``
    """
    adjuster, noise = adjuster_of(sparse, options), sparse.noise
    held = replace(noise, lens_sigma=np.where(free, noise.lens_sigma, 0.0))
    start = replace(state, lens=np.where(free, state.lens, 0.0))
    found = adjuster.solve(start, held, options.lens.iterations)
    return found, 1 - adjuster.cost(state, noise) / adjuster.cost(found, held)


def _is_certain(sparse: SparseReconstruction, options: ReconstructionOptions) -> bool:
    """Return whether the principal point is off by enough of its sigmas; all are free."""
    limit = options.lens.min_centre_sigmas * _inflated_sigmas(sparse, options)[1:]
    centre = list(CENTRE)
    return bool((np.abs(sparse.state.lens[centre]) > limit[centre]).any())


def _is_determined(
    sparse: SparseReconstruction, sigmas: Float64Array, limits: LensOptions
) -> bool:
    """Return whether the tracks determine the focal length, and one of the other parameters.

    Where they do not, distortion and focal length grow together, on images of a pinhole too.
    sigmas  by `_inflated_sigmas`
    """
    is_large = np.abs(sparse.state.lens) > limits.min_sigmas * sigmas[1:]
    return bool(sigmas[0] < limits.max_log_focal_sigma and is_large.any())


def _inflated_sigmas(sparse: SparseReconstruction, options: ReconstructionOptions) -> Float64Array:
    """Return the sigmas (5,) of log fx and the other parameters; 0: held."""
    independent = adjuster_of(sparse, options).shared_sigmas(sparse.state, sparse.noise)
    return options.focal_length.inflation * independent


def _lens(sparse: SparseReconstruction, camera: Intrinsics, sigmas: Float64Array) -> Lens:
    """Return the lens that a reconstruction has found; ``camera`` is the assumed one."""
    focal_px, lens = float(np.exp(sparse.state.log_focal)), sparse.state.lens
    ratio = (focal_px / camera.fx) ** 2  # the radius is that of the assumed focal length
    pinhole = replace(
        camera,
        fx=focal_px,
        fy=focal_px * camera.fy / camera.fx,
        cx=camera.cx + float(lens[2]),
        cy=camera.cy + float(lens[3]),
    )
    return Lens(
        pinhole,
        (camera.cx, camera.cy),
        fit_radial(lens[:2], camera, focal_px),
        (
            float(sigmas[0]) * focal_px,
            float(sigmas[1]) * ratio,
            float(sigmas[2]) * ratio**2,
            float(sigmas[3]),
            float(sigmas[4]),
        ),
    )


def fit_radial(
    coefficients: Float64Array, assumed: Intrinsics, focal_px: float
) -> tuple[float, float]:
    """Return k1 and k2 of OpenCV's model that best invert a polynomial of the distorted radius.

    coefficients  (2,) of r^2 and r^4, r in pixels / the fx of ``assumed``
    focal_px      focal length of the rectified images
    """
    corner_px = float(np.hypot(assumed.width, assumed.height)) / 2
    distorted_px = np.linspace(0, corner_px, SAMPLES + 1)[1:]
    square = np.square(distorted_px / assumed.fx)
    growth = 1 + coefficients[0] * square + coefficients[1] * np.square(square)
    ideal = np.square(distorted_px * growth / focal_px)
    if not coefficients[1]:
        design = np.stack([ideal, np.zeros_like(ideal)], axis=1)
    else:
        design = np.stack([ideal, np.square(ideal)], axis=1)
    k1, k2 = np.linalg.lstsq(design, 1 / growth - 1, rcond=None)[0].tolist()
    return float(k1), float(k2)
