# SPDX-License-Identifier: Apache-2.0
"""Compile a fused step for this GPU and check it; the child process of plans.py.

A process of its own: a builder takes gigabytes and minutes, and its effects on the device end
with the process.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from videodepth_ros.core.errors import VideoDepthError
from videodepth_ros.engines.check import max_relative_error
from videodepth_ros.engines.child_process import exit_with_parent, report_progress
from videodepth_ros.engines.cuda import CudaRuntime
from videodepth_ros.engines.cuda_provider import open_cuda
from videodepth_ros.engines.graph import DEPTH, INVERSE_DEPTH, TOTAL, FrameParameters
from videodepth_ros.engines.options import PlanTolerances
from videodepth_ros.engines.plans import EXIT_INACCURATE
from videodepth_ros.engines.reference import (
    ReferenceOutputs,
    load_reference_outputs,
    reference_frames,
)
from videodepth_ros.engines.tensorrt_engine import PlanInfo, TensorRtEngine
from videodepth_ros.engines.tensorrt_plan import (
    TensorRt,
    build_options,
    build_plan,
    find_tensorrt,
    load_plan,
)

TOLERANCES = PlanTolerances()


@dataclass(frozen=True)
class PlanAccuracy:
    """Error of a plan against the float32 network over the reference frames.

    median, p99  relative error of the inverse depth, over pixels that are not far
    state        largest error of the last state over its largest value
    depth        largest relative error of depth [m] against the plan's own inverse depth
    """

    median: float
    p99: float
    state: float
    depth: float

    @property
    def sound(self) -> bool:
        """Whether all errors are within the tolerances; false for NaN."""
        return (
            self.median <= TOLERANCES.median
            and self.p99 <= TOLERANCES.p99
            and self.state <= TOLERANCES.state
            and self.depth <= TOLERANCES.depth
        )

    def __str__(self) -> str:
        return (
            f'relative error {self.median:.1e} in the median and {self.p99:.1e} at p99, '
            f'state {self.state:.1e}, metres {self.depth:.1e}'
        )


def measure_accuracy(engine: TensorRtEngine, answers: ReferenceOutputs) -> PlanAccuracy:
    """Run the plan on the reference frames and compare with the reference outputs."""
    height, width = engine.spec.inputs[0].shape[:2]
    parameters = FrameParameters(1, 1, 0, 0, scale=0.02, shift=0.1)
    state, medians, p99s, worst_depth = engine.zero_state(), [0.0], [0.0], 0.0
    for image, expected in zip(
        reference_frames(width, height), answers.inverse_depth, strict=True
    ):
        found, state = engine.run(image, state, (INVERSE_DEPTH, DEPTH, TOTAL), parameters)
        near = expected > TOLERANCES.near_share * expected.max()
        errors = np.abs(found[INVERSE_DEPTH][near] / expected[near] - 1)
        medians.append(float(np.median(errors)))
        p99s.append(float(np.percentile(errors, 99)))
        hit = found[INVERSE_DEPTH] > TOLERANCES.near_share * expected.max()
        metres = 1 / (parameters.scale * found[INVERSE_DEPTH][hit] + parameters.shift)
        worst_depth = float(np.maximum(worst_depth, max_relative_error(found[DEPTH][hit], metres)))
    return PlanAccuracy(
        float(np.max(medians)),
        float(np.max(p99s)),
        max_relative_error(engine.read_state(), answers.state),
        worst_depth,
    )


def compile_and_check(
    tensorrt: TensorRt,
    cuda: CudaRuntime,
    precision: str,
    graph: Path,
    answers: Path,
    plan: Path,
    timing: Path,
) -> PlanAccuracy:
    """Build the plan and return its accuracy.

    raises  ModelError, DeviceError if it cannot be built or run
    """
    options = build_options(precision, cuda.gpu().memory_mb)
    build_plan(tensorrt, graph, plan, replace(options, timing_cache=timing), report_progress)
    report_progress('Checking', 0.0)
    engine = TensorRtEngine(load_plan(tensorrt, plan), PlanInfo('', precision, ''), cuda)
    try:
        return measure_accuracy(engine, load_reference_outputs(answers))
    finally:
        engine.close()


def main(arguments: list[str]) -> int:
    """Compile from the arguments PRECISION GRAPH ANSWERS PLAN TIMING; print the accuracy last."""
    precision, *paths = arguments
    exit_with_parent()
    try:
        finding = compile_and_check(find_tensorrt(), open_cuda(), precision, *map(Path, paths))
    except (VideoDepthError, OSError) as error:
        print(' '.join(str(error).split()))
        return 1
    print(finding)
    return 0 if finding.sound else EXIT_INACCURATE


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
