# SPDX-License-Identifier: Apache-2.0
"""A TensorRT that runs graphs in ONNX Runtime, or functions, with one version's interface.

Every object has exactly the attributes that the bindings of that version list, so that code which
touches another one fails here as it would there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from test.support.fake_cuda import FakeCuda, MisuseError

API = json.loads((Path(__file__).parent / 'tensorrt_api.json').read_text())
VERSIONS = tuple(API)


@dataclass
class Network:
    """What a plan computes, and the tensors that go in and out: (name, shape, dtype)."""

    inputs: list[tuple[str, tuple[int, ...], str]]
    outputs: list[tuple[str, tuple[int, ...], str]]
    run: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


class Guard:
    """An object of a class of TensorRT: what the class lacks in this version, it lacks."""

    def __init__(self, kind: str, allowed: list[str], inner: Any) -> None:
        self.__dict__.update(_kind=kind, _allowed=set(allowed), _inner=inner)

    def __getattr__(self, name: str) -> Any:
        self._check(name)
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        setattr(self._inner, name, value)

    def _check(self, name: str) -> None:
        if name not in self._allowed:
            raise AttributeError(f'{self._kind} has no {name} in this version of TensorRT')


@dataclass
class Flag:
    """A member of an enumeration."""

    name: str
    value: int

    def __int__(self) -> int:
        return self.value


class FakeTensorRt:
    """The module."""

    def __init__(self, version: str, cuda: FakeCuda) -> None:
        self.__version__ = version
        self._api, self._cuda = API[version], cuda
        self.plans: dict[bytes, Network] = {}
        self.graph_refused = ''
        self.builds = True
        self.runs = True
        self.contexts = True
        self.configs: list[SimpleNamespace] = []
        self.degrade: Callable[[str, dict[str, np.ndarray]], None] = lambda graph, outputs: None
        for name in (
            'BuilderFlag',
            'NetworkDefinitionCreationFlag',
            'MemoryPoolType',
            'TensorIOMode',
            'DataType',
        ):
            members = [member for member in self._api[name] if member not in ('name', 'value')]
            setattr(
                self,
                name,
                SimpleNamespace(**{member: Flag(member, k) for k, member in enumerate(members)}),
            )
        self.ILogger = type(
            'ILogger',
            (),
            {'INTERNAL_ERROR': 0, 'ERROR': 1, 'WARNING': 2, '__init__': lambda self: None},
        )
        self.IProgressMonitor = type('IProgressMonitor', (), {'__init__': lambda self: None})

    # Building.

    def Builder(self, log):
        build = SimpleNamespace(
            create_network=lambda flags: self._guard(
                'INetworkDefinition', SimpleNamespace(flags=flags)
            ),
            create_builder_config=self._config,
            build_serialized_network=lambda network, config: self._build(network, config, log),
        )
        return self._guard('Builder', build)

    def _config(self):
        config = SimpleNamespace(
            cleared=[], limits={}, max_aux_streams=None, timing=None, progress_monitor=None
        )
        config.clear_flag = lambda flag: config.cleared.append(flag.name)
        config.set_memory_pool_limit = lambda pool, size: config.limits.update({pool.name: size})
        config.create_timing_cache = lambda content: self._guard(
            'ITimingCache', SimpleNamespace(serialize=lambda: content + b'+')
        )
        config.set_timing_cache = lambda cache, ignore_mismatch: (
            setattr(config, 'timing', cache) or not cache.serialize().startswith(b'foreign')
        )
        config.get_timing_cache = lambda: config.timing
        self.configs.append(config)
        return self._guard('IBuilderConfig', config)

    def OnnxParser(self, network, log):
        def parse_from_file(path):
            network._inner.path = path
            return not self.graph_refused

        error = self._guard('ParserError', SimpleNamespace(desc=lambda: self.graph_refused))
        return self._guard(
            'OnnxParser',
            SimpleNamespace(
                parse_from_file=parse_from_file, num_errors=1, get_error=lambda k: error
            ),
        )

    def _build(self, network, config, log):
        if not network.flags & (1 << int(self.NetworkDefinitionCreationFlag.STRONGLY_TYPED)):
            raise MisuseError('the network is not strongly typed')
        if not self.builds:
            log.log(self.ILogger.ERROR, 'out of memory\n  in tactic 7')
            return None
        monitor = config.progress_monitor
        monitor.phase_start('Building Engine', None, 2)
        for step in range(2):
            if not monitor.step_complete('Building Engine', step):
                return None
        monitor.phase_finish('Building Engine')
        plan = f'plan {len(self.plans)} of {network._inner.path}'.encode()
        self.plans[plan] = graph_network(network._inner.path, self.degrade)
        return plan

    # Running.

    def Runtime(self, log):
        def deserialize(plan):
            _, is_ours, path = plan.partition(b' of ')
            if plan not in self.plans and is_ours:  # built by another process
                self.plans[plan] = graph_network(path.decode(), self.degrade)
            if plan not in self.plans:
                log.log(self.ILogger.ERROR, 'serialized by another version')
                return None
            return self._guard('ICudaEngine', FakeEngine(self, self.plans[plan]))

        return self._guard('Runtime', SimpleNamespace(deserialize_cuda_engine=deserialize))

    def _guard(self, kind: str, inner: Any) -> Guard:
        return Guard(kind, self._api[kind], inner)


class FakeEngine:
    """An ICudaEngine."""

    def __init__(self, trt: FakeTensorRt, network: Network) -> None:
        self.trt, self.network = trt, network
        self.tensors = {
            name: (shape, dtype, mode)
            for mode, tensors in (('INPUT', network.inputs), ('OUTPUT', network.outputs))
            for name, shape, dtype in tensors
        }
        self.num_io_tensors = len(self.tensors)

    def get_tensor_name(self, k):
        return list(self.tensors)[k]

    def get_tensor_shape(self, name):
        return self.tensors[name][0]

    def get_tensor_dtype(self, name):
        kinds = {'float32': 'FLOAT', 'uint8': 'UINT8', 'float16': 'HALF'}
        return getattr(self.trt.DataType, kinds[self.tensors[name][1]])

    def get_tensor_mode(self, name):
        return getattr(self.trt.TensorIOMode, self.tensors[name][2])

    def create_execution_context(self):
        if not self.trt.contexts:
            return None
        return self.trt._guard('IExecutionContext', FakeContext(self))


@dataclass
class FakeContext:
    """An IExecutionContext: it reads and writes device memory when its stream gets that far."""

    engine: FakeEngine
    addresses: dict[str, int] = field(default_factory=dict)

    def set_tensor_address(self, name, address):
        if name not in self.engine.tensors:
            raise MisuseError(f'there is no tensor {name}')
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        trt, cuda = self.engine.trt, self.engine.trt._cuda
        if set(self.addresses) != set(self.engine.tensors):
            raise MisuseError('a tensor has no address')
        if len(set(self.addresses.values())) != len(self.addresses):
            raise MisuseError('two tensors share an address')
        if not trt.runs:
            return False
        memory = {
            name: cuda.view(self.addresses[name], shape, dtype)
            for name, (shape, dtype, _) in self.engine.tensors.items()
        }

        def execute() -> None:
            inputs = {name: memory[name].copy() for name, _, _ in self.engine.network.inputs}
            for name, array in self.engine.network.run(inputs).items():
                assert array.shape == memory[name].shape
                memory[name][...] = array

        cuda.calls.append('execute_async_v3')
        cuda.put(stream, execute)
        return True


def graph_network(path: str, degrade: Callable[[str, dict[str, np.ndarray]], None]) -> Network:
    """Return what the graph of a file computes."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ort.InferenceSession(path, options)
    kinds = {'tensor(float)': 'float32', 'tensor(uint8)': 'uint8'}

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [tensor.name for tensor in session.get_outputs()]
        outputs = dict(zip(names, session.run(None, inputs), strict=True))
        degrade(path, outputs)
        return outputs

    inputs, outputs = (
        [(tensor.name, tuple(tensor.shape), kinds[tensor.type]) for tensor in tensors]
        for tensors in (session.get_inputs(), session.get_outputs())
    )
    return Network(inputs, outputs, run)
