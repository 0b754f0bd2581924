# SPDX-License-Identifier: Apache-2.0
"""Initial state without global iterations: pairs chained along a maximum spanning tree.

After DUSt3R (arXiv 2312.14132, section 3.4): the tree of the most confident pairs is traversed
from its strongest pair, and every new frame is registered by the point map it shares.
"""

from __future__ import annotations

import heapq

import cv2
import numpy as np

from videodepth_ros.alignment.observations import FrameObservations, PairObservations
from videodepth_ros.alignment.options import PUBLISHED_OPTIONS, InitializationOptions
from videodepth_ros.alignment.parameters import AlignmentState
from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.sim3 import Sim3, umeyama_alignment


def initialize_state(
    observations: PairObservations,
    frames: list[FrameObservations],
    focal_px: float | None,
    aspect: float,
    *,
    shared_focal: bool,
    options: InitializationOptions = PUBLISHED_OPTIONS.initialization,
) -> AlignmentState:
    """Estimate cameras and pairs; the root of the tree is the world.

    frames    sampled observations of every frame
    focal_px  known fx; None: estimated. aspect fy / fx
    raises    InputError where the pair graph is not connected
    """
    focals = np.array(
        [
            focal_px or _estimate_focal(observations, frame, aspect, options.focal_iterations)
            for frame in frames
        ]
    )
    if shared_focal:
        focals[:] = np.median(focals)
    registration = _Registration(observations, frames, options.min_points)
    world = registration.frame_points()
    cameras = [
        registration.camera(frame, world[frame.index], focals[frame.index], aspect)
        for frame in frames
    ]
    pairs = [registration.pair(index, world) for index in range(len(observations.pairs))]
    return AlignmentState(Sim3.stack(cameras), Sim3.stack(pairs), np.log(focals), aspect)


def _estimate_focal(
    observations: PairObservations, frame: FrameObservations, aspect: float, iterations: int
) -> float:
    """Return the fx that projects a frame's own point maps onto their pixels, by Weiszfeld.

    The median over the pairs whose camera it is; without any, a field of view of 53 degrees.
    """
    own = [m for m, pair in enumerate(frame.pair) if observations.pairs[pair].i == frame.index]
    estimates = []
    for m in own:
        x, y, z = frame.points[m].astype(np.float64)
        valid = (frame.weight[m] > 0) & (z > 0)
        slope = np.stack([x[valid], aspect * y[valid]]) / z[valid]
        pixel = frame.offset_px[:, valid].astype(np.float64)
        gain = np.ones(slope.shape[1])
        for _ in range(iterations):
            focal = float((gain * slope * pixel).sum() / max((gain * slope**2).sum(), 1e-12))
            gain = 1 / np.maximum(np.linalg.norm(pixel - focal * slope, axis=0), 1e-8)
        estimates.append(focal)
    positive = [focal for focal in estimates if focal > 0]
    return float(np.median(positive)) if positive else float(max(observations.shape))


class _Registration:
    """Registration of frames, cameras and pairs by their point maps."""

    def __init__(
        self, observations: PairObservations, frames: list[FrameObservations], min_points: int
    ) -> None:
        self._observations, self._frames = observations, frames
        self._min_points = min_points

    def frame_points(self) -> list[Float32Array]:
        """Return the points of every frame (3, P) in the world, along the spanning tree (Prim).

        raises  InputError where the pair graph is not connected
        """
        pairs = self._observations.pairs
        score = [self._score(index) for index in range(len(pairs))]
        incident: list[list[int]] = [[] for _ in self._frames]
        for index, pair in enumerate(pairs):
            incident[pair.i].append(index)
            incident[pair.j].append(index)
        strongest = int(np.argmax(score))
        root = pairs[strongest].i
        world = {root: self._point_map(root, strongest, second=False)[0]}
        queue = [(-score[index], index) for index in incident[root]]
        heapq.heapify(queue)
        while queue:
            index = heapq.heappop(queue)[1]
            i, j = pairs[index].edge
            if i in world and j in world:
                continue
            known, new = (i, j) if i in world else (j, i)
            to_world = self._fit(*self._point_map(known, index, known == j), world[known])
            world[new] = to_world.apply(self._point_map(new, index, new == j)[0])
            for other in incident[new]:
                heapq.heappush(queue, (-score[other], other))
        apart = sorted(set(range(len(self._frames))) - set(world))
        if apart:
            raise InputError(
                f'no pair connects frames {apart[:8]} to the others; give a connected graph of '
                'pairs'
            )
        return [world[frame] for frame in range(len(self._frames))]

    def camera(
        self, frame: FrameObservations, world: Float32Array, focal_px: float, aspect: float
    ) -> Sim3:
        """Register a camera by its own point map, or by PnP where it has none.

        world  (3, P), points of the frame in the world
        """
        for m in np.argsort(-frame.weight.sum(axis=1), kind='stable'):
            if self._observations.pairs[frame.pair[m]].i == frame.index:
                fitted = self._fit(frame.points[m], frame.weight[m], world)
                return Sim3(np.array(1.0), fitted.rotation, fitted.translation)
        weight = frame.weight.sum(axis=0)
        known = (weight > 0) & (weight >= np.median(weight))
        K = np.array([[focal_px, 0, 0], [0, focal_px * aspect, 0], [0, 0, 1.0]])
        if np.count_nonzero(known) < self._min_points:
            return Sim3.identity(1)[0]
        found, vector, translation = cv2.solvePnP(
            world[:, known].T.astype(np.float64),
            frame.offset_px[:, known].T.astype(np.float64),
            K,
            None,
            flags=cv2.SOLVEPNP_SQPNP,
        )
        if not found:
            return Sim3.identity(1)[0]
        T_cam_world = np.eye(4)
        T_cam_world[:3, :3], T_cam_world[:3, 3] = cv2.Rodrigues(vector)[0], translation[:, 0]
        return Sim3.from_se3(T_cam_world).inverse()

    def pair(self, index: int, world: list[Float32Array]) -> Sim3:
        """Register a pair: both of its point maps to their frames' points in the world."""
        i, j = self._observations.pairs[index].edge
        points_i, weight_i = self._point_map(i, index, second=False)
        points_j, weight_j = self._point_map(j, index, second=True)
        return self._fit(
            np.concatenate([points_i, points_j], axis=1),
            np.concatenate([weight_i, weight_j]),
            np.concatenate([world[i], world[j]], axis=1),
        )

    def _point_map(self, frame: int, pair: int, second: bool) -> tuple[Float32Array, Float32Array]:
        """Return points (3, P) and weights (P,) of a frame in a pair, as j if ``second``."""
        rows = np.flatnonzero(self._frames[frame].pair == pair)
        row = rows[-1 if second else 0]
        return self._frames[frame].points[row], self._frames[frame].weight[row]

    def _score(self, index: int) -> float:
        """Return the product of the mean confidences of a pair."""
        i, j = self._observations.pairs[index].edge
        confidence_i = np.exp(self._point_map(i, index, second=False)[1]).mean()
        return float(confidence_i * np.exp(self._point_map(j, index, second=True)[1]).mean())

    def _fit(self, points: Float32Array, weight: Float32Array, target: Float32Array) -> Sim3:
        """Fit a similarity (Umeyama); the identity where too few points are known."""
        known = weight > 0
        if np.count_nonzero(known) < self._min_points:
            return Sim3.identity(1)[0]
        return umeyama_alignment(points[:, known], target[:, known], weight[known])
