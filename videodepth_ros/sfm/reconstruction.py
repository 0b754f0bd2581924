# SPDX-License-Identifier: Apache-2.0
"""Reconstruction of a recording: camera poses and depth corrections from a depth prior.

The pipeline: track features, initialize by PnP, adjust robustly, detect loop closures, adjust
with them, correct the prior of every frame by the triangulated landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray
from videodepth_ros.core.threads import single_threaded_blas
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.pose import STATIC_EXTENT_DEPTHS, trajectory_extent
from videodepth_ros.sfm.depth_correction import Landmarks, fit_depth_correction
from videodepth_ros.sfm.depth_samples import median_log_depths
from videodepth_ros.sfm.focal_length import CONSISTENT, check_focal_length, log_focal_sigma
from videodepth_ros.sfm.odometry import name_frames, odometry_note
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions, WarningOptions
from videodepth_ros.sfm.pieces import Pieces
from videodepth_ros.sfm.rolling_shutter import UNKNOWN_READOUT, Readout, estimate_readout
from videodepth_ros.sfm.sparse import SparseRecording, reconstruct_sparse
from videodepth_ros.sfm.tracks import ImageSequence
from videodepth_ros.sfm.zoom import Zoom


@dataclass(frozen=True)
class Reconstruction:
    """Camera poses and depth corrections of a recording of N frames.

    T_world_cam           (N, 4, 4) float64, in the unit of the prior
    log_depth_correction  (N, rows, columns) float32, bilinear grid to add to the log prior depth
    fallback_log_depth    (N,) float32, constant log depth of frames without any prior depth; NaN
                          elsewhere
    camera                intrinsics at the size of the prior, common to all frames
    zoom                  intrinsics of the frames relative to it
    tracked_points        (N,) intp, points of earlier frames among the inliers of each frame
    reprojection_sigma    estimated pixel sigma, in image widths
    focal_ratio           focal length that fits the tracks / the one stated; 1: no contradiction
    metres_per_unit       by odometry; NaN without
    odometry_outliers     (K,) intp, frames at the end of odometry steps that contradict the images
    pieces                frames whose poses hang together
    weak_frames           (K,) intp, frames whose position the images hardly determine
    log_focal_sigma       of an estimated focal length; 0: stated
    readout               of the rows of an image, by the tracks
    landmarks             well triangulated points
    """

    T_world_cam: Float64Array
    log_depth_correction: Float32Array
    fallback_log_depth: Float32Array
    camera: Intrinsics
    zoom: Zoom
    tracked_points: IndexArray
    reprojection_sigma: float
    focal_ratio: float
    metres_per_unit: float
    odometry_outliers: IndexArray
    pieces: Pieces
    weak_frames: IndexArray
    log_focal_sigma: float
    readout: Readout
    landmarks: Landmarks

    def camera_of(self, frame: int) -> Intrinsics:
        """Return the intrinsics of a frame at the size of the prior."""
        return self.zoom.camera_of(frame, self.camera)

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
                focal_ratio_of_frames=self.zoom.focal_ratio,
                centre_shift=self.zoom.centre_shift,
                tracked_points=self.tracked_points,
                reprojection_sigma=self.reprojection_sigma,
                focal_ratio=self.focal_ratio,
                metres_per_unit=self.metres_per_unit,
                odometry_outliers=self.odometry_outliers,
                piece=self.pieces.number,
                submap=self.pieces.submap,
                weak_frames=self.weak_frames,
                log_focal_sigma=self.log_focal_sigma,
                readout=np.array([self.readout.share, self.readout.sigma]),
                **{f'landmark_{name}': array for name, array in vars(self.landmarks).items()},
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
                Zoom(stored['focal_ratio_of_frames'], stored['centre_shift']),
                stored['tracked_points'],
                float(stored['reprojection_sigma']),
                float(stored['focal_ratio']),
                float(stored['metres_per_unit']),
                stored['odometry_outliers'],
                Pieces(stored['piece'], stored['submap']),
                stored['weak_frames'],
                float(stored['log_focal_sigma']),
                Readout(*stored['readout'].tolist()),
                Landmarks(
                    **{one.name: stored[f'landmark_{one.name}'] for one in fields(Landmarks)}
                ),
            )

    def warnings(self, options: WarningOptions = WarningOptions()) -> tuple[str, ...]:
        """Return warnings about poorly constrained camera poses and wrong intrinsics."""
        least = DEFAULTS.min_tracked_points
        is_linked = self.pieces.is_linked
        blind = 1 + np.flatnonzero((self.tracked_points[1:] < least) & is_linked)
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
                f'fewer than {least} points are tracked into {len(blind)} of '
                f'{len(self.tracked_points)} frames, the first of them {blind[0]} (from 0): '
                'the camera poses there are unreliable'
            )
        if len(self.weak_frames):
            notes.append(
                f'only far points are tracked at {name_frames(self.weak_frames)}: they hardly '
                'determine the position of the camera, which is taken to move steadily there, or '
                'by its odometry'
            )
        notes += [*self.pieces.notes(), *odometry_note(self.odometry_outliers)]
        return tuple(notes)


@single_threaded_blas()
def reconstruct(
    images: ImageSequence,
    depth: Float32Array,
    camera: Intrinsics | None,
    on_progress: Callable[[float], None] = lambda _: None,
    options: ReconstructionOptions = DEFAULTS,
    *,
    refine_intrinsics: bool = False,
    odometry_m: Float64Array | None = None,
    zoom: Zoom | None = None,
) -> Reconstruction:
    """Estimate camera poses and depth corrections of a recording; deterministic.

    images       (N, H, W, 3) uint8 RGB, of any size of the depth's aspect ratio
    depth        (N, h, w) float32, Z, its unit common to the recording as far as the prior keeps
                 it; NaN unknown, +inf sky
    camera       intrinsics at (h, w); None: the focal length is estimated
    on_progress  called with the share of the work that is done, 0 to 1
    refine_intrinsics  estimate the focal length from that of ``camera`` on
    odometry_m   (N - 1, 4, 4), pose of each frame in the one before in metres, NaN where unknown:
                 gives metres, and poses where the images show nothing
    zoom         intrinsics of the frames relative to ``camera``; None: all have those
    raises       InputError where images, depth and camera do not match, or there is no depth
    """
    is_stated = camera is not None and not refine_intrinsics
    recording = reconstruct_sparse(
        images,
        depth,
        camera,
        lambda share: on_progress(0.9 * share),
        options,
        refine_intrinsics=refine_intrinsics,
        odometry_m=odometry_m,
        zoom=zoom,
    )
    height, width = images[0].shape[:2]
    found = _complete(recording, depth, (width, height), is_stated, options)
    on_progress(1.0)
    return found


def _complete(
    recording: SparseRecording,
    depth: Float32Array,
    size: tuple[int, int],
    is_stated: bool,
    options: ReconstructionOptions,
) -> Reconstruction:
    """Correct the depth, check a stated focal length, and look for a rolling shutter.

    size  width and height of the images
    """
    sparse, odometry, is_zooming = (
        recording.sparse,
        recording.odometry,
        not recording.zoom.is_constant,
    )
    is_checked = sparse.has_parallax and not is_zooming
    check = check_focal_length(sparse, options) if is_checked and is_stated else CONSISTENT
    readout = estimate_readout(sparse, size[1], options) if is_checked else UNKNOWN_READOUT
    landmarks = Landmarks.from_reconstruction(sparse, options.depth_correction, recording.pieces)
    correction = _correct_depths(recording, landmarks, depth, options)
    return Reconstruction(
        sparse.state.T_cam_world.inverse().se3,
        correction.astype(np.float32),
        _fill_from_nearest(median_log_depths(depth)),
        recording.camera,
        recording.zoom,
        recording.tracked_points,
        sparse.noise.pixel_sigma / size[0],
        check.ratio if check.is_refuted(options) else 1.0,
        odometry.metres_per_unit if odometry and odometry.is_usable else np.nan,
        odometry.outlier_frames if odometry else np.empty(0, np.intp),
        recording.pieces,
        recording.weak_frames,
        0.0 if is_stated else log_focal_sigma(sparse, options),
        readout,
        landmarks,
    )


def _correct_depths(
    recording: SparseRecording,
    landmarks: Landmarks,
    depth: Float32Array,
    options: ReconstructionOptions,
) -> Float64Array:
    """Return the grids (N, rows, columns) to add to the log prior depths."""
    sparse, cameras = recording.sparse, recording.zoom.cameras(recording.camera)
    correction = np.stack(
        [
            fit_depth_correction(sparse, landmarks, n, one, cameras[n], options.depth_correction)
            for n, one in enumerate(depth)
        ]
    )
    median_depth = np.exp(np.nanmedian(median_log_depths(depth)))
    extent = trajectory_extent(sparse.state.T_cam_world.inverse().se3)
    if extent <= STATIC_EXTENT_DEPTHS * median_depth:
        # parallax is noise: correct the scale of each frame only
        scale = sparse.state.log_prior_scale
        correction = np.broadcast_to(scale[:, None, None], correction.shape)
    return correction


def _fill_from_nearest(log_depth: Float64Array) -> Float32Array:
    """Return log depths (N,) for the NaN frames, from the nearest in time; NaN elsewhere."""
    known = np.flatnonzero(~np.isnan(log_depth))
    nearest = known[np.abs(np.arange(len(log_depth))[:, None] - known).argmin(axis=1)]
    return np.where(np.isnan(log_depth), log_depth[nearest], np.nan).astype(np.float32)
