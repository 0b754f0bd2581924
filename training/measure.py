# SPDX-License-Identifier: Apache-2.0
"""Measure weights: `python -m training.measure WEIGHTS --held-out 6 --sequences FOLDER ...`.

Prints a Markdown table; every sequence as it is streamed by default (its depth steadied), with
the network's state alone, and with that reset at each frame. A sequence is rendered from a scene
family that is held out, or is a folder with `rgb/`, `depth/` (16-bit PNG) and `intrinsics.json`
(width, fx, fps, depth_png_scale_m).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.generate import HELD_OUT, Take
from training.planes import plane_rms
from training.validate import baseline
from videodepth_ros.evaluation.accumulators import DepthAlignment
from videodepth_ros.evaluation.depth import DepthPair, DepthReport, evaluate_depth
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.catalogue import card
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.preprocess import budget_size, network_input
from videodepth_ros.models.variants import config_of
from videodepth_ros.stream.guided_filter import guided_filter
from videodepth_ros.stream.scale import scale_of
from videodepth_ros.stream.temporal_filter import TemporalFilter

CARD = card('nano')
NOISE_LEVELS = 4.0
STATIC_FRAMES, SETTLED_FRAMES = 40, 10
FARTHEST_M = 1000.0
HELD_OUT_SEED, HELD_OUT_FRAMES = 2_000_000, 50


@dataclass(frozen=True)
class TrueFrame:
    """An image (H, W, 3) uint8 and its depth (H, W) float32 in metres; 0 or +inf is not judged."""

    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]


class Memory(str, Enum):
    """What a stream remembers from frame to frame."""

    STEADIED = 'steadied'
    # its state, and what temporal_filter.py and guided_filter.py of stream/ do
    KEPT = 'kept'  # its state
    RESET = 'reset'  # nothing


@dataclass(frozen=True)
class Sequence:
    """A sequence with truth that can be read again and again; focal is fx / width."""

    name: str
    focal: float
    fps: float
    frames: Callable[[], Iterator[TrueFrame]]


def held_out(count: int) -> list[Sequence]:
    """The first ``count`` clips of the held-out families that are measured by, by their names."""
    return [of_take(Take(k, HELD_OUT_SEED, HELD_OUT, HELD_OUT_FRAMES)) for k in range(count)]


def of_take(take: Take) -> Sequence:
    """A rendered clip; it is kept in memory."""
    shot = list(take.shoot())
    camera = shot[0].camera
    return Sequence(
        f'{take.family.name}-{take.index}',
        camera.fx / camera.width,
        take.fps,
        lambda: (TrueFrame(frame.image, frame.depth_m) for frame in shot),
    )


def of_folder(folder: Path, stride: int) -> Sequence:
    """Every ``stride``-th frame of a recorded sequence."""
    about = json.loads((folder / 'intrinsics.json').read_text())
    scale_m = about['depth_png_scale_m']

    def frames() -> Iterator[TrueFrame]:
        pairs = zip(sorted(folder.glob('rgb/*')), sorted(folder.glob('depth/*')), strict=True)
        for image, depth in list(pairs)[::stride]:
            stored = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
            yield TrueFrame(
                cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB),
                stored.astype(np.float32) * np.float32(scale_m),
            )

    return Sequence(folder.name, about['fx'] / about['width'], about['fps'] / stride, frames)


class Stream:
    """A network that sees one frame of a sequence after the other.

    canonical  (h, w) float32, its last inverse depth, steadied but not filtered
    """

    canonical: NDArray[np.float32]

    def __init__(self, model: FlashDepth, sequence: Sequence, memory: Memory) -> None:
        self.model, self.sequence, self.memory = model, sequence, memory
        self.state: torch.Tensor | None = None
        self.temporal = TemporalFilter()
        self.seen = 0

    @torch.no_grad()
    def depth_m(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Z in metres (h, w) float32 of the next image (H, W, 3) uint8."""
        height, width = image.shape[:2]
        camera = Intrinsics.centred(width, height, self.sequence.focal * width)
        scale = scale_of(CARD.unit, camera, 1.0)
        size = budget_size(width, height, CARD.max_pixels, CARD.patch)
        network_image = torch.from_numpy(network_input(image, *size))[None]
        inverse_depth, state = self.model.step(network_image, self.state)
        self.state = None if self.memory is Memory.RESET else state
        canonical = inverse_depth[0].numpy()
        if self.memory is Memory.STEADIED:
            frame = self._frame(image, camera)
            corrected = self.temporal.correct(frame, scale.depth_m(canonical))
            canonical = canonical / corrected.factor
        self.canonical = canonical
        if self.memory is Memory.STEADIED:
            canonical = guided_filter(canonical, image, image.shape[:2])
        return scale.depth_m(canonical)

    def _frame(self, image: NDArray[np.uint8], camera: Intrinsics) -> Frame:
        self.seen += 1
        return Frame(round(self.seen * 1e9 / self.sequence.fps), 'camera', image, camera)


def predicted_pairs(model: FlashDepth, sequence: Sequence, memory: Memory) -> list[DepthPair]:
    """Predict a sequence in metres, its intrinsics known."""
    stream = Stream(model, sequence, memory)
    return [
        DepthPair(k, stream.depth_m(frame.image), frame.depth_m)
        for k, frame in enumerate(sequence.frames())
    ]


def flicker(model: FlashDepth, sequence: Sequence, memory: Memory) -> float:
    """Median over pixels of std / median of depth, camera still, noise of a few grey levels."""
    rng = np.random.default_rng(0)
    image = next(iter(sequence.frames())).image
    stream, seen = Stream(model, sequence, memory), []
    for _ in range(STATIC_FRAMES):
        noisy = image + rng.normal(0, NOISE_LEVELS, image.shape)
        seen.append(stream.depth_m(noisy.clip(0, 255).astype(np.uint8)))
    depth_m = np.minimum(np.stack(seen[SETTLED_FRAMES:]), FARTHEST_M)
    return float(np.median(depth_m.std(0) / np.median(depth_m, axis=0)))


@dataclass(frozen=True)
class Measured:
    """Figures of one sequence.

    metric, scaled, aligned  errors with nothing fitted, with a scale, with scale and shift
    flicker                  of ``flicker``, a share of depth
    planes                   of ``plane_rms``, a share of depth
    """

    name: str
    memory: Memory
    metric: DepthReport
    scaled: DepthReport
    aligned: DepthReport
    flicker: float
    planes: float

    @property
    def abs_rel(self) -> float:
        """AbsRel with scale and shift."""
        return self.aligned.errors.abs_rel

    @property
    def baseline(self) -> float:
        """AbsRel of the better of the two predictors without image."""
        return baseline(self.aligned)

    def line(self) -> str:
        """One line of the table."""
        return table_line(
            self.name,
            self.memory.value,
            str(self.aligned.frames),
            *(
                f'{report.errors.abs_rel:.3f}'
                for report in (self.metric, self.scaled, self.aligned)
            ),
            f'{self.baseline:.3f}',
            f'{self.aligned.errors.delta_1_25:.3f}',
            f'{self.aligned.boundary_f1:.3f}',
            percent(self.scaled.scale_drift),
            percent(self.flicker),
            percent(self.planes),
        )


def measure(model: FlashDepth, sequence: Sequence, memory: Memory) -> Measured:
    """Predict a sequence and compare it with its truth."""
    pairs = predicted_pairs(model, sequence, memory)
    metric, scaled, aligned = (
        evaluate_depth(pairs, alignment)
        for alignment in (DepthAlignment.NONE, DepthAlignment.SCALE, DepthAlignment.SCALE_SHIFT)
    )
    flickers = flicker(model, sequence, memory)
    planes = plane_rms(pairs)
    return Measured(sequence.name, memory, metric, scaled, aligned, flickers, planes)


def table_line(*cells: str) -> str:
    """One line of a Markdown table."""
    return '| ' + ' | '.join(cells) + ' |'


def table_head(names: tuple[str, ...]) -> str:
    """The first two lines of a Markdown table."""
    return table_line(*names) + '\n' + table_line(*('---' for _ in names))


def percent(share: float) -> str:
    """A share, such as 0.0123, as text."""
    return f'{100 * share:.2f} %'


MEASURED_HEADS = (
    'sequence',
    'state',
    'frames',
    'AbsRel metric',
    'AbsRel scale',
    'AbsRel scale+shift',
    'best without image',
    'delta 1.25',
    'boundary F1',
    'drift',
    'static flicker',
    'plane RMS',
)


def measure_all(model: FlashDepth, sequences: list[Sequence]) -> Iterator[Measured]:
    """Yield the figures of each sequence, one after the other with each memory."""
    for sequence in sequences:
        for memory in Memory:
            yield measure(model, sequence, memory)


def add_sequences(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what is measured."""
    parser.add_argument(
        '--held-out',
        type=int,
        default=6,
        metavar='N',
        help='sequences of held-out scene families (default: 6)',
    )
    parser.add_argument('--sequences', type=Path, nargs='*', default=[], help='recorded folders')
    parser.add_argument(
        '--model', default='nano', help='whose weights they are, by its name in the catalogue'
    )
    parser.add_argument('--stride', type=int, default=1, help='of recorded frames')


def chosen_sequences(arguments: argparse.Namespace) -> list[Sequence]:
    """Return the recordings and held-out scenes that the options choose."""
    return [
        *(of_folder(folder, arguments.stride) for folder in arguments.sequences),
        *held_out(arguments.held_out),
    ]


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(prog='python -m training.measure', description=__doc__)
    parser.add_argument('weights', type=Path)
    add_sequences(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sequences = chosen_sequences(arguments)
    print(table_head(MEASURED_HEADS))
    for measured in measure_all(
        load_flashdepth(config_of(arguments.model), arguments.weights), sequences
    ):
        print(measured.line(), flush=True)


if __name__ == '__main__':
    main()
