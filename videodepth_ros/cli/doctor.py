# SPDX-License-Identifier: Apache-2.0
"""``videodepth doctor``: what runs on this machine, and the mend for what does not."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videodepth_ros.cli.checks import (
    EngineFacts,
    GpuFacts,
    GpuNeed,
    RosFacts,
    check_engine,
    check_ros,
    find_gpus,
    gpu_need,
    shared_memory_gap,
)
from videodepth_ros.cli.options import add_command
from videodepth_ros.cli.outcome import Outcome, outcome
from videodepth_ros.cli.weights import ModelFacts, model_facts

if TYPE_CHECKING:
    from videodepth_ros.cli.options import Commands


ON_GPU = ('tensorrt', 'torch-cuda')
"""Engines that nobody misses where there is no GPU."""


@dataclass(frozen=True)
class Gap:
    """Something that does not work here, and how to mend it where ``what`` does not say so."""

    what: str
    mend: str


@dataclass(frozen=True)
class Diagnosis:
    """All that was looked at."""

    ros: RosFacts
    gpu: tuple[GpuFacts, ...]
    gpu_needs: tuple[GpuNeed, ...]
    engines: tuple[EngineFacts, ...]
    weights: tuple[ModelFacts, ...]
    gaps: tuple[Gap, ...]


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        'doctor',
        'say what runs here, with the mend for each gap',
        'Each engine is tried with the bundled model, so the first run may take some seconds,\n'
        'and with TensorRT minutes. What a model takes on a GPU is estimated.\n'
        'Fails only if no engine runs, for then there is no depth.',
        ('doctor', 'doctor --json doctor.json'),
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> Outcome:
    from videodepth_ros.engines.open import ENGINES
    from videodepth_ros.models.catalogue import cards

    ros = check_ros()
    gpus = find_gpus()
    weights = tuple(model_facts(card.name) for card in cards())
    engines = tuple(
        check_engine(name) for name in ENGINES if name != 'auto' and (gpus or name not in ON_GPU)
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
                f'FASTRTPS_DEFAULT_PROFILES_FILE names {ros.profile}, which is not there',
                'unset it: the live node brings a profile for large messages',
            )
        )
    shared_memory = shared_memory_gap()
    if shared_memory:
        gaps.append(Gap(shared_memory, 'mount a larger one: docker run --shm-size=512m'))
    gaps += [
        Gap(f'engine {engine.name}: {engine.problem}', engine.mend)
        for engine in engines
        if not engine.ok
    ]
    return gaps


def _memory_gaps(
    gpus: tuple[GpuFacts, ...], needs: tuple[GpuNeed, ...], weights: tuple[ModelFacts, ...]
) -> list[Gap]:
    """Tell which models that are here do not fit into the largest GPU; 0 MB are unknown."""
    largest_mb = max((gpu.memory_mb for gpu in gpus), default=0)
    here = {model.name for model in weights if model.path}
    return [
        Gap(
            f'{need.model} at {need.size} needs about {need.memory_mb} MB of GPU memory, and '
            f'there are {largest_mb}',
            'set max_pixels to fewer, or take a smaller model',
        )
        for need in needs
        if need.model in here and 0 < largest_mb < need.memory_mb
    ]


def _lines(diagnosis: Diagnosis) -> list[str]:
    ros = diagnosis.ros
    lines = [
        f'ROS      {ros.distro or "none"}, {ros.rmw or "no middleware"}, messages of this '
        f'package {"built" if ros.messages else "not built"}',
        f'Fast DDS profile {ros.profile or "that the live node brings"}',
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
        lines.append(f'         {absent}: not here; `videodepth weights` says where to get them')
    for gap in diagnosis.gaps:
        lines.append(f'gap      {gap.what}')
        if gap.mend:
            lines.append(f'  mend   {gap.mend}')
    return lines
