# SPDX-License-Identifier: Apache-2.0
"""Where the bundle adjustment starts: frames placed one after the other by resection.

The points of a track stand where the depth prior of its first frame puts them. A frame is placed
where it sees the points known so far (PnP, with outliers left out); they then tell by which scale
its own prior differs from that of the frames before it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.reprojection import Scene, Sightings

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

FEWEST = 12
LEAST_RADIUS_PX = 2.0
RADIUS_SHARE = 0.2
"""Of the median motion of points from the frame before: that much a wrong prior may misplace."""
FAR = 100.0
"""Median depths at which a point in the sky starts."""
TRIALS = 200


def first_scene(seen: Sightings, far: Mask, focal: float, aspect: float) -> Scene:
    """Place the frames of a recording; the first one is the world.

    far    (K,) bool, sightings of what the prior says is at infinity
    focal  fx in pixels
    """
    K = np.array([[focal, 0, 0], [0, focal * aspect, 0], [0, 0, 1.0]])
    middle = float(np.nanmedian(seen.log_depth)) if np.isfinite(seen.log_depth).any() else 0.0
    log_inverse = np.full(len(seen.first), -middle)
    placed = np.full((len(seen.first), 3), np.nan)
    cameras, log_scale = np.tile(np.eye(4), (seen.frames, 1, 1)), np.zeros(seen.frames)
    by_frame = np.split(
        np.argsort(seen.frame, kind='stable'),
        np.cumsum(np.bincount(seen.frame, minlength=seen.frames))[:-1],
    )
    own = seen.frame == seen.host
    for n, at in enumerate(by_frame):
        if n:
            cameras[n], log_scale[n] = cameras[n - 1], log_scale[n - 1]
            old = at[~own[at]]
            cameras[n], good = _resected(
                placed[seen.track[old]], seen.offset[old], K, cameras[n - 1]
            )
            log_scale[n] = _scale(seen, old[good], placed, cameras[n], log_scale[n - 1])
        new = at[own[at]]
        depth = seen.log_depth[new] + log_scale[n]
        start = np.where(np.isnan(depth), middle + log_scale[n], depth)
        start = np.where(far[new], start + np.log(FAR), start)
        log_inverse[seen.track[new]] = -start
        ray = np.column_stack([seen.offset[new] / [focal, focal * aspect], np.ones(len(new))])
        known = ~np.isnan(depth) | far[new]
        back = np.linalg.inv(cameras[n])
        placed[seen.track[new[known]]] = (
            (ray * np.exp(start)[:, None]) @ back[:3, :3].T + back[:3, 3]
        )[known]
    return Scene(
        Sim3.from_se3(cameras),
        log_scale - np.median(log_scale),
        log_inverse + np.median(log_scale),
        float(np.log(focal)),
        aspect,
    )


def _resected(world: Array, offset: Array, K: Array, before: Array) -> tuple[Array, Mask]:
    """Return T_cam_world (4, 4) of a frame that sees ``world`` (P, 3), and which points fit.

    before  of the frame before: where too little is seen the camera has not moved
    """
    T, good = before.copy(), ~np.isnan(world[:, 0])
    if np.count_nonzero(good) < FEWEST:
        return T, good
    turned = world[good] @ before[:3, :3].T + before[:3, 3]
    ahead = turned[:, 2:] > 0
    last = np.where(ahead, turned[:, :2] / turned[:, 2:] * [K[0, 0], K[1, 1]], offset[good])
    motion = float(np.median(np.linalg.norm(offset[good] - last, axis=1)))
    start = cv2.Rodrigues(before[:3, :3])[0], before[:3, 3].copy()
    found, vector, translation, inside = cv2.solvePnPRansac(
        world[good],
        offset[good],
        K,
        None,
        *start,
        useExtrinsicGuess=True,
        iterationsCount=TRIALS,
        reprojectionError=max(LEAST_RADIUS_PX, RADIUS_SHARE * motion),
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    if not found or inside is None or len(inside) < FEWEST:
        return T, good
    T[:3, :3], T[:3, 3] = cv2.Rodrigues(vector)[0], translation.ravel()
    fits = np.zeros(len(good), np.bool_)
    fits[np.flatnonzero(good)[inside[:, 0]]] = True
    return T, fits


def _scale(
    seen: Sightings, at: Indices, placed: Array, T_cam_world: Array, before: float
) -> float:
    """Return the log scale by which a frame's prior is too small beside the points it sees."""
    z = placed[seen.track[at]] @ T_cam_world[2, :3] + T_cam_world[2, 3]
    log_ratio = np.log(np.maximum(z, 1e-9)) - seen.log_depth[at]
    log_ratio = log_ratio[np.isfinite(log_ratio)]
    return float(np.median(log_ratio)) if len(log_ratio) >= FEWEST else before
