# SPDX-License-Identifier: Apache-2.0
"""``videodepth doctor``: what runs on this machine, and a fix for each fault."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib.util import find_spec

from videodepth_ros.cli.diagnosis import (
    EngineFacts,
    GpuFacts,
    GpuNeed,
    RosFacts,
    check_engine,
    check_ros,
    find_gpus,
    gpu_need,
    middleware_gaps,
    middleware_line,
    shared_memory_gap,
)
from videodepth_ros.cli.model_facts import ModelFacts, model_facts
from videodepth_ros.cli.options import describe
from videodepth_ros.cli.outcome import Outcome, outcome

GPU_ENGINES = ('tensorrt', 'torch-cuda')
"""Engines that are tested only if there is a GPU."""

OPTIONAL_ENGINES = ('openvino',)
"""Engines that are listed only where they are installed."""


@dataclass(frozen=True)
class Gap:
    """A fault, and its fix unless ``what`` includes it."""

    what: str
    fix: str


@dataclass(frozen=True)
class Diagnosis:
    """Results of all checks."""

    ros: RosFacts
    gpu: tuple[GpuFacts, ...]
    gpu_needs: tuple[GpuNeed, ...]
    engines: tuple[EngineFacts, ...]
    weights: tuple[ModelFacts, ...]
    gaps: tuple[Gap, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    describe(
        parser,
        'Tests each engine with the bundled model; the first run may take seconds, and minutes\n'
        'with TensorRT. Memory and build time on a GPU are estimates. Fails only if no engine\n'
        'runs.',
        'doctor',
        'doctor --json doctor.json',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Check this machine."""
    from videodepth_ros.engines.open import ENGINES
    from videodepth_ros.models.catalogue import cards

    ros = check_ros()
    gpus = find_gpus()
    weights = tuple(model_facts(card.name) for card in cards())
    engines = tuple(
        check_engine(name)
        for name in ENGINES
        if name != 'auto'
        and (gpus or name not in GPU_ENGINES)
        and (name not in OPTIONAL_ENGINES or find_spec(name))
    )
    needs = tuple(gpu_need(card.name) for card in cards()) if gpus else ()
    gaps = (*_gaps(ros, engines), *_memory_gaps(gpus, needs, weights))
    diagnosis = Diagnosis(ros, gpus, needs, engines, weights, gaps)
    print('\n'.join(_lines(diagnosis)))
    return outcome(diagnosis, ok=any(engine.ok for engine in engines))


def _gaps(ros: RosFacts, engines: tuple[EngineFacts, ...]) -> list[Gap]:
    gaps = []
    if not ros.rclpy:
        gaps.append(
            Gap(
                f'no ROS 2 ({ros.problem}): bags work, the live node does not',
                'run `make setup` in the source tree, or source a ROS 2 installation',
            )
        )
    elif not ros.messages:
        gaps.append(
            Gap(
                f'the messages of this package are not built ({ros.problem})',
                'run `make setup`, or colcon build and source install/setup.bash',
            )
        )
    if ros.profile_missing:
        gaps.append(
            Gap(
                f'{ros.profile_variable} names {ros.profile}, which does not exist',
                'unset it: the live node has a profile for large messages',
            )
        )
    gaps += [Gap(*gap) for gap in middleware_gaps(ros)]
    shared_memory = shared_memory_gap()
    if shared_memory:
        gaps.append(Gap(shared_memory, 'mount a larger one: docker run --shm-size=512m'))
    gaps += [
        Gap(f'engine {engine.name}: {engine.problem}', engine.fix)
        for engine in engines
        if not engine.ok
    ]
    return gaps


def _memory_gaps(
    gpus: tuple[GpuFacts, ...], needs: tuple[GpuNeed, ...], weights: tuple[ModelFacts, ...]
) -> list[Gap]:
    """Return the models on this machine that exceed the largest GPU; 0 MB: unknown."""
    largest_mb = max((gpu.memory_mb for gpu in gpus), default=0)
    here = {model.name for model in weights if model.path}
    return [
        Gap(
            f'{need.model} at {need.size} needs about {need.memory_mb} MB of GPU memory, but '
            f'the GPU has {largest_mb}',
            'set a smaller max_pixels, or use a smaller model',
        )
        for need in needs
        if need.model in here and 0 < largest_mb < need.memory_mb
    ]


def _lines(diagnosis: Diagnosis) -> list[str]:
    ros = diagnosis.ros
    lines = [
        f'ROS      {ros.distro or "none"}, {ros.rmw or "no middleware"}, messages of this '
        f'package {"built" if ros.messages else "not built"}',
        f'         {middleware_line(ros)}',
    ]
    lines += [
        f'GPU      {gpu.name}, {gpu.memory_mb} MB, driver {gpu.driver}' for gpu in diagnosis.gpu
    ] or ['GPU      none']
    lines += [
        f'         {need.model} at {need.size}: about {need.memory_mb} MB, a plan in about '
        f'{need.build_minutes:g} min, on a Jetson five times that: '
        f'`videodepth build {need.model}`'
        for need in diagnosis.gpu_needs
    ]
    lines += [
        f'engine   {engine.name} {engine.version}: '
        f'{engine.step_ms:.1f} ms a frame at {engine.size}, {engine.device}'
        for engine in diagnosis.engines
        if engine.ok
    ]
    lines += [
        f'weights  {model.name}: {model.path} ({model.licence})'
        for model in diagnosis.weights
        if model.path
    ]
    absent = ', '.join(model.name for model in diagnosis.weights if not model.path)
    if absent:
        lines.append(f'         {absent}: not on this machine; `videodepth weights fetch NAME`')
    for gap in diagnosis.gaps:
        lines.append(f'fault    {gap.what}')
        if gap.fix:
            lines.append(f'  fix    {gap.fix}')
    return lines
