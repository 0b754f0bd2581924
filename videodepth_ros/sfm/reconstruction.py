# SPDX-License-Identifier: Apache-2.0
"""Reconstruction of a recording: camera poses and depth corrections from a depth prior.

The pipeline: track features, initialize by PnP, adjust robustly, detect loop closures, adjust
with them, correct the prior of every frame by the triangulated landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray, MaskArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.core.threads import single_threaded_blas
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics
from videodepth_ros.geometry.pose import STATIC_EXTENT_DEPTHS, trajectory_extent
from videodepth_ros.sfm.depth_correction import Landmarks, fit_depth_correction
from videodepth_ros.sfm.depth_samples import sample_log_depth
from videodepth_ros.sfm.focal_length import CONSISTENT, check_focal_length
from videodepth_ros.sfm.initialization import initialize_by_pnp
from videodepth_ros.sfm.loop_adjustment import adjust_with_loop_closures
from videodepth_ros.sfm.loop_closure import detect_loop_closures
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions, WarningOptions
from videodepth_ros.sfm.reprojection import NoiseModel, Observations
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction, adjust_robustly
from videodepth_ros.sfm.stationary import detect_stationary_steps
from videodepth_ros.sfm.tracks import ImageSequence, Tracks, track_features


@dataclass(frozen=True)
class Reconstruction:
    """Camera poses and depth corrections of a recording of N frames.

    T_world_cam           (N, 4, 4) float64, in the unit of the prior
    log_depth_correction  (N, rows, columns) float32, bilinear grid to add to the log prior depth
    fallback_log_depth    (N,) float32, constant log depth of frames without any prior depth; NaN
                          elsewhere
    camera                intrinsics at the size of the prior
    tracked_points        (N,) intp, points of earlier frames among the inliers of each frame
    reprojection_sigma    estimated pixel sigma, in image widths
    focal_ratio           focal length that fits the tracks / the one stated; 1: no contradiction
    """

    T_world_cam: Float64Array
    log_depth_correction: Float32Array
    fallback_log_depth: Float32Array
    camera: Intrinsics
    tracked_points: IndexArray
    reprojection_sigma: float
    focal_ratio: float

    def save(self, path: Path) -> None:
        """Write one .npz."""
        camera = self.camera
        numbers = [camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy]
        with open(path, 'wb') as file:  # np.savez would append .npz to a name
            np.savez(
                file,
                T_world_cam=self.T_world_cam,
                log_depth_correction=self.log_depth_correction,
                fallback_log_depth=self.fallback_log_depth,
                camera=np.array(numbers, np.float64),
                tracked_points=self.tracked_points,
                reprojection_sigma=self.reprojection_sigma,
                focal_ratio=self.focal_ratio,
            )

    @classmethod
    def load(cls, path: Path) -> Reconstruction:
        """Read a file of `save`."""
        with np.load(path) as stored:
            width, height, *rest = stored['camera'].tolist()
            return cls(
                stored['T_world_cam'],
                stored['log_depth_correction'],
                stored['fallback_log_depth'],
                Intrinsics(int(width), int(height), *rest),
                stored['tracked_points'],
                float(stored['reprojection_sigma']),
                float(stored['focal_ratio']),
            )

    def warnings(self, options: WarningOptions = WarningOptions()) -> tuple[str, ...]:
        """Return warnings about poorly constrained camera poses and wrong intrinsics."""
        blind = 1 + np.flatnonzero(self.tracked_points[1:] < options.min_tracked_points)
        notes = []
        if self.reprojection_sigma > options.max_reprojection_sigma_widths:
            notes.append(
                f'tracked points miss one static scene by {self.reprojection_sigma:.1%} of the '
                'image width: the images are noisy or show moving objects; poses are unreliable'
            )
        if self.focal_ratio != 1.0:
            notes.append(
                'camera_info contradicts the images: the tracked points fit a focal length of '
                f'{self.focal_ratio:.2f} times the stated one; depth and trajectory are '
                'distorted. Calibrate the camera, or estimate it with --intrinsics refine'
            )
        if len(blind):
            notes.append(
                f'fewer than {options.min_tracked_points} points are tracked into {len(blind)} of '
                f'{len(self.tracked_points)} frames, the first of them {blind[0]} (from 0): '
                'the camera poses there are unreliable'
            )
        return tuple(notes)


def default_camera(width: int, height: int) -> Intrinsics:
    """Return the intrinsics assumed for an uncalibrated camera.

    The principal point is (width / 2, height / 2), the convention of DUSt3R and Align3R: half a
    pixel from `Intrinsics.centred`.
    """
    focal = DEFAULT_FOCAL_LENGTH_FACTOR * width
    return Intrinsics(width, height, focal, focal, width / 2, height / 2)


@single_threaded_blas()
def reconstruct(
    images: ImageSequence,
    depth: Float32Array,
    camera: Intrinsics | None,
    on_progress: Callable[[float], None] = lambda _: None,
    options: ReconstructionOptions = DEFAULTS,
    *,
    refine_intrinsics: bool = False,
) -> Reconstruction:
    """Estimate camera poses and depth corrections of a recording; deterministic.

    images       (N, H, W, 3) uint8 RGB, of any size of the depth's aspect ratio
    depth        (N, h, w) float32, Z, its unit common to the recording as far as the prior keeps
                 it; NaN unknown, +inf sky
    camera       intrinsics at (h, w); None: the focal length is estimated
    on_progress  called with the share of the work that is done, 0 to 1
    refine_intrinsics  estimate the focal length from that of ``camera`` on
    raises       InputError where images, depth and camera do not match, or there is no depth
    """
    is_stated = camera is not None and not refine_intrinsics
    sparse, camera = reconstruct_sparse(
        images,
        depth,
        camera,
        lambda share: on_progress(0.9 * share),
        options,
        refine_intrinsics=refine_intrinsics,
    )
    check = check_focal_length(sparse, options) if is_stated else CONSISTENT
    correction = _correct_depths(sparse, depth, camera, options)
    on_progress(1.0)
    later = sparse.observations.frame[~sparse.observations.is_reference]
    return Reconstruction(
        sparse.state.T_cam_world.inverse().se3,
        correction.astype(np.float32),
        _fill_from_nearest(_median_log_depths(depth)),
        camera,
        np.bincount(later, minlength=len(depth)),
        sparse.noise.pixel_sigma / images[0].shape[1],
        check.ratio if check.is_refuted(options) else 1.0,
    )


def _correct_depths(
    sparse: SparseReconstruction,
    depth: Float32Array,
    camera: Intrinsics,
    options: ReconstructionOptions,
) -> Float64Array:
    """Return the grids (N, rows, columns) to add to the log prior depths."""
    landmarks = Landmarks.from_reconstruction(sparse, options.depth_correction)
    correction = np.stack(
        [
            fit_depth_correction(sparse, landmarks, n, one, camera, options.depth_correction)
            for n, one in enumerate(depth)
        ]
    )
    median_depth = np.exp(np.nanmedian(_median_log_depths(depth)))
    extent = trajectory_extent(sparse.state.T_cam_world.inverse().se3)
    if extent <= STATIC_EXTENT_DEPTHS * median_depth:
        # parallax is noise: correct the scale of each frame only
        scale = sparse.state.log_prior_scale
        correction = np.broadcast_to(scale[:, None, None], correction.shape)
    return correction


def reconstruct_sparse(
    images: ImageSequence,
    depth: Float32Array,
    camera: Intrinsics | None,
    on_progress: Callable[[float], None] = lambda _: None,
    options: ReconstructionOptions = DEFAULTS,
    *,
    refine_intrinsics: bool = False,
) -> tuple[SparseReconstruction, Intrinsics]:
    """Reconstruct cameras and points of a recording; parameters and errors of `reconstruct`.

    returns  the reconstruction, and the camera at the size of the depth, its focal length adjusted
    """
    _check_sizes(images, depth, camera)
    h, w = depth.shape[1:]
    is_calibrated = camera is not None and not refine_intrinsics
    camera = camera or default_camera(w, h)
    tracks = track_features(
        images, lambda share: on_progress(0.6 * share), options.tracking, options.contrast
    )
    width, height = images[0].shape[1], images[0].shape[0]
    image_camera = camera.scaled_to(width, height)
    is_stationary = detect_stationary_steps(tracks, len(depth), width, options.stationary)
    repetitions = options.focal_length.max_repetitions if refine_intrinsics else 1
    for _ in range(repetitions):
        noise = _initial_noise(image_camera, depth, is_stationary, is_calibrated, options)
        sparse = _initialize_and_adjust(tracks, depth, image_camera, noise, options)
        ratio = float(np.exp(sparse.state.log_focal)) / image_camera.fx
        if abs(np.log(ratio)) < options.focal_length.convergence:
            break
        image_camera = replace(
            image_camera, fx=image_camera.fx * ratio, fy=image_camera.fy * ratio
        )
    on_progress(0.8)
    loops = detect_loop_closures(
        images, sparse, image_camera, lambda share: on_progress(0.8 + 0.1 * share), options
    )
    sparse = adjust_with_loop_closures(sparse, loops, options)
    focal = float(np.exp(sparse.state.log_focal)) * w / width
    on_progress(1.0)
    return sparse, Intrinsics(w, h, focal, focal * camera.fy / camera.fx, camera.cx, camera.cy)


def _initialize_and_adjust(
    tracks: Tracks,
    depth: Float32Array,
    camera: Intrinsics,
    noise: NoiseModel,
    options: ReconstructionOptions,
) -> SparseReconstruction:
    """Initialize the poses by PnP and adjust them; ``camera`` at the size of the images."""
    observations, at_infinity = observe_prior(tracks, depth, camera)
    state = initialize_by_pnp(
        observations, at_infinity, camera.fx, camera.fy / camera.fx, options.initialization
    )
    return adjust_robustly(observations, state, noise, options)


def _check_sizes(images: ImageSequence, depth: Float32Array, camera: Intrinsics | None) -> None:
    """Raise InputError where images, depth and camera do not match."""
    frames, h, w = depth.shape
    if len(images) != frames or not frames:
        raise InputError(
            f'{len(images)} images and {frames} depth maps; give one of each for every frame'
        )
    if camera is not None and (camera.width, camera.height) != (w, h):
        raise InputError(
            f'the camera is {camera.width}x{camera.height} and the depth {w}x{h}; '
            'scale the intrinsics to the depth'
        )


def observe_prior(
    tracks: Tracks, depth: Float32Array, camera: Intrinsics
) -> tuple[Observations, MaskArray]:
    """Sample the prior (N, h, w) at every observation of the tracks.

    camera   at the size of the images
    returns  the observations, and (K,) bool, those that the prior puts in the sky
    """
    frames, h, w = depth.shape
    pixel = (tracks.pixel + 0.5) * [w / camera.width, h / camera.height] - 0.5
    log_depth, at_infinity = np.full(len(pixel), np.nan), np.zeros(len(pixel), np.bool_)
    for frame in range(frames):
        at = np.flatnonzero(tracks.frame == frame)
        log_depth[at], at_infinity[at] = sample_log_depth(depth[frame], pixel[at])
    xy = (tracks.pixel - [camera.cx, camera.cy]).astype(np.float64)
    is_loop = np.zeros(len(tracks.track), np.bool_)
    return Observations(
        tracks.track, tracks.frame, xy, log_depth, tracks.start, frames, is_loop
    ), at_infinity


def _initial_noise(
    camera: Intrinsics,
    depth: Float32Array,
    is_stationary: MaskArray,
    is_calibrated: bool,
    options: ReconstructionOptions,
) -> NoiseModel:
    """Return the sigmas before any residual is known; ``camera`` at the size of the images."""
    noise = options.noise
    median_depth = float(np.exp(np.nanmedian(_median_log_depths(depth))))
    return NoiseModel(
        pixel_sigma=noise.pixel_sigma_widths * camera.width,
        log_depth_sigma=noise.log_depth_sigma,
        log_scale_sigma=noise.log_depth_sigma,
        is_measured=False,
        log_focal_sigma=0.0 if is_calibrated else noise.log_focal_sigma,
        log_focal=float(np.log(camera.fx)),
        motion_sigma=noise.motion_sigma_depths * median_depth,
        rotation_sigma_rad=noise.rotation_sigma_rad,
        step_sigma_ratio=np.where(is_stationary, options.stationary.sigma_ratio, 1.0),
        loss=options.loss,
    )


def _median_log_depths(depth: Float32Array) -> Float64Array:
    """Return the log of the median depth of every frame, (N,), NaN where all is unknown.

    raises  InputError where all frames are unknown
    """
    log_depth = np.full(len(depth), np.nan)
    for frame, one in enumerate(depth):
        known = one[np.isfinite(one) & (one > 0)]
        if known.size:
            log_depth[frame] = np.log(np.median(known))
    if np.isnan(log_depth).all():
        raise InputError(
            f'the depth prior has no depth in any of {len(depth)} frames; choose another prior'
        )
    return log_depth


def _fill_from_nearest(log_depth: Float64Array) -> Float32Array:
    """Return log depths (N,) for the NaN frames, from the nearest in time; NaN elsewhere."""
    known = np.flatnonzero(~np.isnan(log_depth))
    nearest = known[np.abs(np.arange(len(log_depth))[:, None] - known).argmin(axis=1)]
    return np.where(np.isnan(log_depth), log_depth[nearest], np.nan).astype(np.float32)
