# SPDX-License-Identifier: Apache-2.0
"""Sparse reconstruction of a recording: cameras and points from a depth prior, and odometry.

The pipeline: track features, initialize by PnP, adjust robustly, compare with odometry, detect
loop closures, adjust with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray, MaskArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.depth_samples import median_log_depths, sample_log_depth
from videodepth_ros.sfm.initialization import initialize_by_pnp
from videodepth_ros.sfm.loop_adjustment import adjust_with_loop_closures
from videodepth_ros.sfm.loop_closure import detect_loop_closures
from videodepth_ros.sfm.motion_prior import MotionPrior, chain_steps, steps_between
from videodepth_ros.sfm.odometry import OdometryFit, adjust_with_odometry, fit_odometry
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions
from videodepth_ros.sfm.pieces import Pieces
from videodepth_ros.sfm.reprojection import NoiseModel, Observations
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction, adjust_robustly
from videodepth_ros.sfm.stationary import detect_stationary_steps
from videodepth_ros.sfm.tracks import ImageSequence, Tracks, track_features
from videodepth_ros.sfm.turning import as_turning_camera
from videodepth_ros.sfm.weak_steps import steady_weak_steps
from videodepth_ros.sfm.zoom import Zoom, common_views

RELEASED = 1e3
"""Factor of the sigmas of the motion between pieces: no pull, and still regular equations."""


@dataclass(frozen=True)
class SparseRecording:
    """Sparse reconstruction of a recording of N frames.

    camera    at the size of the depth, its focal length adjusted; common to all frames
    zoom      intrinsics of the frames relative to it
    odometry  agreement of the odometry with the cameras; None: there is none
    pieces    frames whose poses hang together
    weak_frames  (K,) intp, frames whose position the images hardly determine
    """

    sparse: SparseReconstruction
    camera: Intrinsics
    zoom: Zoom
    odometry: OdometryFit | None
    pieces: Pieces
    weak_frames: IndexArray

    @property
    def tracked_points(self) -> IndexArray:
        """Points of earlier frames among the inliers of each frame, (N,)."""
        return count_tracked(self.sparse.observations)


def default_camera(width: int, height: int) -> Intrinsics:
    """Return the intrinsics assumed for an uncalibrated camera, by `Intrinsics.centred`.

    The global alignment of point maps keeps (w / 2, h / 2), the convention of DUSt3R's network.
    """
    return Intrinsics.centred(width, height, DEFAULT_FOCAL_LENGTH_FACTOR * width)


def reconstruct_sparse(
    images: ImageSequence,
    depth: Float32Array,
    camera: Intrinsics | None,
    on_progress: Callable[[float], None] = lambda _: None,
    options: ReconstructionOptions = DEFAULTS,
    *,
    refine_intrinsics: bool = False,
    odometry_m: Float64Array | None = None,
    zoom: Zoom | None = None,
) -> SparseRecording:
    """Reconstruct cameras and points of a recording; parameters and errors of `reconstruct`."""
    _check_sizes(images, depth, camera)
    h, w = depth.shape[1:]
    is_calibrated = camera is not None and not refine_intrinsics
    camera = camera or default_camera(w, h)
    height, width = images[0].shape[:2]
    zoom, image_camera = zoom or Zoom.constant(len(depth)), camera.scaled_to(width, height)
    tracks, is_stationary = _track(
        images, zoom, image_camera, lambda share: on_progress(0.6 * share), options
    )
    sparse, image_camera = _adjust_with_focal_length(
        tracks,
        depth,
        image_camera,
        zoom,
        is_stationary,
        None if is_calibrated else options.focal_length.max_repetitions * refine_intrinsics,
        options,
    )
    is_visible = count_tracked(sparse.observations)[1:] >= options.min_tracked_points
    turning = as_turning_camera(sparse, is_calibrated, options) if odometry_m is None else None
    sparse, is_weak, carried = (
        (turning, np.zeros_like(is_visible), np.zeros_like(is_visible))
        if turning
        else _carry_weak_steps(sparse, is_visible, is_stationary, odometry_m, options)
    )
    on_progress(0.8)
    pieces = Pieces.split(is_visible | carried, options.min_piece_frames)
    if not turning:
        views = common_views(images, zoom, image_camera)
        sparse, pieces = _close_loops(views, sparse, pieces, image_camera, on_progress, options)
    fit = _compare_odometry(sparse, is_visible & ~is_weak, odometry_m, options)
    camera = _with_focal_length(camera, float(np.exp(sparse.state.log_focal)) * w / width)
    return SparseRecording(sparse, camera, zoom, fit, pieces, 1 + np.flatnonzero(is_weak))


def _carry_weak_steps(
    sparse: SparseReconstruction,
    is_visible: MaskArray,
    is_stationary: MaskArray,
    odometry_m: Float64Array | None,
    options: ReconstructionOptions,
) -> tuple[SparseReconstruction, MaskArray, MaskArray]:
    """Adjust with steady motion, or odometry, where the images hardly determine the camera.

    returns  the reconstruction, its weak steps, and those that odometry carries, (N - 1,) bool
    """
    sparse, is_weak = steady_weak_steps(sparse, is_visible & ~is_stationary, options)
    if odometry_m is None:
        return sparse, is_weak, np.zeros_like(is_visible)
    is_seen = is_visible & ~is_weak
    sparse, carried = adjust_with_odometry(sparse, odometry_m, is_seen, is_stationary, options)
    return sparse, is_weak, carried


def _compare_odometry(
    sparse: SparseReconstruction,
    is_seen: MaskArray,
    odometry_m: Float64Array | None,
    options: ReconstructionOptions,
) -> OdometryFit | None:
    """Return the agreement of the odometry with the adjusted cameras; None without odometry."""
    if odometry_m is None:
        return None
    return fit_odometry(sparse.state.T_cam_world, is_seen, odometry_m, options.odometry)


def _with_focal_length(camera: Intrinsics, fx: float) -> Intrinsics:
    """Return a camera of another fx of the same aspect."""
    return replace(camera, fx=fx, fy=fx * camera.fy / camera.fx)


def _track(
    images: ImageSequence,
    zoom: Zoom,
    camera: Intrinsics,
    on_progress: Callable[[float], None],
    options: ReconstructionOptions,
) -> tuple[Tracks, MaskArray]:
    """Track features; return also the steps in which the camera is stationary, (N - 1,) bool.

    camera  common to all frames, at the size of the images
    """
    tracks = track_features(images, on_progress, options.tracking, options.contrast)
    motion = tracks
    if not zoom.is_constant:
        xy = zoom.to_common(tracks.pixel, tracks.frame, camera)
        motion = replace(tracks, pixel=(xy + camera.matrix[:2, 2]).astype(np.float32))
    return tracks, detect_stationary_steps(motion, len(images), camera.width, options.stationary)


def _close_loops(
    images: ImageSequence,
    sparse: SparseReconstruction,
    pieces: Pieces,
    camera: Intrinsics,
    on_progress: Callable[[float], None],
    options: ReconstructionOptions,
) -> tuple[SparseReconstruction, Pieces]:
    """Detect loop closures and adjust with them; the pieces that they connect are joined."""
    sparse = release_steps(sparse, pieces.is_linked)
    loops = detect_loop_closures(
        images, sparse, camera, lambda share: on_progress(0.8 + 0.2 * share), options, pieces
    )
    sparse, closed = adjust_with_loop_closures(sparse, loops, options, pieces)
    return sparse, pieces.joined((loop.i, loop.j) for loop in closed)


def release_steps(sparse: SparseReconstruction, is_linked: MaskArray) -> SparseReconstruction:
    """Return the reconstruction with each piece held where the one before ends, but not tied."""
    if is_linked.all():
        return sparse
    T_cam_world, motion = sparse.state.T_cam_world, sparse.noise.motion
    steps = steps_between(T_cam_world).se3
    steps[~is_linked] = np.eye(4)
    held = chain_steps(Sim3.from_se3(steps)) @ T_cam_world[0]
    released = replace(
        motion,
        translation_sigma=RELEASED * motion.translation_sigma,
        rotation_sigma_rad=RELEASED * motion.rotation_sigma_rad,
    )
    noise = replace(sparse.noise, motion=motion.where(is_linked, released))
    return replace(sparse, state=replace(sparse.state, T_cam_world=held), noise=noise)


def count_tracked(observations: Observations) -> IndexArray:
    """Return the number of points of earlier frames that each frame observes, (N,)."""
    later = observations.frame[~observations.is_reference]
    return np.bincount(later, minlength=observations.frames).astype(np.intp)


def _adjust_with_focal_length(
    tracks: Tracks,
    depth: Float32Array,
    camera: Intrinsics,
    zoom: Zoom,
    is_stationary: MaskArray,
    repetitions: int | None,
    options: ReconstructionOptions,
) -> tuple[SparseReconstruction, Intrinsics]:
    """Initialize and adjust, again from the pose initialization on while the focal length changes.

    A focal length that diverges is held at that of ``camera``.
    camera       at the size of the images
    repetitions  most of them, at least one is done; None: the focal length is constant
    """
    max_change = options.focal_length.max_assumption_sigmas * options.noise.log_focal_sigma
    for _ in range(max(repetitions or 0, 1)):
        noise = _initial_noise(camera, depth, is_stationary, repetitions is None, options)
        sparse = _initialize_and_adjust(tracks, depth, camera, zoom, noise, options)
        ratio = float(np.exp(sparse.state.log_focal)) / camera.fx
        if abs(np.log(ratio)) > max_change:
            noise = replace(noise, log_focal_sigma=0.0)
            return _initialize_and_adjust(tracks, depth, camera, zoom, noise, options), camera
        if abs(np.log(ratio)) < options.focal_length.convergence:
            break
        camera = replace(camera, fx=camera.fx * ratio, fy=camera.fy * ratio)
    return sparse, camera


def _initialize_and_adjust(
    tracks: Tracks,
    depth: Float32Array,
    camera: Intrinsics,
    zoom: Zoom,
    noise: NoiseModel,
    options: ReconstructionOptions,
) -> SparseReconstruction:
    """Initialize the poses by PnP and adjust them; ``camera`` at the size of the images."""
    observations, at_infinity = observe_prior(tracks, depth, camera, zoom)
    state = initialize_by_pnp(
        observations, at_infinity, camera.fx, camera.fy / camera.fx, options.initialization
    )
    return adjust_robustly(observations, state, noise, options)


def adjust_lens(
    tracks: Tracks,
    depth: Float32Array,
    camera: Intrinsics,
    fields: Float64Array,
    lens: Float64Array,
    lens_sigma: Float64Array,
    options: ReconstructionOptions,
) -> SparseReconstruction:
    """Initialize and adjust with a free focal length and parameters of the lens.

    camera      at the size of the images
    fields      (K, P, 2), displacements of the pixels of the tracks by the parameters
    lens        (P,) to start from; lens_sigma (P,) before any evidence, 0: held
    """
    zoom = Zoom.constant(len(depth))
    motion = replace(tracks, pixel=tracks.pixel + np.einsum('kpi,p->ki', fields, lens))
    is_stationary = detect_stationary_steps(motion, len(depth), camera.width, options.stationary)
    noise = _initial_noise(camera, depth, is_stationary, False, options)
    observations, at_infinity = observe_prior(tracks, depth, camera, zoom)
    ideal = replace(observations, xy=motion.pixel - np.array([camera.cx, camera.cy]))
    state = initialize_by_pnp(
        ideal, at_infinity, camera.fx, camera.fy / camera.fx, options.initialization
    )
    return adjust_robustly(
        replace(observations, lens_fields=fields),
        replace(state, lens=lens),
        replace(noise, lens_sigma=lens_sigma),
        options,
    )


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
    tracks: Tracks, depth: Float32Array, camera: Intrinsics, zoom: Zoom
) -> tuple[Observations, MaskArray]:
    """Sample the prior (N, h, w) at every observation of the tracks.

    camera   common to all frames, at the size of the images
    returns  the observations, and (K,) bool, those that the prior puts in the sky
    """
    frames, h, w = depth.shape
    pixel = (tracks.pixel + 0.5) * [w / camera.width, h / camera.height] - 0.5
    log_depth, at_infinity = np.full(len(pixel), np.nan), np.zeros(len(pixel), np.bool_)
    for frame in range(frames):
        at = np.flatnonzero(tracks.frame == frame)
        log_depth[at], at_infinity[at] = sample_log_depth(depth[frame], pixel[at])
    xy = zoom.to_common(tracks.pixel, tracks.frame, camera)
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
    median_depth = float(np.exp(np.nanmedian(median_log_depths(depth))))
    ratio = np.where(is_stationary, options.stationary.sigma_ratio, 1.0)
    return NoiseModel(
        pixel_sigma=noise.pixel_sigma_widths * camera.width,
        log_depth_sigma=noise.log_depth_sigma,
        log_scale_sigma=noise.log_depth_sigma,
        is_measured=False,
        log_focal_sigma=0.0 if is_calibrated else noise.log_focal_sigma,
        log_focal=float(np.log(camera.fx)),
        motion=MotionPrior.at_rest(
            ratio * noise.motion_sigma_depths * median_depth, ratio * noise.rotation_sigma_rad
        ),
        loss=options.loss,
    )
