# SPDX-License-Identifier: Apache-2.0
"""How long a streaming step takes, engine by engine; prints JSON.

    python bench/engine.py --model nano --size 320x240 --engine onnx torch --threads 2

Engines take turns in short rounds, so that other load on the machine falls on all of them. With
``--rate-hz`` frames come at that rate, as from a camera; without, one after the other. ``cpu_ms``
is what a frame costs on all cores together. ``--random`` needs no weights: the time does not
depend on them. ``--operators`` adds what the operators of the ONNX graph cost on their own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime as ort

from videodepth_ros.engines.artefacts import graph_key
from videodepth_ros.engines.engine import Engine, EngineSpec, State
from videodepth_ros.engines.graph import Origin
from videodepth_ros.engines.onnx_engine import OnnxEngine, session_options
from videodepth_ros.engines.open import open_engine
from videodepth_ros.engines.store import EngineStore
from videodepth_ros.models.catalogue import card, cards

WARM_UP, ROUND = 5, 10


@dataclass
class Run:
    """One engine with its stream and what its frames have cost so far."""

    engine: Engine
    state: State
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def step(self, image: np.ndarray) -> None:
        """Compute one frame (3, H, W) and note what it cost."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        _, self.state = self.engine.step(image, self.state)
        self.wall_ms.append(1e3 * (time.perf_counter() - wall_s))
        self.cpu_ms.append(1e3 * (time.process_time() - cpu_s))

    def report(self) -> dict[str, object]:
        """Return the figures after the warm-up."""
        spec, wall_ms = self.engine.spec, np.array(self.wall_ms[WARM_UP:])
        p50_ms, p99_ms = np.percentile(wall_ms, [50, 99])
        return {
            'model': spec.model,
            'engine': spec.engine,
            'device': spec.device,
            'size': f'{spec.width}x{spec.height}',
            'frames': len(wall_ms),
            'min_ms': round(wall_ms.min(), 2),
            'p50_ms': round(p50_ms, 2),
            'p99_ms': round(p99_ms, 2),
            'cpu_ms': round(np.mean(self.cpu_ms[WARM_UP:]), 2),
            'fps': round(1e3 / p50_ms, 1),
            'notes': spec.notes,
        }


class Maker:
    """Opens engines of one model at one size."""

    def __init__(self, model: str, width: int, height: int, threads: int) -> None:
        self.model, self.width, self.height, self.threads = model, width, height, threads

    def engine(self, name: str) -> Engine:
        """Open the engine called ``name``."""
        return open_engine(self.model, name, self.width, self.height, threads=self.threads)

    def graph(self) -> Path:
        """Return the file of the ONNX graph."""
        key = graph_key(card(self.model), self.width, self.height)
        return EngineStore().folder / key.file_name


class RandomMaker(Maker):
    """The same with random weights, in a folder that goes away."""

    def __init__(self, model: str, width: int, height: int, threads: int, folder: Path) -> None:
        from videodepth_ros.engines.export import export_onnx
        from videodepth_ros.models.flashdepth import FlashDepth
        from videodepth_ros.models.variants import config_of

        super().__init__(model, width, height, threads)
        self.network = FlashDepth(config_of(model)).eval()
        self.path = folder / 'graph.onnx'
        export_onnx(self.network, self.path, width, height, Origin(model))

    def engine(self, name: str) -> Engine:
        """Open the engine called ``name``."""
        from videodepth_ros.engines.torch_engine import TorchEngine

        if name == 'torch':
            return TorchEngine(self.network, self.model, self.width, self.height, self.threads)
        if name == 'openvino':  # in the reduced precision of the processor, unchecked
            from videodepth_ros.engines import openvino_engine as ov

            precision = ov.reduced_precision(ov.device_name()) or 'fp32'
            return ov.OpenVinoEngine(
                self.path, self.model, precision=precision, threads=self.threads
            )
        if name != 'onnx':
            raise SystemExit(f'--random runs onnx, openvino and torch, not {name}')
        return OnnxEngine(self.path, self.threads)

    def graph(self) -> Path:
        """Return the file of the ONNX graph."""
        return self.path


@lru_cache
def images_for(spec: EngineSpec) -> list[np.ndarray]:
    """Return a round of images as the engine takes them: normalised planes, or bytes."""
    noise = np.random.default_rng(0)
    if spec.takes_bytes:
        return [noise.integers(0, 256, spec.inputs[0].shape, np.uint8) for _ in range(ROUND)]
    return [noise.standard_normal((3, spec.height, spec.width), np.float32) for _ in range(ROUND)]


def measure(runs: list[Run], frames: int, rate_hz: float) -> None:
    """Step each run ``frames`` times, in turns of ``ROUND`` frames."""
    for _ in range(-(-(frames + WARM_UP) // ROUND)):
        for run in runs:
            due_s = time.perf_counter()
            for image in images_for(run.engine.spec):
                run.step(image)
                if rate_hz:
                    due_s += 1 / rate_hz
                    time.sleep(max(0.0, due_s - time.perf_counter()))


def operators_ms(graph: Path, threads: int, frames: int = 30) -> dict[str, float]:
    """Return the time of each kind of operator in one frame, dearest first."""
    options = session_options(threads or 1)
    with tempfile.TemporaryDirectory() as folder:
        options.enable_profiling, options.profile_file_prefix = True, f'{folder}/profile'
        session = ort.InferenceSession(str(graph), options, providers=['CPUExecutionProvider'])
        feeds = {
            tensor.name: np.zeros(tensor.shape, np.float32) for tensor in session.get_inputs()
        }
        for _ in range(frames):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: Counter[str] = Counter()
    for event in events:
        if event['cat'] == 'Node' and event['name'].endswith('_kernel_time'):
            spent[event['args']['op_name']] += event['dur']
    return {name: round(us / frames / 1e3, 3) for name, us in spent.most_common()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--model', default='nano', choices=[known.name for known in cards()])
    parser.add_argument('--size', default='320x240', help='WxH of the network input')
    parser.add_argument('--engine', nargs='+', default=['onnx', 'torch'])
    parser.add_argument('--threads', type=int, default=0, help='0: as the engine chooses')
    parser.add_argument('--frames', type=int, default=100)
    parser.add_argument('--rate-hz', type=float, default=0.0, help='0: as fast as it goes')
    parser.add_argument('--random', action='store_true', help='random weights, nothing cached')
    parser.add_argument('--operators', action='store_true', help='profile the ONNX graph too')
    return parser.parse_args()


def main() -> None:
    args = arguments()
    width, height = map(int, args.size.split('x'))
    wanted = args.model, width, height, args.threads
    with tempfile.TemporaryDirectory() as folder:
        maker = RandomMaker(*wanted, Path(folder)) if args.random else Maker(*wanted)
        engines = [maker.engine(name) for name in args.engine]
        runs = [Run(engine, engine.zero_state()) for engine in engines]
        measure(runs, args.frames, args.rate_hz)
        result = {'rate_hz': args.rate_hz, 'engines': [run.report() for run in runs]}
        if args.operators:
            result['operators_ms'] = operators_ms(maker.graph(), args.threads)
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
