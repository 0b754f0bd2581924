# SPDX-License-Identifier: Apache-2.0
"""Global alignment: from point maps of pairs to one trajectory and consistent depth.

The objective is that of DUSt3R (arXiv 2312.14132, eq. 5) as MonST3R and Align3R use it:

    sum over pairs e and their two views n, over pixels p, of
        log(confidence) | T_world_n d_n(p) k_n(p) - s_e (R_e x_e(p) + t_e) |

over the cameras T_world_n, the depths d_n, the focal length in the rays k_n, and a similarity
s_e, R_e, t_e per pair; `reference.py` evaluates it plainly. It is minimised in three steps:

1. an initial state along the spanning tree of the pairs (`initialization.py`);
2. Gauss-Newton on pixel grids from coarse to fine, with re-weighted norms and all depths
   eliminated (`problem.py`): cameras and pairs are overdetermined a thousandfold;
3. the depth of every pixel at full resolution, independently along each ray (`ray_depth.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from videodepth_ros.alignment.constraints import (
    NO_CONSTRAINTS,
    Constraints,
    ScaleReference,
    constraint_factors,
    fix_gauge,
    smoothness_factors,
)
from videodepth_ros.alignment.initialization import initialize_state
from videodepth_ros.alignment.observations import FrameObservations, PairObservations
from videodepth_ros.alignment.options import PUBLISHED_OPTIONS, AlignmentOptions, FocalModel
from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.alignment.parameters import AlignmentState, ParameterLayout
from videodepth_ros.alignment.problem import (
    AlignmentProblem,
    Cost,
    Linearization,
    with_measured_depth,
)
from videodepth_ros.alignment.ray_depth import depth_confidence, weiszfeld_depth
from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray
from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.core.threads import single_threaded_blas
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.motion_mask import ego_flow, segment_motion


@dataclass(frozen=True)
class GlobalAlignment:
    """Result, in the world and unit of the constraints, or of frame 0 and the published gauge.

    T_world_cam   (N, 4, 4) float64
    depth         (N, h, w) float32, Z; NaN where no pair has the pixel
    confidence    (N, h, w) float32 in [0, 1], see `ray_depth.depth_confidence`
    cameras       intrinsics of every frame
    T_world_pair  (E, 4, 4) float64, rigid; pair_scale (E,) float64, applied to points first
    moving        (N, h, w) bool, moving objects; None without flow
    cost          on the finest grid of step 2; `reference.py` gives that over every pixel
    """

    T_world_cam: Float64Array
    depth: Float32Array
    confidence: Float32Array
    cameras: tuple[Intrinsics, ...]
    T_world_pair: Float64Array
    pair_scale: Float64Array
    moving: MaskArray | None
    scale_reference: ScaleReference
    cost: Cost


@single_threaded_blas()
def align(
    pairs: Sequence[PointMapPair],
    options: AlignmentOptions = PUBLISHED_OPTIONS,
    constraints: Constraints = NO_CONSTRAINTS,
) -> GlobalAlignment:
    """Align the pairs of frames 0 to N - 1; deterministic.

    raises   InputError where pairs and constraints do not match, or the pair graph is not
             connected; ConfigError where options contradict each other
    """
    observations = _group_pairs(pairs, options, constraints)
    layout = ParameterLayout(
        observations.frame_count,
        [pair.edge for pair in pairs],
        _focal_model(options),
        fix_first_camera=not len(constraints.posed_frames),
        window=options.window,
        flow=observations.has_flow,
    )
    strides = _strides(observations, options)
    state = _initialize(observations, strides[0], options, constraints)
    masks = None
    for level, stride in enumerate(strides):
        frames = [
            observations.sample(n, stride, None if masks is None else masks[n])
            for n in range(observations.frame_count)
        ]
        problem = _build_problem(
            frames, layout, options, constraints, pair_count=len(pairs), use_flow=level > 0
        )
        solution = minimize(problem, layout, state, options)
        state, reference = fix_gauge(
            solution.state, constraints, _measured_depths(frames, solution.state, options)
        )
        if observations.has_flow and masks is None:
            masks = _segment_moving(observations, state, options)
    return _gather(observations, state, options, constraints, masks, reference, solution.cost)


def minimize(
    problem: AlignmentProblem,
    layout: ParameterLayout,
    state: AlignmentState,
    options: AlignmentOptions,
) -> Linearization:
    """Minimise the objective from ``state`` by Levenberg-Marquardt; return the last state."""
    limits = options.damping
    current, damping = problem.linearize(state), limits.initial
    for _ in range(options.max_iterations):
        step = current.equations.solve(damping)
        candidate = problem.linearize(layout.apply_step(current.state, step), current.depths)
        gain = current.cost.total - candidate.cost.total
        if gain > 0:
            current, damping = candidate, max(damping / limits.factor, limits.minimum)
        else:
            damping *= limits.factor
        converged = 0 <= gain < options.function_tolerance * current.cost.total
        if converged or damping > limits.maximum:
            break
    return current


def _group_pairs(
    pairs: Sequence[PointMapPair], options: AlignmentOptions, constraints: Constraints
) -> PairObservations:
    """Validate pairs, options and constraints, and group the pairs by frame."""
    if not pairs:
        raise InputError('no pairs to align; pass a single frame as the pair (0, 0)')
    h, w = pairs[0].shape
    other = [pair.edge for pair in pairs if pair.shape != (h, w)]
    if other:
        raise InputError(
            f'pairs {other[:4]} are not of {w}x{h} pixels as the first one is; resize '
            'all frames to one size'
        )
    if options.window is not None:
        _check_window(pairs, constraints, options.window)
    camera = options.camera
    if camera is not None and (camera.width, camera.height) != (w, h):
        raise ConfigError(
            f'the camera is {camera.width}x{camera.height} and the point maps are '
            f'{w}x{h}; scale the intrinsics to the point maps'
        )
    principal_point = (w / 2, h / 2) if camera is None else (camera.cx, camera.cy)
    observations = PairObservations(pairs, principal_point, constraints.depth_m)
    constraints.validate(observations.frame_count, (h, w))
    return observations


def _check_window(pairs: Sequence[PointMapPair], constraints: Constraints, window: int) -> None:
    """Raise ConfigError where flow or odometry couples cameras beyond the window."""
    if window < 1:
        raise ConfigError(f'a window of {window} frames holds no pair; give 1 or more, or None')
    far = [pair.edge for pair in pairs if pair.flow is not None and abs(pair.i - pair.j) > window]
    far += [(step.i, step.j) for step in constraints.odometry if abs(step.i - step.j) > window]
    if far:
        raise ConfigError(
            f'flow or odometry connects frames {far[:4]}, further apart than the '
            f'window of {window} frames; leave it out, or widen the window'
        )


def _focal_model(options: AlignmentOptions) -> FocalModel:
    if options.focal_model is FocalModel.KNOWN and options.camera is None:
        raise ConfigError('focal_model is KNOWN, but no camera is given; give its intrinsics')
    if options.focal_model is not None:
        return options.focal_model
    return FocalModel.SHARED if options.camera is None else FocalModel.KNOWN


def sampling_stride(height: int, width: int, max_pixels: int) -> int:
    """Return the least stride that leaves about ``max_pixels`` of an image, or fewer."""
    return ceil((height * width / max_pixels) ** 0.5)


def _strides(observations: PairObservations, options: AlignmentOptions) -> list[int]:
    """Return the strides of step 2, coarse to fine; flow needs masks from a level before it."""
    h, w = observations.shape
    finest = sampling_stride(h, w, options.max_pixels)
    strides = [finest << level for level in reversed(range(options.grid_levels))]
    return strides * 2 if observations.has_flow and len(strides) == 1 else strides


def _initialize(
    observations: PairObservations,
    stride: int,
    options: AlignmentOptions,
    constraints: Constraints,
) -> AlignmentState:
    """Return the initial state in the gauge of the constraints."""
    frames = [observations.sample(n, stride) for n in range(observations.frame_count)]
    if not any(frame.weight.any() for frame in frames):
        raise InputError('no point of any pair is known with a confidence above 1')
    camera, focal_model = options.camera, _focal_model(options)
    state = initialize_state(
        observations,
        frames,
        camera.fx if camera and focal_model is FocalModel.KNOWN else None,
        camera.fy / camera.fx if camera else 1.0,
        shared_focal=focal_model is FocalModel.SHARED,
        options=options.initialization,
    )
    return fix_gauge(state, constraints, _measured_depths(frames, state, options))[0]


def _build_problem(
    frames: list[FrameObservations],
    layout: ParameterLayout,
    options: AlignmentOptions,
    constraints: Constraints,
    *,
    pair_count: int,
    use_flow: bool,
) -> AlignmentProblem:
    return AlignmentProblem(
        frames,
        layout,
        smoothness_factors(len(frames), options.rotation_smoothing, options.translation_smoothing),
        constraint_factors(constraints),
        options,
        pair_count=pair_count,
        use_flow=use_flow,
        depth_weight=constraints.depth_weight,
    )


def _weighted_points(
    frame: FrameObservations, state: AlignmentState, depth_weight: float
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return rays, points and weights of one frame, the input of `weiszfeld_depth`."""
    rays = state.rays(frame.index, frame.offset_px)
    points = state.points_in_camera(frame.index, frame.pair, frame.points)
    return rays, *with_measured_depth(frame, rays, points, depth_weight)


def _point_map_depth(
    frame: FrameObservations, state: AlignmentState, iterations: int
) -> Float32Array:
    """Return the depth of one frame from its point maps alone, (P,) float32, NaN unknown."""
    return weiszfeld_depth(*_weighted_points(frame, state, 0.0), iterations)


def _measured_depths(
    frames: list[FrameObservations], state: AlignmentState, options: AlignmentOptions
) -> list[tuple[Float32Array, Float32Array]]:
    """Return depths of the state and as measured, (P,) each, of frames with measured depth."""
    iterations = options.ray_depth.scale_iterations
    return [
        (_point_map_depth(frame, state, iterations), frame.depth_m)
        for frame in frames
        if np.isfinite(frame.depth_m).any()
    ]


def _intrinsics(observations: PairObservations, state: AlignmentState, frame: int) -> Intrinsics:
    height, width = observations.shape
    fx = float(np.exp(state.log_focal[frame]))
    return Intrinsics(width, height, fx, fx * state.aspect, *observations.principal_point)


def _segment_moving(
    observations: PairObservations, state: AlignmentState, options: AlignmentOptions
) -> MaskArray:
    """Segment moving objects (N, h, w) by the flow that the cameras do not explain."""
    masks = np.zeros((observations.frame_count, *observations.shape), np.bool_)
    poses = state.cameras.se3
    for frame in range(observations.frame_count):
        flows = observations.flows_from(frame)
        if not flows:
            continue
        depth = _point_map_depth(
            observations.sample(frame, 1), state, options.ray_depth.final_iterations
        ).reshape(observations.shape)
        errors = []
        for other, flow in flows:
            expected = ego_flow(
                depth,
                _intrinsics(observations, state, frame),
                np.linalg.inv(poses[other]) @ poses[frame],
                _intrinsics(observations, state, other),
            )
            errors.append(np.linalg.norm(flow - expected, axis=-1))
        masks[frame] = segment_motion(errors)
    return masks


def _gather(
    observations: PairObservations,
    state: AlignmentState,
    options: AlignmentOptions,
    constraints: Constraints,
    masks: MaskArray | None,
    reference: ScaleReference,
    cost: Cost,
) -> GlobalAlignment:
    """Compute the depth of every pixel, frame by frame, and gather the result."""
    depth = np.empty((observations.frame_count, *observations.shape), np.float32)
    confidence = np.empty_like(depth)
    for frame in range(observations.frame_count):
        points = _weighted_points(observations.sample(frame, 1), state, constraints.depth_weight)
        d = weiszfeld_depth(*points, options.ray_depth.final_iterations)
        depth[frame] = d.reshape(observations.shape)
        support = depth_confidence(d, *points, options.ray_depth.support_ratio)
        confidence[frame] = support.reshape(observations.shape)
    return GlobalAlignment(
        state.cameras.se3,
        depth,
        confidence,
        tuple(_intrinsics(observations, state, n) for n in range(observations.frame_count)),
        state.pairs.se3,
        state.pairs.scale,
        masks,
        reference,
        cost,
    )
