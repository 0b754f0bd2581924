# SPDX-License-Identifier: Apache-2.0
"""Bundle adjustment with loop closures.

A false loop closure conflicts with the tracks between its ends. Loop closures that raise the cost
of the tracks by more than true ones do are removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from videodepth_ros.sfm.bundle_adjustment import BundleAdjuster
from videodepth_ros.sfm.loop_closure import LoopClosure
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions
from videodepth_ros.sfm.pieces import Pieces
from videodepth_ros.sfm.pose_graph import optimize_pose_graph, place_pieces
from videodepth_ros.sfm.reprojection import BundleState, Observations
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction, adjust_in_rounds


def adjust_with_loop_closures(
    sparse: SparseReconstruction,
    loops: Sequence[LoopClosure],
    options: ReconstructionOptions = DEFAULTS,
    pieces: Pieces | None = None,
) -> tuple[SparseReconstruction, list[LoopClosure]]:
    """Adjust cameras and points so that loops close; return ``sparse`` if there are none.

    pieces   of the recording; None: one
    returns  the reconstruction, and the loops that are closed. Their observations take part in the
             adjustment, and are left out of the result
    """
    pieces = pieces or Pieces.whole(sparse.observations.frames)
    start = _close_loops(sparse, loops, options, pieces)
    kinds = {pieces.is_between(loop.i, loop.j) for loop in loops}
    if len(kinds) > 1 or _conflict_with_tracks(sparse, loops, start, options, pieces):
        loops = [
            loop
            for cluster in _cluster(loops, options.loop_closure.neighborhood)
            if not _conflict_with_tracks(
                sparse, cluster, _close_loops(sparse, cluster, options, pieces), options, pieces
            )
            for loop in cluster
        ]
        start = _close_loops(sparse, loops, options, pieces)
    if not loops or _conflict_with_tracks(sparse, loops, start, options, pieces):
        return sparse, []
    adjusted = adjust_in_rounds(
        _add_loop_observations(sparse.observations, loops),
        start,
        sparse.noise,
        options.loop_adjustment.iterations,
        options,
    )
    tracked = adjusted.observations.select(~adjusted.observations.is_loop)
    return replace(adjusted, observations=tracked), list(loops)


def _close_loops(
    sparse: SparseReconstruction,
    loops: Sequence[LoopClosure],
    options: ReconstructionOptions,
    pieces: Pieces,
) -> BundleState:
    """Place the pieces, optimize the pose graph, and adjust once."""
    if not loops:
        return sparse.state
    state = place_pieces(sparse.state, loops, pieces)
    start = optimize_pose_graph(
        sparse.observations, state, sparse.noise, loops, options.pose_graph, pieces
    )
    adjuster = BundleAdjuster(
        _add_loop_observations(sparse.observations, loops),
        options.tracking.max_track_length,
        options.bundle_adjustment,
    )
    return adjuster.solve(start, sparse.noise, options.loop_adjustment.test_iterations)


def _conflict_with_tracks(
    sparse: SparseReconstruction,
    loops: Sequence[LoopClosure],
    state: BundleState,
    options: ReconstructionOptions,
    pieces: Pieces,
) -> bool:
    """Return whether ``state``, with the loops closed, raises the cost of the tracks too much."""
    if not loops:
        return False
    frame = sparse.observations.frame
    first, last = min(loop.i for loop in loops), max(loop.j for loop in loops)
    between = np.count_nonzero((frame >= first) & (frame <= last))
    tracks = BundleAdjuster(
        sparse.observations, options.tracking.max_track_length, options.bundle_adjustment
    )
    rise = tracks.cost(state, sparse.noise) - tracks.cost(sparse.state, sparse.noise)
    limits = options.loop_adjustment
    is_between = all(pieces.is_between(loop.i, loop.j) for loop in loops)
    limit = limits.max_piece_cost_rise if is_between else limits.max_cost_rise
    return bool(rise > limit * between)


def _cluster(loops: Sequence[LoopClosure], neighborhood: int) -> list[list[LoopClosure]]:
    """Return clusters of loop closures both of whose ends are within ``neighborhood`` frames."""
    clusters: list[list[LoopClosure]] = []
    for loop in loops:
        merged, others = [loop], []
        for cluster in clusters:
            if any(
                max(abs(loop.i - other.i), abs(loop.j - other.j)) < neighborhood
                for other in cluster
            ):
                merged += cluster
            else:
                others.append(cluster)
        clusters = [*others, merged]
    return clusters


def _add_loop_observations(
    observations: Observations, loops: Sequence[LoopClosure]
) -> Observations:
    """Return the observations with those of the later frames of loops, without prior depth."""
    track = np.concatenate([loop.track for loop in loops])
    frame = np.repeat([loop.j for loop in loops], [len(loop.track) for loop in loops])
    xy = np.concatenate([loop.xy for loop in loops])
    _, once = np.unique(track * observations.frames + frame, return_index=True)
    track = np.concatenate([observations.track, track[once]])
    frame = np.concatenate([observations.frame, frame[once]])
    unknown = np.full(len(once), np.nan)
    order = np.lexsort((frame, track))
    return Observations(
        track[order],
        frame[order],
        np.concatenate([observations.xy, xy[once]])[order],
        np.append(observations.log_prior_depth, unknown)[order],
        np.searchsorted(track[order], np.arange(len(observations.start))),
        observations.frames,
        order >= len(observations.track),
    )
