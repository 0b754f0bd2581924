# SPDX-License-Identifier: Apache-2.0
"""How fast a streaming step is on the GPU that is here, beside the official way; prints JSON.

    python bench/gpu.py                      the sizes of issue 5
    python bench/gpu.py --case flashdepth-s@924x518 --engine eager graph compiled tensorrt

Needs nothing but torch with CUDA and this tree: no network, no weights (they are random, the time
does not depend on them). ``eager`` is how the FlashDepth release runs: float32 weights under
bfloat16 autocast, operator by operator, a float32 image uploaded from pageable memory. ``graph``
is the engine torch-cuda, ``compiled`` the same with kernels of torch.compile (minutes to make),
``tensorrt`` the engine tensorrt. All run in one process and take turns in rounds. ``step_ms`` is
the whole step from the bytes in host memory to the depth in host memory; ``device_ms`` is the
device's own time. ``drift`` compares the engine with float32 over a long stream. ``cameras`` is
what a frame of several cameras costs in one batch, and one camera after the other. ``steady``
tells what is allocated on the device after the warm-up, and what crosses the bus for each frame.

``--cpu`` is a rehearsal: everything with a small size on a machine without a GPU, where the
figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a bare machine has no install

import numpy as np
import torch

from videodepth_ros.engines.fused import FusedStep
from videodepth_ros.engines.graph import PARAMETER_COUNT, FrameParameters, Layout
from videodepth_ros.engines.lowering import lower_network
from videodepth_ros.engines.reference import reference_frames
from videodepth_ros.engines.torch_cuda_engine import TorchCudaEngine
from videodepth_ros.engines.torch_plan import TorchPlan, TorchRequest
from videodepth_ros.models.flashdepth import (
    FLASHDEPTH_FULL,
    FLASHDEPTH_L,
    FLASHDEPTH_S,
    FlashDepth,
)
from videodepth_ros.models.nano import NANO

NETWORKS = {
    'nano': NANO,
    'flashdepth-s': FLASHDEPTH_S,
    'flashdepth-l': FLASHDEPTH_L,
    'flashdepth': FLASHDEPTH_FULL,
}
CASES = ('flashdepth@2044x1148', 'flashdepth-l@924x518', 'flashdepth-s@924x518', 'nano@640x480')
BARS_FPS = {
    'flashdepth@2044x1148': 60.0,
    'flashdepth-l@924x518': 120.0,
    'flashdepth-s@924x518': 400.0,
}
REHEARSAL = ('nano@96x80',)
DRIFT_SIZES = {
    'cuda': {'flashdepth-s': (644, 490), 'nano': (320, 240)},
    'cpu': {'flashdepth-s': (154, 112), 'nano': (96, 80)},
}
ROUND = 20
STREAMS = 4


@dataclass
class Runner:
    """One way to run a network: ``step`` takes an image and returns when the depth is here."""

    name: str
    step: Callable[[np.ndarray], Any]
    device_ms: Callable[[], float] | None = None
    step_ms: list[float] = field(default_factory=list)

    def round(self, images: list[np.ndarray]) -> None:
        """Step through the images and note what each cost."""
        for image in images:
            began_s = time.perf_counter()
            self.step(image)
            self.step_ms.append(1e3 * (time.perf_counter() - began_s))

    def report(self) -> dict[str, float]:
        """Return the figures."""
        median = statistics.median(self.step_ms)
        found = {
            'step_ms': round(median, 3),
            'fps': round(1e3 / median, 1),
            'p99_ms': round(float(np.percentile(self.step_ms, 99)), 3),
            'frames': len(self.step_ms),
        }
        if self.device_ms is not None:
            device = self.device_ms()
            found |= {'device_ms': round(device, 3), 'device_fps': round(1e3 / device, 1)}
        return found


def random_network(name: str) -> FlashDepth:
    """Return a network whose every layer does something."""
    torch.manual_seed(0)
    model = FlashDepth(NETWORKS[name]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
        model.depth_head.scratch['output_conv2'][2].bias.fill_(2.0)
    return model


def open_graph(
    model: FlashDepth,
    name: str,
    width: int,
    height: int,
    precision: str,
    device: str,
    *,
    fuse: bool = False,
) -> TorchCudaEngine:
    """Open the engine torch-cuda."""
    return TorchCudaEngine(
        TorchPlan(
            model,
            name,
            Layout(width, height, width, height),
            precision=precision,
            device=device,
            fuse=fuse,
        )
    )


def eager(model: FlashDepth, width: int, height: int, device: str) -> Runner:
    """Run the network as the release does."""
    network = model.to(device)
    state: list[Any] = [None]

    def compute(planes: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
            depth, state[0] = network.step(planes, state[0])
        return depth

    def step(image: np.ndarray) -> np.ndarray:
        planes = image.transpose(2, 0, 1)[None].astype(np.float32) / 255
        return compute(torch.from_numpy(planes).to(device)).float().cpu().numpy()

    def device_ms() -> float:
        planes = torch.zeros(1, 3, height, width, device=device)
        return time_device(lambda: compute(planes))

    return Runner('eager', step, device_ms if device == 'cuda' else None)


def time_device(once: Callable[[], Any], rounds: int = 30) -> float:
    """Return the median time between events around a call, in milliseconds."""
    times = []
    for _ in range(rounds):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        once()
        after.record()
        after.synchronize()
        times.append(before.elapsed_time(after))
    return statistics.median(times)


def of_engine(name: str, engine: Any) -> Runner:
    """Run an engine of the package."""
    state = [engine.zero_state()]

    def step(image: np.ndarray) -> np.ndarray:
        found, state[0] = engine.run(image, state[0], ('inverse_depth', 'total'))
        return found['inverse_depth']

    device_ms = None
    if isinstance(engine, TorchCudaEngine) and engine._plan._batch._graphs:

        def device_ms() -> float:
            room = engine._plan._batch
            with torch.cuda.stream(room._stream):
                return time_device(room._graphs[0].replay)

    return Runner(name, step, device_ms)


def tensorrt(model: FlashDepth, name: str, width: int, height: int, precision: str) -> Any:
    """Export, build and open a plan, all in a folder that goes away; nothing is checked."""
    from videodepth_ros.engines.cuda_provider import open_cuda
    from videodepth_ros.engines.export import export_fused
    from videodepth_ros.engines.tensorrt_engine import PlanInfo, TensorRtEngine
    from videodepth_ros.engines.tensorrt_plan import (
        BuildOptions,
        build_plan,
        find_tensorrt,
        load_plan,
    )

    found, cuda = find_tensorrt(), open_cuda()
    with tempfile.TemporaryDirectory() as folder:
        graph, plan = Path(folder, 'graph.onnx'), Path(folder, 'plan')
        export_fused(model.cpu(), graph, Layout(width, height, width, height), precision)
        build_plan(found, graph, plan, BuildOptions(), lambda phase, fraction: None)
        facts = PlanInfo(name, precision, cuda.gpu().name)
        return TensorRtEngine(load_plan(found, plan), facts, cuda)


def cameras(case: str, precision: str, device: str) -> dict[str, Any]:
    """Time frames of several cameras: as one batch, and one camera after the other."""
    name, width, height = parts_of(case)
    engines = [open_graph(random_network(name), name, width, height, precision, device)]
    engines += [engines[0].another() for _ in range(STREAMS - 1)]
    requests = [
        TorchRequest(engine._slot, engine._tensors, False, ('inverse_depth', 'total'))
        for engine in engines
    ]
    room = engines[0]._plan._batch
    batches = {f'batch_of_{n}': [requests[:n]] for n in (1, 2, STREAMS)}
    batches['in_turn'] = [[request] for request in requests]
    times: dict[str, list[float]] = {key: [] for key in batches}
    for _ in range(ROUND):
        for key, steps in batches.items():
            began_s = time.perf_counter()
            for step in steps:
                room.advance(step)
            frames = sum(map(len, steps))
            times[key].append(1e3 * (time.perf_counter() - began_s) / frames)
    return {
        'case': case,
        'streams': STREAMS,
        'ms_per_frame': {key: round(statistics.median(ms), 3) for key, ms in times.items()},
    }


def steady(case: str, precision: str, device: str) -> dict[str, Any]:
    """Say what a frame allocates on the device and takes across the bus, after the warm-up."""
    name, width, height = parts_of(case)
    engine = open_graph(random_network(name), name, width, height, precision, device)
    image, state = next(reference_frames(width, height)), engine.zero_state()
    _, state = engine.step(image, state)

    def allocations() -> int:
        stats = torch.cuda.memory_stats() if device == 'cuda' else {}
        return sum(
            stats.get(key, 0) for key in ('allocation.all.allocated', 'segment.all.allocated')
        )

    before, up, down = allocations(), engine.traffic.up_bytes, engine.traffic.down_bytes
    for _ in range(ROUND):
        _, state = engine.step(image, state)
    found = {
        'device_allocations': allocations() - before,
        'up_bytes': (engine.traffic.up_bytes - up) // ROUND,
        'down_bytes': (engine.traffic.down_bytes - down) // ROUND,
    }
    wanted = {
        'device_allocations': 0,
        'up_bytes': 3 * width * height + 4 * PARAMETER_COUNT,
        'down_bytes': 4 * width * height + 4,
    }
    return {'case': case, **found, 'passed': found == wanted}


def payloads(case: str, precision: str, device: str) -> dict[str, Any]:
    """Time the step by what comes back of it: depth in metres, the whole cloud."""
    name, width, height = parts_of(case)
    engine = open_graph(random_network(name), name, width, height, precision, device)
    image, state = next(reference_frames(width, height)), engine.zero_state()
    wanted = {
        'inverse_depth': ('inverse_depth', 'total'),
        'depth': ('depth', 'total'),
        'depth and cloud': ('depth', 'cloud', 'total'),
    }
    times: dict[str, list[float]] = {key: [] for key in wanted}
    for _ in range(ROUND):
        for key, names in wanted.items():
            began_s = time.perf_counter()
            _, state = engine.run(image, state, names)
            times[key].append(1e3 * (time.perf_counter() - began_s))
    return {
        'case': case,
        'step_ms': {key: round(statistics.median(ms), 3) for key, ms in times.items()},
    }


def drift(name: str, precision: str, frames: int, device: str) -> dict[str, Any]:
    """Compare half precision with float32 over a long stream of moving noise, on the device."""
    model = random_network(name)
    width, height = DRIFT_SIZES[device][name]
    layout = Layout(width, height, width, height)
    half = open_graph(model, name, width, height, precision, device)
    exact = FusedStep(lower_network(model, width, height), layout).eval().to(device)
    view = torch.from_numpy(FrameParameters(1, 1, 0, 0).values()).to(device)
    state, exact_state = half.zero_state(), model.zero_state().to(device)
    still = list(reference_frames(width, height))
    ratios = []
    for t in range(frames):
        image = np.roll(still[t // 7 % len(still)], 3 * t, axis=1)
        found, state = half.run(image, state, ('inverse_depth',))
        with torch.inference_mode():
            expected, *_, exact_state = exact(
                torch.from_numpy(image).to(device), exact_state, view
            )
        ratios.append(float(np.median(found['inverse_depth']) / expected.median().item()))
    tail = ratios[-100:]
    return {
        'model': name,
        'frames': frames,
        'scale_ratio': round(statistics.median(tail), 5),
        'worst_ratio': round(max(ratios, key=lambda ratio: abs(ratio - 1)), 5),
        'finite': bool(np.isfinite(ratios).all()),
    }


def parts_of(case: str) -> tuple[str, int, int]:
    """Return model, width and height of a case."""
    name, _, size = case.partition('@')
    width, height = map(int, size.split('x'))
    return name, width, height


def measure(
    case: str, engines: list[str], precision: str, seconds: float, device: str
) -> dict[str, Any]:
    """Measure one case; an engine that cannot run is told, the others go on."""
    name, width, height = parts_of(case)
    images = list(reference_frames(width, height)) * (ROUND // 4)
    runners, failures = [], {}
    for engine in engines:
        model = random_network(name)
        try:
            if engine == 'eager':
                runner = eager(model, width, height, device)
            elif engine == 'tensorrt':
                runner = of_engine(engine, tensorrt(model, name, width, height, precision))
            else:
                runner = of_engine(
                    engine,
                    open_graph(
                        model, name, width, height, precision, device, fuse=engine == 'compiled'
                    ),
                )
            runner.round(images)  # warm-up
            runner.step_ms.clear()
            runners.append(runner)
        except Exception as error:
            traceback.print_exc()
            failures[engine] = f'{type(error).__name__}: {str(error)[:500]}'
    deadline_s = time.monotonic() + seconds
    while runners and time.monotonic() < deadline_s:
        for runner in runners:
            runner.round(images)
    found: dict[str, Any] = {runner.name: runner.report() for runner in runners}
    result = {'case': case, 'precision': precision, 'engines': found, 'failed': failures}
    if device == 'cuda':
        result['memory_mb'] = torch.cuda.max_memory_allocated() >> 20
    best = max((entry['fps'] for key, entry in found.items() if key != 'eager'), default=0.0)
    if case in BARS_FPS:
        result |= {'bar_fps': BARS_FPS[case], 'passed': best >= BARS_FPS[case]}
    if 'eager' in found:
        result['times_eager'] = round(best / found['eager']['fps'], 2)
    return result


def attempt(what: str, function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Measure one thing; if it cannot be, tell why, and the others go on."""
    try:
        return {what: function(*arguments)}
    except Exception as error:
        traceback.print_exc()
        return {what: f'{type(error).__name__}: {str(error)[:500]}'}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument(
        '--case', nargs='+', metavar='MODEL@WxH', help=f'default: {" ".join(CASES)}'
    )
    parser.add_argument(
        '--engine',
        nargs='+',
        default=['eager', 'graph'],
        choices=['eager', 'graph', 'compiled', 'tensorrt'],
    )
    parser.add_argument('--precision', default='fp16', choices=['fp16', 'bf16', 'fp32'])
    parser.add_argument('--seconds', type=float, default=10.0, help='for each case')
    parser.add_argument('--drift-frames', type=int, default=1000, help='0: no drift')
    parser.add_argument('--cpu', action='store_true', help='rehearse without a GPU')
    args = parser.parse_args()
    device = 'cpu' if args.cpu else 'cuda'
    if device == 'cuda' and not torch.cuda.is_available():
        print(json.dumps({'skipped': f'torch {torch.__version__} sees no GPU'}))
        return 0
    for result in results(args, device):
        print(json.dumps(result), flush=True)
    return 0


def results(args: argparse.Namespace, device: str) -> Iterator[dict[str, Any]]:
    """Measure one thing after the other."""
    cases = args.case or (CASES if device == 'cuda' else REHEARSAL)
    for case in cases:
        if device == 'cuda':
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        yield measure(case, args.engine, args.precision, args.seconds, device)
    yield attempt('steady', steady, cases[-1], args.precision, device)
    yield attempt('payloads', payloads, cases[0], args.precision, device)
    for case in cases[-2:]:
        yield attempt('cameras', cameras, case, args.precision, device)
    if args.drift_frames:
        for name in DRIFT_SIZES[device]:
            yield attempt('drift', drift, name, args.precision, args.drift_frames, device)
    yield {
        'device': torch.cuda.get_device_name() if device == 'cuda' else 'CPU',
        'torch': torch.__version__,
        'cuda': torch.version.cuda,
    }


if __name__ == '__main__':
    sys.exit(main())
