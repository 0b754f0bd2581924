# SPDX-License-Identifier: Apache-2.0
"""Stage 4, for geometric pairs: poses by bundle adjustment, and the prior corrected by them.

Pairs of corrected depth agree by construction: their global alignment would change nothing, and is
left out. Odometry takes part in the bundle adjustment.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from videodepth_ros.alignment.constraints import ScaleReference
from videodepth_ros.alignment.moving_objects import segment_moving_objects
from videodepth_ros.alignment.options import GEOMETRIC_PAIR_DEFAULTS
from videodepth_ros.alignment.providers.geometric import GeometricPairProvider
from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.core.workspace import DiskArray, atomic_write, digest, save_npz
from videodepth_ros.frames import ScaleSource
from videodepth_ros.mvs.confidence import error_by_agreement
from videodepth_ros.refine.aligned_sequence import AlignedSequence, fill_with_prior
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.image_sequence import NANOSECONDS, ImageSequence, size_within
from videodepth_ros.refine.landmark_scale import landmark_scale
from videodepth_ros.refine.lidar import cached_lidar_depth
from videodepth_ros.refine.metric_scale import (
    MetricScale,
    MetricScaleSource,
    estimate_metric_scale,
    log_depth_ratio,
    prior_ratio_notes,
    stationary_camera_notes,
    unused_odometry_notes,
)
from videodepth_ros.refine.odometry import cached_odometry, load_odometry
from videodepth_ros.refine.passing_sky import find_passing_sky, passing_sky_notes
from videodepth_ros.refine.plan import TRACK_STAGE
from videodepth_ros.refine.prior_depth import DepthSequence
from videodepth_ros.refine.prior_error import error_of
from videodepth_ros.refine.settings import Intrinsics
from videodepth_ros.sfm.reconstruction import Reconstruction, reconstruct
from videodepth_ros.sfm.step_sigmas import step_sigmas
from videodepth_ros.stream.confidence import confidence_map

MOVING_WINDOW = 10
"""Frames whose optical flow is computed together."""


def reconstruct_frames(
    job: JobContext, images: ImageSequence, depth: DepthSequence
) -> AlignedSequence:
    """Estimate poses by bundle adjustment and correct the depth of every frame.

    depth  prior depth of the recording, or depth that co-alignment made consistent
    """
    found = cached_reconstruction(job, images, depth)
    corrected = _write_corrected(job, images, depth, found)
    lidar = None
    if depth.scale_source is not ScaleSource.SENSOR:
        lidar = cached_lidar_depth(job.bag, images, found.camera, job.work)
    scale = _metric_scale(job, depth, corrected, lidar, found)
    stationary = stationary_camera_notes(found.T_world_cam, depth.array.open()[0])
    notes = (
        *found.warnings(),
        *focal_length_notes(found, images),
        *rolling_shutter_notes(found, images),
        *passing_sky_notes(find_passing_sky(depth.array.open())),
        *(stationary or unused_odometry_notes(_odometry(job, images), found.metres_per_unit)),
        *prior_ratio_notes(scale, corrected.log_depth_ratios, depth.scale_source),
    )
    intrinsics = [astuple(camera)[2:] for camera in found.zoom.cameras(found.camera)]
    return AlignedSequence(
        corrected.depth,
        None,
        None,
        np.array(intrinsics, np.float64),
        found.T_world_cam,
        scale,
        notes,
        step_sigmas(found, scale.metres * _median_depth(corrected.depth)),
        found.pieces,
        found.log_focal_sigma,
        readout_s(found, images),
    )


def _odometry(job: JobContext, images: ImageSequence) -> Float64Array | None:
    """Return the odometry of the steps, (N - 1, 4, 4); None if there is none to use."""
    if not job.settings.odometry:
        return None
    return load_odometry(cached_odometry(job.bag, images, job.work))


def focal_length_notes(found: Reconstruction, images: ImageSequence) -> tuple[str, ...]:
    """Return a note on an estimated focal length, in pixels of the camera's images."""
    if not found.log_focal_sigma:
        return ()
    focal_px, sigma = found.camera.scaled_to(*images.size).fx, found.log_focal_sigma
    why = 'there is no camera_info' if images.camera is None else 'as --intrinsics refine asks'
    return (
        f'{why}: the focal length is estimated, {focal_px:.1f} +- {sigma * focal_px:.1f} px '
        f'({sigma:.1%}) at a width of {images.size[0]}; camera_info of the results holds the '
        'estimate, which is no calibration',
    )


def rolling_shutter_notes(found: Reconstruction, images: ImageSequence) -> tuple[str, ...]:
    """Return a note on a rolling shutter, its readout time in milliseconds."""
    readout = readout_s(found, images)
    if readout is None:
        return ()
    time_ms, sigma_ms = (1e3 * value for value in readout)
    first = 'first' if found.readout.share > 0 else 'last'
    return (
        f'rolling shutter: rows are exposed one after the other, the {first} one first, within '
        f'{time_ms:.1f} +- {sigma_ms:.1f} ms; poses and depth take each image as of one moment, '
        'so that fast motion bends them. Use a global shutter, or move slower',
    )


def readout_s(found: Reconstruction, images: ImageSequence) -> tuple[float, float] | None:
    """Return readout time of a rolling shutter and its uncertainty [s]; None: not found."""
    if len(images) < 2 or not found.readout.is_rolling():
        return None
    period_s = float(np.median(np.diff(images.stamps_ns))) / NANOSECONDS
    return abs(found.readout.share) * period_s, found.readout.sigma * period_s


def _median_depth(depth: DiskArray) -> Float64Array:
    """Return the median of each frame's finite depth, (N,); 0 where it has none."""
    medians = [one[np.isfinite(one)] for one in depth.open()]
    return np.array([float(np.median(one)) if one.size else 0.0 for one in medians])


def cached_reconstruction(
    job: JobContext, images: ImageSequence, depth: DepthSequence
) -> Reconstruction:
    """Return the sparse reconstruction of a recording, computed unless it is on disk."""
    refine_intrinsics = job.settings.intrinsics is Intrinsics.REFINE
    odometry = cached_odometry(job.bag, images, job.work) if job.settings.odometry else None
    path = job.work.path('reconstruction', digest(depth, refine_intrinsics, odometry))
    if not path.exists():
        found = reconstruct(
            images.images.open(),
            depth.array.open(),
            images.camera_at(*size_within(images.size, job.settings.max_pixels)),
            job.meter.fraction_callback(TRACK_STAGE),
            refine_intrinsics=refine_intrinsics,
            odometry_m=load_odometry(odometry) if odometry else None,
            zoom=images.zoom,
        )
        with atomic_write(path) as part:
            found.save(part)
    job.meter.mark_done(TRACK_STAGE)
    return Reconstruction.load(path)


@dataclass(frozen=True)
class _Corrected:
    """Corrected depth (N, h, w), on disk, and its log ratios to the prior."""

    depth: DiskArray
    log_depth_ratios: Float64Array


def _write_corrected(
    job: JobContext, images: ImageSequence, depth: DepthSequence, found: Reconstruction
) -> _Corrected:
    """Correct the prior of every frame and keep it in the work folder."""
    path = _corrected_path(job, depth)
    index = path.with_suffix('.npz')
    corrected = DiskArray(path.with_suffix('.depth'), depth.array.record_shape, 'float32')
    if not index.exists():
        prior = depth.array.open()
        provider = GeometricPairProvider(prior, found)
        ratios, passing_sky = [], find_passing_sky(prior)

        def is_unseen(n: int) -> bool:  # stereo finds depth where a depth camera had none
            return job.settings.prior != 'bag' and bool(np.isnan(prior[n]).all())

        with corrected.writer() as kept:
            for n in range(len(images)):
                one = provider.corrected_depth(n)
                ratios.append(log_depth_ratio(prior[n], one))
                filled = fill_with_prior(one, prior[n])
                if passing_sky[n]:
                    filled[np.isinf(filled)] = np.nan
                kept.append(np.full_like(one, np.nan) if is_unseen(n) else filled)
        save_npz(index, log_depth_ratios=np.array(ratios))
    with np.load(index) as stored:
        return _Corrected(corrected, stored['log_depth_ratios'])


def _corrected_path(job: JobContext, depth: DepthSequence) -> Path:
    key = digest(depth, job.settings.intrinsics, job.settings.odometry)
    return job.work.path('corrected', key)


def rate_without_stereo(
    job: JobContext,
    images: ImageSequence,
    depth: DepthSequence,
    posed: AlignedSequence,
    prior_error: DiskArray | None,
) -> AlignedSequence:
    """Add confidence and the masks of moving objects, which stereo would find better.

    depth  from which ``posed`` was reconstructed; prior_error: of `cached_prior_error`
    """
    path, shape = _corrected_path(job, depth), depth.array.record_shape
    aligned = posed.depth.open()
    confidence = DiskArray(path.with_suffix('.confidence'), shape, 'float32')
    moving = DiskArray(path.with_suffix('.moving'), shape, 'bool')
    found = cached_reconstruction(job, images, depth)
    if not confidence.exists():
        provider = GeometricPairProvider(depth.array.open(), found)
        with confidence.writer() as kept:
            for n in range(len(images)):
                agreement = _neighbour_agreement(provider, n, len(images))
                error = error_by_agreement(error_of(prior_error, n, agreement.shape), agreement)
                kept.append(confidence_map(error, aligned[n]))
    if not moving.exists():
        _write_moving(moving, images, aligned, found)
    return replace(posed, confidence=confidence, moving=moving)


def _neighbour_agreement(provider: GeometricPairProvider, index: int, count: int) -> Float32Array:
    """Return how well a frame's depth agrees with that of the frames beside it, in [0, 1]."""
    edges = [(index, other) for other in (index - 1, index + 1) if 0 <= other < count]
    agreement = [np.log(pair.confidence_i) for pair in provider.pairs(edges or [(index, index)])]
    mean = np.mean(agreement, axis=0) / GEOMETRIC_PAIR_DEFAULTS.log_confidence
    return np.asarray(mean, np.float32)


def _write_moving(
    moving: DiskArray, images: ImageSequence, depth: Float32Array, found: Reconstruction
) -> None:
    """Segment moving objects in windows of neighbouring frames."""
    rgb, cameras = images.images.open(), found.zoom.cameras(found.camera)
    with moving.writer() as kept:
        for start in range(0, len(images), MOVING_WINDOW):
            window = slice(start, start + MOVING_WINDOW)
            masks = segment_moving_objects(
                rgb[window], depth[window], found.T_world_cam[window], cameras[window]
            )
            for mask in masks:
                kept.append(mask)


def _metric_scale(
    job: JobContext,
    depth: DepthSequence,
    corrected: _Corrected,
    lidar: DiskArray | None,
    found: Reconstruction,
) -> MetricScale:
    """Return the metric scale: of the path length, measured depth, odometry, or the prior."""
    source = depth.scale_source
    if source is ScaleSource.INTRINSICS and job.topics.info is None:
        source = ScaleSource.MODEL  # the lens is estimated, and is no calibration
    scale = estimate_metric_scale(
        found.T_world_cam,
        corrected.log_depth_ratios,
        ScaleReference.PAIRS,
        source,
        job.settings.path_length_m,
    )
    if scale.source in (MetricScaleSource.PATH_LENGTH, MetricScaleSource.DEPTH):
        return scale
    if np.isfinite(found.metres_per_unit):
        scale = MetricScale(found.metres_per_unit, MetricScaleSource.ODOMETRY)
    if lidar is None:
        return scale
    cameras = found.zoom.cameras(found.camera)
    metres = landmark_scale(lidar.open(), found.landmarks, found.T_world_cam, cameras)
    if np.isfinite(metres):
        return replace(scale, metres=metres, source=MetricScaleSource.DEPTH)
    pairs = zip(lidar.open(), corrected.depth.open(), strict=True)
    ratios = np.array([log_depth_ratio(measured, own, stride=1) for measured, own in pairs])
    if np.isnan(ratios).all():
        return scale
    return replace(
        scale, metres=float(np.exp(np.nanmedian(ratios))), source=MetricScaleSource.DEPTH
    )
