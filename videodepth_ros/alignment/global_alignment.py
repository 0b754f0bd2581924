# SPDX-License-Identifier: Apache-2.0
"""Global alignment: from point maps of pairs of frames to one trajectory and consistent depth.

The objective is the one of DUSt3R (arXiv 2312.14132, eq. 5) as MonST3R and Align3R use it:

    sum over pairs e and their two views n, over pixels p, of
        log(confidence) | T_world_n d_n(p) k_n(p) - s_e (R_e x_e(p) + t_e) |

over the cameras T_world_n, the depths d_n, the focal length in the rays k_n, and a similarity
s_e, R_e, t_e for each pair; `objective.py` is its plain reference. It is minimised in three steps:

1. a first guess along the strongest pairs (`initialise.py`);
2. Gauss-Newton on a grid of pixels that grows finer, with the norm re-weighted and every depth
   eliminated (`problem.py`): cameras and pairs are over-determined a thousandfold;
3. the depth of every pixel, a problem of its own along each ray (`depth_pass.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import (
    Priors,
    ScaleFrom,
    prior_factors,
    settled,
    smoothing_factors,
)
from videodepth_ros.alignment.depth_elimination import confidence, depth_along_rays
from videodepth_ros.alignment.initialization import initial_state
from videodepth_ros.alignment.observations import FrameView, Observations
from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.alignment.parameters import FocalModel, State, Unknowns
from videodepth_ros.alignment.problem import Cost, Point, Problem, with_measured
from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.core.threads import one_blas_thread
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.masks import ego_flow, moving

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

DEPTH_PASSES = 8
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-4, 1e-9, 1e3


@dataclass(frozen=True)
class Settings:
    """How to align; the defaults are those of the published demo.

    camera        intrinsics at the size of the point maps; None where they are unknown: pixels
                  are square and the principal point is taken at (w / 2, h / 2), as published
    focal         what to believe of the camera's fx; None: it is known if there is a camera, else
                  one is sought for all frames
    smoothing     weight of the rotation between neighbouring frames, 1/rad
    translation_smoothing   likewise of their distance, in the pairs' unit
    flow_weight   of the mean error of flow, 1/px
    pixels        about so many, at most, of each frame on the finest grid of step 2
    levels        of the grid, each with twice the stride of the next
    iterations    at most, on each level; tolerance: share of the cost that a step must gain
    window        pairs of frames further apart close loops, see `Unknowns`; None for up to a
                  hundred pairs
    """

    camera: Intrinsics | None = None
    focal: FocalModel | None = None
    smoothing: float = 0.01
    translation_smoothing: float = 0.01
    flow_weight: float = 0.01
    pixels: int = 2560
    levels: int = 2
    iterations: int = 30
    tolerance: float = 1e-5
    window: int | None = None


AS_PUBLISHED, NO_PRIORS = Settings(), Priors()


@dataclass(frozen=True)
class Alignment:
    """What was found. Unit and world are those of the priors, or the pairs' and frame 0's.

    T_world_cam   (N, 4, 4) float64
    depth         (N, h, w) float32, Z; NaN where no pair knows the pixel
    confidence    (N, h, w) float32 in [0, 1], see `depth_pass.confidence`
    cameras       intrinsics of every frame
    T_world_pair  (E, 4, 4) float64, rigid; pair_scale (E,) float64, applied to points first
    moving        (N, h, w) bool, what moves by itself; None without flow
    cost          on the finest grid of step 2; `objective.py` gives it over every pixel
    """

    T_world_cam: Array64
    depth: Array
    confidence: Array
    cameras: tuple[Intrinsics, ...]
    T_world_pair: Array64
    pair_scale: Array64
    moving: Mask | None
    scale_from: ScaleFrom
    cost: Cost


@one_blas_thread()
def align(
    pairs: Sequence[PointMapPair], settings: Settings = AS_PUBLISHED, priors: Priors = NO_PRIORS
) -> Alignment:
    """Align the pairs of frames 0 to N - 1; every run gives the same result.

    raises   InputError where pairs or priors do not fit each other, or the pairs leave a frame
             apart; ConfigError where settings contradict each other
    """
    seen = _observations(pairs, settings, priors)
    focal = _focal_model(settings)
    unknowns = Unknowns(
        seen.frames,
        [pair.edge for pair in pairs],
        focal,
        hold_first=not len(priors.posed),
        window=settings.window,
        flow=seen.has_flow,
    )
    strides = _strides(seen, settings)
    views = [seen.at(n, strides[0]) for n in range(seen.frames)]
    if not any(view.weight.any() for view in views):
        raise InputError('no point of any pair is known with a confidence above 1')
    camera = settings.camera
    state = initial_state(
        seen,
        views,
        camera.fx if camera and focal is FocalModel.KNOWN else None,
        camera.fy / camera.fx if camera else 1.0,
        shared_focal=focal is FocalModel.SHARED,
    )
    state, _ = settled(state, priors, _measured(views, state))
    masks = None
    for level, stride in enumerate(strides):
        views = [
            seen.at(n, stride, None if masks is None else masks[n]) for n in range(seen.frames)
        ]
        problem = _problem(views, unknowns, settings, priors, len(pairs), flow=level > 0)
        found = minimise(problem, unknowns, state, settings)
        state, scale_from = settled(found.state, priors, _measured(views, found.state))
        if seen.has_flow and masks is None:
            masks = _moving(seen, state)
    return _result(seen, state, priors, masks, scale_from, found.cost)


def minimise(problem: Problem, unknowns: Unknowns, state: State, settings: Settings) -> Point:
    """Descend by damped Gauss-Newton steps (Levenberg-Marquardt) until they gain little."""
    here, damping = problem.at(state), FIRST_DAMPING
    for _ in range(settings.iterations):
        step = here.equations.solve(damping)
        there = problem.at(unknowns.moved(here.state, step), here.depths)
        gain = here.cost.total - there.cost.total
        if gain > 0:
            here, damping = there, max(damping / 10, LEAST_DAMPING)
        else:
            damping *= 10
        if 0 <= gain < settings.tolerance * here.cost.total or damping > MOST_DAMPING:
            break
    return here


def _observations(
    pairs: Sequence[PointMapPair], settings: Settings, priors: Priors
) -> Observations:
    if not pairs:
        raise InputError('no pairs to align; one frame alone is given as the pair (0, 0)')
    h, w = pairs[0].shape
    odd = [pair.edge for pair in pairs if pair.shape != (h, w)]
    if odd:
        raise InputError(
            f'pairs {odd[:4]} are not of {w}x{h} pixels as the first one is; bring '
            'all frames to one size'
        )
    if settings.window is not None:
        _check_window(pairs, priors, settings.window)
    camera = settings.camera
    if camera is not None and (camera.width, camera.height) != (w, h):
        raise ConfigError(
            f'the camera is {camera.width}x{camera.height} and the point maps are '
            f'{w}x{h}; scale the intrinsics to the point maps'
        )
    center = (w / 2, h / 2) if camera is None else (camera.cx, camera.cy)
    seen = Observations(pairs, center, priors.depth_m)
    priors.check(seen.frames, (h, w))
    return seen


def _check_window(pairs: Sequence[PointMapPair], priors: Priors, window: int) -> None:
    """Refuse what would tie two cameras directly that are further apart than the window."""
    if window < 1:
        raise ConfigError(f'a window of {window} frames holds no pair; give 1 or more, or None')
    far = [pair.edge for pair in pairs if pair.flow is not None and abs(pair.i - pair.j) > window]
    far += [(step.i, step.j) for step in priors.odometry if abs(step.i - step.j) > window]
    if far:
        raise ConfigError(
            f'flow or odometry joins frames {far[:4]}, further apart than the '
            f'window of {window} frames; leave it out, or widen the window'
        )


def _focal_model(settings: Settings) -> FocalModel:
    if settings.focal is FocalModel.KNOWN and settings.camera is None:
        raise ConfigError('the focal length is said to be known, but no camera is given')
    if settings.focal is not None:
        return settings.focal
    return FocalModel.SHARED if settings.camera is None else FocalModel.KNOWN


def stride_for(height: int, width: int, pixels: int) -> int:
    """Return the stride that leaves about ``pixels`` of an image, or fewer."""
    return ceil((height * width / pixels) ** 0.5)


def _strides(seen: Observations, settings: Settings) -> list[int]:
    """Return the strides of step 2, coarse to fine; flow needs a level before it for its masks."""
    h, w = seen.shape
    finest = stride_for(h, w, settings.pixels)
    strides = [finest << level for level in reversed(range(settings.levels))]
    return strides * 2 if seen.has_flow and len(strides) == 1 else strides


def _problem(
    views: list[FrameView],
    unknowns: Unknowns,
    settings: Settings,
    priors: Priors,
    pairs: int,
    *,
    flow: bool,
) -> Problem:
    smoothing = smoothing_factors(len(views), settings.smoothing, settings.translation_smoothing)
    return Problem(
        views,
        unknowns,
        pairs,
        smoothing,
        prior_factors(priors),
        settings.flow_weight if flow else 0.0,
        priors.depth_weight,
    )


def _told(view: FrameView, state: State, depth_weight: float) -> tuple[Array, Array, Array]:
    """Return rays, points and weights of one frame, as `depth_along_rays` takes them."""
    rays = state.rays(view.frame, view.offset)
    seen = state.seen(view.frame, view.pair, view.points)
    return rays, *with_measured(view, rays, seen, depth_weight)


def _depth(view: FrameView, state: State, depth_weight: float, passes: int) -> Array:
    """Return the depth of one frame, (P,) float32, NaN where nothing tells it."""
    return depth_along_rays(*_told(view, state, depth_weight), passes)


def _measured(views: list[FrameView], state: State) -> list[tuple[Array, Array]]:
    """Return depths of the state beside those that were measured, for frames that have any."""
    return [
        (_depth(view, state, 0.0, 2), view.depth)
        for view in views
        if np.isfinite(view.depth).any()
    ]


def _intrinsics(seen: Observations, state: State, frame: int) -> Intrinsics:
    fx = float(np.exp(state.log_focal[frame]))
    return Intrinsics(seen.shape[1], seen.shape[0], fx, fx * state.aspect, *seen.center)


def _moving(seen: Observations, state: State) -> Mask:
    """Return the pixels (N, h, w) that flow sees moving by themselves."""
    masks = np.zeros((seen.frames, *seen.shape), np.bool_)
    poses = state.cameras.rigid
    for frame in range(seen.frames):
        flows = seen.flows_from(frame)
        if not flows:
            continue
        depth = _depth(seen.at(frame, 1), state, 0.0, DEPTH_PASSES).reshape(seen.shape)
        errors = []
        for other, flow in flows:
            expected = ego_flow(
                depth,
                _intrinsics(seen, state, frame),
                np.linalg.inv(poses[other]) @ poses[frame],
                _intrinsics(seen, state, other),
            )
            errors.append(np.linalg.norm(flow - expected, axis=-1))
        masks[frame] = moving(errors)
    return masks


def _result(
    seen: Observations,
    state: State,
    priors: Priors,
    masks: Mask | None,
    scale_from: ScaleFrom,
    cost: Cost,
) -> Alignment:
    """Find the depth of every pixel, frame by frame, and gather everything."""
    depth = np.empty((seen.frames, *seen.shape), np.float32)
    trust = np.empty_like(depth)
    for frame in range(seen.frames):
        told = _told(seen.at(frame, 1), state, priors.depth_weight)
        found = depth_along_rays(*told, DEPTH_PASSES)
        depth[frame] = found.reshape(seen.shape)
        trust[frame] = confidence(found, *told).reshape(seen.shape)
    cameras = tuple(_intrinsics(seen, state, frame) for frame in range(seen.frames))
    return Alignment(
        state.cameras.rigid,
        depth,
        trust,
        cameras,
        state.pairs.rigid,
        state.pairs.scale,
        masks,
        scale_from,
        cost,
    )
