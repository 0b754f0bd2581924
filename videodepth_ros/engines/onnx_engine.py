# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime on the CPU: the default engine without a GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.engines.engine import EngineSpec, State, TensorSpec, check_image
from videodepth_ros.engines.graph import IMAGE, STATE_IN, parse_graph_metadata

ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
)
"""Exceptions of a session; RuntimeError is raised by a bound run."""


class OnnxEngine:
    """A graph of ``export_onnx``. States are arrays (layers, 1, heads, P, N) float32."""

    def __init__(self, path: Path, threads: int = 0, notes: tuple[str, ...] = ()) -> None:
        """Load the graph at ``path``.

        threads  per frame; 0: the cores available to this process
        notes    events while the file was obtained, passed on in the spec
        raises   ModelError if the file cannot be read or is no such graph
        """
        threads = threads or usable_cores()
        try:
            self._session = ort.InferenceSession(
                str(path), session_options(threads), providers=['CPUExecutionProvider']
            )
        except ORT_ERRORS as error:
            raise ModelError(
                f'ONNX Runtime {ort.__version__} cannot load {path}: {error}; '
                'export it again with `videodepth export`'
            ) from error
        facts = parse_graph_metadata(self._session.get_modelmeta().custom_metadata_map, str(path))
        self.spec = EngineSpec(
            model=facts.origin.model,
            engine='onnx',
            precision=facts.precision,
            notes=notes,
            width=facts.width,
            height=facts.height,
            device=f'CPU, {threads} threads',
            inputs=_tensor_specs(self._session.get_inputs()),
            outputs=_tensor_specs(self._session.get_outputs()),
        )

    def zero_state(self) -> State:
        """Return the state before the first frame."""
        return State(np.zeros(self.spec.inputs[1].shape, np.float32))

    def step(self, image: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Compute one frame, see ``Engine.step``.

        The runtime writes into newly allocated outputs: older states and depths stay valid.
        """
        check_image(image, self.spec)
        binding = self._session.io_binding()
        binding.bind_cpu_input(IMAGE, np.ascontiguousarray(image[None]))
        binding.bind_cpu_input(STATE_IN, state)
        outputs = [np.empty(tensor.shape, np.float32) for tensor in self.spec.outputs]
        for tensor, array in zip(self.spec.outputs, outputs, strict=True):
            binding.bind_output(tensor.name, 'cpu', 0, np.float32, array.shape, array.ctypes.data)
        try:
            self._session.run_with_iobinding(binding)
        except ORT_ERRORS as error:
            raise DeviceError(
                f'ONNX Runtime failed on {self.spec.model}: {error}; restart the '
                'stream and check the free memory'
            ) from error
        inverse_depth, after = outputs
        return inverse_depth[0], State(after)

    def close(self) -> None:
        """Free the session."""
        del self._session


def session_options(threads: int) -> ort.SessionOptions:
    """Return session options for a machine with other load.

    Spinning threads gain 10 % on an idle machine, cost 50 % per frame on a loaded one, and burn a
    core between the frames of a camera (bench/engine.py with and without ``--rate-hz``). Dynamic
    block sizes let a thread take over work of one that lost its core.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.add_session_config_entry('session.dynamic_block_base', '4')
    options.log_severity_level = 4  # errors are raised
    return options


def usable_cores() -> int:
    """Return the number of cores to compute on: all, or all but one from four on.

    The spare core serves the nodes that deliver images and consume depth.
    """
    cores = len(os.sched_getaffinity(0))
    return cores if cores < 4 else cores - 1


def _tensor_specs(tensors: Sequence[ort.NodeArg]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(tensor.name, tuple(tensor.shape), 'float32') for tensor in tensors)
