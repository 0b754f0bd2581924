# SPDX-License-Identifier: Apache-2.0
"""OpenVINO on CPUs, Intel GPUs and NPUs: bf16 or f16 where the hardware has it.

On a CPU with AVX-512 BF16 or AMX it is about twice as fast as ONNX Runtime (bench/engine.py). It
runs the same graph as onnx_engine.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.engines.check import max_relative_error
from videodepth_ros.engines.engine import Engine, EngineSpec, State, TensorSpec, check_image
from videodepth_ros.engines.graph import IMAGE, STATE_IN
from videodepth_ros.engines.openvino_runtime import ov, properties
from videodepth_ros.engines.options import PlanTolerances, ReducedPrecisionOptions
from videodepth_ros.engines.reference import reference_frames
from videodepth_ros.models.preprocess import network_input

DEVICE_VARIABLE = 'VIDEODEPTH_OPENVINO_DEVICE'
"""Environment variable with OpenVINO's device name: CPU (default), GPU, NPU, GPU.1, ..."""

hint = properties.hint
TYPES = {'fp32': ov.Type.f32, 'bf16': ov.Type.bf16, 'fp16': ov.Type.f16}
CAPABILITIES = {'BF16': 'bf16', 'FP16': 'fp16'}
"""Reduced precision by the capability that OpenVINO reports, in order of preference."""

ERRORS = (RuntimeError, ValueError, OSError)
"""Exceptions of OpenVINO."""


def device_name() -> str:
    """Return the device to run on, see ``DEVICE_VARIABLE``."""
    return os.environ.get(DEVICE_VARIABLE) or 'CPU'


def reduced_precision(device: str) -> str | None:
    """Return the reduced precision that a device computes fast; None if there is none.

    raises  DeviceError where OpenVINO has no such device
    """
    core = ov.Core()
    try:
        capabilities = core.get_property(device, properties.device.capabilities)
    except ERRORS as error:
        raise DeviceError(
            f'OpenVINO has no device {device}: choose one of {", ".join(core.available_devices)} '
            f'in {DEVICE_VARIABLE}'
        ) from error
    return next((name for key, name in CAPABILITIES.items() if key in capabilities), None)


class OpenVinoEngine:
    """A graph of ``export_onnx``. States are arrays (layers, 1, heads, P, N) float32."""

    def __init__(
        self,
        path: Path,
        model: str,
        *,
        precision: str = 'fp32',
        threads: int = 0,
        device: str = 'CPU',
        cache: Path | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Compile the graph at ``path`` for a device.

        model      name in the catalogue
        precision  of the inference: ``fp32``, ``bf16`` or ``fp16``
        threads    per frame on a CPU; 0: OpenVINO's default
        cache      folder of compiled models, which start faster; None: none
        raises     ModelError if the file is no such graph, DeviceError if the device fails
        """
        compiled, name = compile_graph(path, model, precision, threads, device, cache)
        self._request: Any = compiled.create_infer_request()
        inputs, outputs = _tensor_specs(compiled.inputs), _tensor_specs(compiled.outputs)
        if [each.name for each in inputs] != [IMAGE, STATE_IN] or len(outputs) != 2:
            raise ModelError(f'{path} is not a graph of a streaming step: export it again')
        height, width = inputs[0].shape[2:]
        self.spec = EngineSpec(
            model=model,
            engine='openvino',
            precision=precision,
            notes=notes,
            width=width,
            height=height,
            device=describe_device(name, threads),
            inputs=inputs,
            outputs=outputs,
        )

    def zero_state(self) -> State:
        """Return the state before the first frame."""
        return State(np.zeros(self.spec.inputs[1].shape, np.float32))

    def step(self, image: Float32Array, state: State) -> tuple[Float32Array, State]:
        """Compute one frame, see ``Engine.step``; the outputs are copies."""
        check_image(image, self.spec)
        inputs = {IMAGE: np.ascontiguousarray(image[None]), STATE_IN: state}
        try:
            found = self._request.infer(inputs, share_inputs=True, share_outputs=False)
        except ERRORS as error:
            raise DeviceError(
                f'OpenVINO failed on {self.spec.model}: {one_line(error)}; restart the stream and '
                'check the free memory'
            ) from error
        return np.asarray(found[0][0], np.float32), State(np.asarray(found[1], np.float32))

    def close(self) -> None:
        """Free the compiled model."""
        del self._request


def compile_graph(
    path: Path,
    model: str,
    precision: str,
    threads: int,
    device: str,
    cache: Path | None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[Any, str]:
    """Return the compiled graph and the full name of its device.

    shapes  of inputs by name, where the graph leaves them open
    raises  see ``OpenVinoEngine``
    """
    core = ov.Core()
    try:
        graph = core.read_model(path)
        if shapes:
            graph.reshape({name: ov.PartialShape(shape) for name, shape in shapes.items()})
    except ERRORS as error:
        raise ModelError(
            f'OpenVINO {ov.__version__} cannot load {path}: {one_line(error)}; export it again '
            'with `videodepth export`'
        ) from error
    try:
        compiled = core.compile_model(graph, device, _settings(precision, threads, cache))
        return compiled, str(core.get_property(device, properties.device.full_name))
    except ERRORS as error:
        raise DeviceError(
            f'OpenVINO {ov.__version__} cannot compile {model} for {device} in {precision}: '
            f'{one_line(error)}; choose another device in {DEVICE_VARIABLE} or engine onnx'
        ) from error


def measure_precision(engine: Engine, reference: Engine) -> str | None:
    """Compare an engine with one in float32 over the reference frames.

    returns  why the engine is not accurate enough (``PlanTolerances`` and
             ``ReducedPrecisionOptions``); None if it is
    """
    limits, options = PlanTolerances(), ReducedPrecisionOptions()
    state, expected_state = engine.zero_state(), reference.zero_state()
    scales, medians, p99s = [0.0], [0.0], [0.0]
    for frame in reference_frames(engine.spec.width, engine.spec.height, options.frames):
        image = (
            frame
            if engine.spec.takes_bytes
            else network_input(frame, engine.spec.width, engine.spec.height)
        )
        found, state = engine.step(image, state)
        expected, expected_state = reference.step(image, expected_state)
        near = expected > limits.near_share * expected.max()
        ratios = found[near] / expected[near]
        errors = np.abs(ratios - 1)
        scales.append(abs(float(np.median(ratios)) - 1))
        medians.append(float(np.median(errors)))
        p99s.append(float(np.percentile(errors, 99)))
    scale, median, p99 = (float(np.max(each)) for each in (scales, medians, p99s))
    state_error = max_relative_error(state, expected_state)
    within = (
        scale <= options.scale,
        median <= limits.median,
        p99 <= limits.p99,
        state_error <= limits.state,
    )
    if all(within):
        return None
    return (
        f'relative error {median:.1e} in the median, {p99:.1e} at p99, scale {scale:.1e}, state '
        f'{state_error:.1e}'
    )


def describe_device(name: str, threads: int) -> str:
    """Return the description of a device for the spec of an engine."""
    used = f', {threads} threads' if threads else ''
    return f'{name.strip()}{used}, OpenVINO {ov.__version__.partition("-")[0]}'


def _settings(precision: str, threads: int, cache: Path | None) -> dict[Any, Any]:
    """Return compile settings for one frame at a time beside other processes.

    Threads are not pinned: a pinned thread waits for its core where other nodes use it.
    """
    settings: dict[Any, Any] = {
        hint.performance_mode: hint.PerformanceMode.LATENCY,
        hint.inference_precision: TYPES[precision],
        properties.num_streams: 1,
    }
    if threads:
        settings[properties.inference_num_threads] = threads
        settings[hint.enable_cpu_pinning] = False
    if cache is not None:
        settings[properties.cache_dir] = str(cache)
    return settings


def _tensor_specs(ports: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(port.get_any_name(), tuple(int(n) for n in port.shape), 'float32')
        for port in ports
    )


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line."""
    return ' '.join(str(error).split())[:500]
