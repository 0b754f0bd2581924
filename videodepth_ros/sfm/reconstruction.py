# SPDX-License-Identifier: Apache-2.0
"""Reconstruction of a recording: camera poses and depth corrections from a depth prior.

Structure from motion with a depth prior and loop closure estimates the cameras; the triangulated
points then correct the prior of every frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.core.threads import single_threaded_blas
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics
from videodepth_ros.geometry.pose import STATIC_EXTENT_DEPTHS, trajectory_extent
from videodepth_ros.sfm.depth_correction import Landmarks, bent_field
from videodepth_ros.sfm.depth_samples import log_depth_at
from videodepth_ros.sfm.initialization import FEWEST, first_scene
from videodepth_ros.sfm.loop_adjustment import joined
from videodepth_ros.sfm.loop_closure import find_loops
from videodepth_ros.sfm.reprojection import Noise, Sightings
from videodepth_ros.sfm.robust_adjustment import Adjusted, adjusted
from videodepth_ros.sfm.tracks import LONGEST, Images, Tracks, follow

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

FOCAL_DOUBT = 0.25
"""Standard deviation of the logarithm of fx, of a camera that nobody has calibrated."""
PIXEL_SHARE = 1 / 640
"""Of the width: standard deviation of a track, before more is known."""
PRIOR_DOUBT = 0.2
"""Standard deviation of the prior's log depth, before more is known."""
WEAK_MOTION, WEAK_TURN_RAD = 0.5, 0.5
"""From frame to frame, in median depths and radians: what a camera does that nothing tells of."""
MISFIT = 1 / 160
"""Of the width: points of one still scene fit four times as well in the noise of a dim room."""


@dataclass(frozen=True)
class Reconstruction:
    """What is known of a whole recording of N frames.

    T_world_cam  (N, 4, 4) float64, in the unit of the prior
    field        (N, ROWS, COLUMNS) float32, by which the prior's log depth is too small
    level        (N,) float32, log depth of frames of which the prior knows nothing; NaN elsewhere
    camera       intrinsics at the size of the prior
    followed     (N,) intp, points of earlier frames that each frame sees where they should be
    misfit       standard deviation of where it sees them, in image widths
    """

    T_world_cam: Array64
    log_depth_correction: Array
    fallback_log_depth: Array
    camera: Intrinsics
    tracked_points: Indices
    reprojection_sigma: float

    def save(self, path: Path) -> None:
        """Write one .npz."""
        camera = self.camera
        numbers = [camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy]
        with open(path, 'wb') as file:  # a name would get the suffix .npz
            np.savez(
                file,
                T_world_cam=self.T_world_cam,
                log_depth_correction=self.log_depth_correction,
                fallback_log_depth=self.fallback_log_depth,
                camera=np.array(numbers, np.float64),
                tracked_points=self.tracked_points,
                reprojection_sigma=self.reprojection_sigma,
            )

    @classmethod
    def load(cls, path: Path) -> Reconstruction:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            width, height, *rest = stored['camera'].tolist()
            return cls(
                stored['T_world_cam'],
                stored['log_depth_correction'],
                stored['fallback_log_depth'],
                Intrinsics(int(width), int(height), *rest),
                stored['tracked_points'],
                float(stored['reprojection_sigma']),
            )

    def warnings(self) -> tuple[str, ...]:
        """Return notes on cameras that the points do not tell."""
        blind = 1 + np.flatnonzero(self.tracked_points[1:] < FEWEST)
        notes = (
            [
                f'tracked points miss one static scene by {self.reprojection_sigma:.1%} of the '
                'image width: the images are noisy or show moving objects; poses are a guess'
            ]
            if self.reprojection_sigma > MISFIT
            else []
        )
        if len(blind):
            notes.append(
                f'fewer than {FEWEST} points could be followed into {len(blind)} of '
                f'{len(self.tracked_points)} frames, the first of them {blind[0]} (from 0): '
                'how the camera moved there is a guess'
            )
        return tuple(notes)


def default_camera(width: int, height: int) -> Intrinsics:
    """Return a common camera, its principal point where the aligner puts it."""
    focal = DEFAULT_FOCAL_LENGTH_FACTOR * width
    return Intrinsics(width, height, focal, focal, width / 2, height / 2)


@single_threaded_blas()
def reconstruct(
    images: Images,
    depth: Array,
    camera: Intrinsics | None,
    advanced: Callable[[float], None] = lambda _: None,
) -> Reconstruction:
    """Learn what pairs are made of; every run gives the same.

    images    (N, H, W, 3) uint8 RGB, of any size that has the depth's aspect
    depth     (N, h, w) float32, Z, its unit common to the recording as far as the prior can; NaN
              unknown, +inf sky
    camera    intrinsics at (h, w); None: the focal length is sought too
    advanced  is told the share of the work that is done
    raises    InputError where images, depth and camera do not fit each other, or there is no depth
    """
    found, camera = located(images, depth, camera, lambda share: advanced(0.9 * share))
    landmarks = Landmarks.of(found)
    field = np.stack(
        [bent_field(found, landmarks, frame, depth[frame], camera) for frame in range(len(depth))]
    )
    advanced(1.0)
    T_world_cam, levels = found.scene.cameras.inverse().se3, _levels(depth)
    if trajectory_extent(T_world_cam) <= STATIC_EXTENT_DEPTHS * np.exp(np.nanmedian(levels)):
        # What parallax there is, is noise: frames get the scale that they share, and no more.
        field = np.broadcast_to(found.scene.log_scale[:, None, None], field.shape)
    later = found.seen.frame[found.seen.frame != found.seen.host]
    return Reconstruction(
        T_world_cam,
        field.astype(np.float32),
        _filled(levels),
        camera,
        np.bincount(later, minlength=len(depth)),
        found.noise.pixel / images[0].shape[1],
    )


def located(
    images: Images,
    depth: Array,
    camera: Intrinsics | None,
    advanced: Callable[[float], None] = lambda _: None,
) -> tuple[Adjusted, Intrinsics]:
    """Locate cameras and points of a recording; as for `reconstruct`.

    returns  them, and the camera at the size of the depth, its focal length as it was found
    """
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
    known, camera = camera is not None, camera or default_camera(w, h)
    tracks = follow(images, lambda share: advanced(0.6 * share))
    width, height = images[0].shape[1], images[0].shape[0]
    large = camera.scaled_to(width, height)
    seen, far = sightings(tracks, depth, large)
    middle = float(np.exp(np.nanmedian(_levels(depth))))
    found = _adjusted(seen, far, large, middle, focal_known=known)
    advanced(0.8)
    loops = find_loops(images, found, large, lambda share: advanced(0.8 + 0.1 * share))
    found = joined(found, loops, LONGEST)
    focal = float(np.exp(found.scene.log_focal)) * w / width
    advanced(1.0)
    return found, Intrinsics(w, h, focal, focal * camera.fy / camera.fx, camera.cx, camera.cy)


def sightings(tracks: Tracks, depth: Array, camera: Intrinsics) -> tuple[Sightings, Mask]:
    """Look up the prior at every sighting.

    camera   at the size of the images
    returns  the sightings, and (K,) bool, those of what the prior puts at infinity
    """
    frames, h, w = depth.shape
    place = (tracks.pixel + 0.5) * [w / camera.width, h / camera.height] - 0.5
    log_depth, far = np.full(len(place), np.nan), np.zeros(len(place), np.bool_)
    for frame in range(frames):
        at = np.flatnonzero(tracks.frame == frame)
        log_depth[at], far[at] = log_depth_at(depth[frame], place[at])
    offset = (tracks.pixel - [camera.cx, camera.cy]).astype(np.float64)
    return Sightings(
        tracks.track,
        tracks.frame,
        offset,
        log_depth,
        tracks.first,
        frames,
        np.zeros(len(tracks.track), np.bool_),
    ), far


def _adjusted(
    seen: Sightings, far: Mask, camera: Intrinsics, middle: float, *, focal_known: bool
) -> Adjusted:
    """Adjust cameras and points; ``camera`` and its sightings are of one size."""
    noise = Noise(
        PIXEL_SHARE * camera.width,
        PRIOR_DOUBT,
        PRIOR_DOUBT,
        False,
        0.0 if focal_known else FOCAL_DOUBT,
        float(np.log(camera.fx)),
        WEAK_MOTION * middle,
        WEAK_TURN_RAD,
    )
    scene = first_scene(seen, far, camera.fx, camera.fy / camera.fx)
    return adjusted(seen, scene, noise, LONGEST)


def _levels(depth: Array) -> Array64:
    """Return the median log depth of every frame, (N,), NaN where nothing is known.

    raises  InputError where no frame has any
    """
    levels = np.full(len(depth), np.nan)
    for frame, one in enumerate(depth):
        known = one[np.isfinite(one) & (one > 0)]
        if known.size:
            levels[frame] = np.log(np.median(known))
    if np.isnan(levels).all():
        raise InputError(
            f'the prior knows no depth in any of {len(depth)} frames; choose another prior'
        )
    return levels


def _filled(levels: Array64) -> Array:
    """Return levels (N,) for frames without any, from the nearest in time; NaN elsewhere."""
    known = np.flatnonzero(~np.isnan(levels))
    nearest = known[np.abs(np.arange(len(levels))[:, None] - known).argmin(axis=1)]
    return np.where(np.isnan(levels), levels[nearest], np.nan).astype(np.float32)
