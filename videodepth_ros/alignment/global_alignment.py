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
    Constraints,
    ScaleReference,
    constraint_factors,
    fix_gauge,
    smoothness_factors,
)
from videodepth_ros.alignment.initialization import initialize_state
from videodepth_ros.alignment.observations import FrameObservations, PairObservations
from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.alignment.parameters import AlignmentState, FocalModel, ParameterLayout
from videodepth_ros.alignment.problem import (
    AlignmentProblem,
    Cost,
    Linearization,
    with_measured_depth,
)
from videodepth_ros.alignment.ray_depth import depth_confidence, weiszfeld_depth
from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.core.threads import single_threaded_blas
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.motion_mask import ego_flow, segment_motion

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

DEPTH_PASSES = 8
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-4, 1e-9, 1e3


@dataclass(frozen=True)
class AlignmentOptions:
    """How to align; the defaults are those of the published demo.

    camera        intrinsics at the size of the point maps; None where they are unknown: pixels
                  are square and the principal point is taken at (w / 2, h / 2), as published
    focal_model   what to believe of the camera's fx; None: it is known if there is a camera, else
                  one is sought for all frames
    rotation_smoothing     weight of the rotation between neighbouring frames, 1/rad
    translation_smoothing   likewise of their distance, in the pairs' unit
    flow_weight   of the mean error of flow, 1/px
    max_pixels    about so many, at most, of each frame on the finest grid of step 2
    grid_levels   of the grid, each with twice the stride of the next
    max_iterations    on each level; function_tolerance: share of the cost that a step must gain
    window        pairs of frames further apart close loops, see `ParameterLayout`; None for up
                  to a hundred pairs
    """

    camera: Intrinsics | None = None
    focal_model: FocalModel | None = None
    rotation_smoothing: float = 0.01
    translation_smoothing: float = 0.01
    flow_weight: float = 0.01
    max_pixels: int = 2560
    grid_levels: int = 2
    max_iterations: int = 30
    function_tolerance: float = 1e-5
    window: int | None = None


PUBLISHED_OPTIONS, NO_CONSTRAINTS = AlignmentOptions(), Constraints()


@dataclass(frozen=True)
class GlobalAlignment:
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
    scale_reference: ScaleReference
    cost: Cost


@single_threaded_blas()
def align(
    pairs: Sequence[PointMapPair],
    settings: AlignmentOptions = PUBLISHED_OPTIONS,
    priors: Constraints = NO_CONSTRAINTS,
) -> GlobalAlignment:
    """Align the pairs of frames 0 to N - 1; every run gives the same result.

    raises   InputError where pairs or priors do not fit each other, or the pairs leave a frame
             apart; ConfigError where settings contradict each other
    """
    seen = _pair_observations(pairs, settings, priors)
    focal = _focal_model(settings)
    unknowns = ParameterLayout(
        seen.frames,
        [pair.edge for pair in pairs],
        focal,
        fix_first_camera=not len(priors.posed_frames),
        window=settings.window,
        flow=seen.has_flow,
    )
    strides = _strides(seen, settings)
    views = [seen.at(n, strides[0]) for n in range(seen.frames)]
    if not any(view.weight.any() for view in views):
        raise InputError('no point of any pair is known with a confidence above 1')
    camera = settings.camera
    state = initialize_state(
        seen,
        views,
        camera.fx if camera and focal is FocalModel.KNOWN else None,
        camera.fy / camera.fx if camera else 1.0,
        shared_focal=focal is FocalModel.SHARED,
    )
    state, _ = fix_gauge(state, priors, _measured(views, state))
    masks = None
    for level, stride in enumerate(strides):
        views = [
            seen.at(n, stride, None if masks is None else masks[n]) for n in range(seen.frames)
        ]
        problem = _problem(views, unknowns, settings, priors, len(pairs), flow=level > 0)
        found = minimize(problem, unknowns, state, settings)
        state, scale_reference = fix_gauge(found.state, priors, _measured(views, found.state))
        if seen.has_flow and masks is None:
            masks = _moving(seen, state)
    return _result(seen, state, priors, masks, scale_reference, found.cost)


def minimize(
    problem: AlignmentProblem,
    unknowns: ParameterLayout,
    state: AlignmentState,
    settings: AlignmentOptions,
) -> Linearization:
    """Descend by damped Gauss-Newton steps (Levenberg-Marquardt) until they gain little."""
    here, damping = problem.at(state), FIRST_DAMPING
    for _ in range(settings.max_iterations):
        step = here.equations.solve(damping)
        there = problem.at(unknowns.moved(here.state, step), here.depths)
        gain = here.cost.total - there.cost.total
        if gain > 0:
            here, damping = there, max(damping / 10, LEAST_DAMPING)
        else:
            damping *= 10
        if 0 <= gain < settings.function_tolerance * here.cost.total or damping > MOST_DAMPING:
            break
    return here


def _pair_observations(
    pairs: Sequence[PointMapPair], settings: AlignmentOptions, priors: Constraints
) -> PairObservations:
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
    seen = PairObservations(pairs, center, priors.depth_m)
    priors.check(seen.frames, (h, w))
    return seen


def _check_window(pairs: Sequence[PointMapPair], priors: Constraints, window: int) -> None:
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


def _focal_model(settings: AlignmentOptions) -> FocalModel:
    if settings.focal_model is FocalModel.KNOWN and settings.camera is None:
        raise ConfigError('the focal length is said to be known, but no camera is given')
    if settings.focal_model is not None:
        return settings.focal_model
    return FocalModel.SHARED if settings.camera is None else FocalModel.KNOWN


def sampling_stride(height: int, width: int, pixels: int) -> int:
    """Return the stride that leaves about ``pixels`` of an image, or fewer."""
    return ceil((height * width / pixels) ** 0.5)


def _strides(seen: PairObservations, settings: AlignmentOptions) -> list[int]:
    """Return the strides of step 2, coarse to fine; flow needs a level before it for its masks."""
    h, w = seen.shape
    finest = sampling_stride(h, w, settings.max_pixels)
    strides = [finest << level for level in reversed(range(settings.grid_levels))]
    return strides * 2 if seen.has_flow and len(strides) == 1 else strides


def _problem(
    views: list[FrameObservations],
    unknowns: ParameterLayout,
    settings: AlignmentOptions,
    priors: Constraints,
    pairs: int,
    *,
    flow: bool,
) -> AlignmentProblem:
    smoothing = smoothness_factors(
        len(views), settings.rotation_smoothing, settings.translation_smoothing
    )
    return AlignmentProblem(
        views,
        unknowns,
        pairs,
        smoothing,
        constraint_factors(priors),
        settings.flow_weight if flow else 0.0,
        priors.depth_weight,
    )


def _told(
    view: FrameObservations, state: AlignmentState, depth_weight: float
) -> tuple[Array, Array, Array]:
    """Return rays, points and weights of one frame, as `weiszfeld_depth` takes them."""
    rays = state.rays(view.frame, view.offset)
    seen = state.seen(view.frame, view.pair, view.points)
    return rays, *with_measured_depth(view, rays, seen, depth_weight)


def _depth(
    view: FrameObservations, state: AlignmentState, depth_weight: float, passes: int
) -> Array:
    """Return the depth of one frame, (P,) float32, NaN where nothing tells it."""
    return weiszfeld_depth(*_told(view, state, depth_weight), passes)


def _measured(views: list[FrameObservations], state: AlignmentState) -> list[tuple[Array, Array]]:
    """Return depths of the state beside those that were measured, for frames that have any."""
    return [
        (_depth(view, state, 0.0, 2), view.depth)
        for view in views
        if np.isfinite(view.depth).any()
    ]


def _intrinsics(seen: PairObservations, state: AlignmentState, frame: int) -> Intrinsics:
    fx = float(np.exp(state.log_focal[frame]))
    return Intrinsics(seen.shape[1], seen.shape[0], fx, fx * state.aspect, *seen.center)


def _moving(seen: PairObservations, state: AlignmentState) -> Mask:
    """Return the pixels (N, h, w) that flow sees moving by themselves."""
    masks = np.zeros((seen.frames, *seen.shape), np.bool_)
    poses = state.cameras.se3
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
        masks[frame] = segment_motion(errors)
    return masks


def _result(
    seen: PairObservations,
    state: AlignmentState,
    priors: Constraints,
    masks: Mask | None,
    scale_reference: ScaleReference,
    cost: Cost,
) -> GlobalAlignment:
    """Find the depth of every pixel, frame by frame, and gather everything."""
    depth = np.empty((seen.frames, *seen.shape), np.float32)
    trust = np.empty_like(depth)
    for frame in range(seen.frames):
        told = _told(seen.at(frame, 1), state, priors.depth_weight)
        found = weiszfeld_depth(*told, DEPTH_PASSES)
        depth[frame] = found.reshape(seen.shape)
        trust[frame] = depth_confidence(found, *told).reshape(seen.shape)
    cameras = tuple(_intrinsics(seen, state, frame) for frame in range(seen.frames))
    return GlobalAlignment(
        state.cameras.se3,
        depth,
        trust,
        cameras,
        state.pairs.se3,
        state.pairs.scale,
        masks,
        scale_reference,
        cost,
    )
