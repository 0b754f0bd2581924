# SPDX-License-Identifier: Apache-2.0
"""Measure weights: `python -m training.measure WEIGHTS --clips FOLDER --sequences FOLDER ...`.

Prints a Markdown table; every sequence once with the state kept and once with it reset at each
frame. A sequence is a clip of training.generate, or a folder with `rgb/`, `depth/` (16-bit PNG)
and `intrinsics.json` (width, fx, depth_png_scale_m).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.shards import CANONICAL_UNIT, Clip, find_clips
from training.validate import baseline
from videodepth_ros.evaluation.depth import DepthPair, DepthReport, evaluate_depth
from videodepth_ros.evaluation.sums import Alignment
from videodepth_ros.models.catalogue import card
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.nano import NANO
from videodepth_ros.models.preprocess import budget_size, network_input

CARD = card('nano')
NOISE_LEVELS = 4.0
STATIC_FRAMES, SETTLED_FRAMES = 40, 10


@dataclass(frozen=True)
class TrueFrame:
    """An image (H, W, 3) uint8 and its depth (H, W) float32 in metres; 0 or +inf is not judged."""

    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]


@dataclass(frozen=True)
class Sequence:
    """A sequence with truth that can be read again and again; focal is fx / width."""

    name: str
    focal: float
    frames: Callable[[], Iterator[TrueFrame]]


def of_clip(clip: Clip) -> Sequence:
    """A clip, in a camera of fx = width: only the product of depth and fx was stored."""
    def frames() -> Iterator[TrueFrame]:
        with np.errstate(divide='ignore'):
            for image, inverse_depth in zip(clip.image, clip.inverse_depth, strict=True):
                yield TrueFrame(image, CANONICAL_UNIT / np.asarray(inverse_depth, np.float32))
    return Sequence(clip.image_path.name.split('.')[0], 1.0, frames)


def of_folder(folder: Path, stride: int) -> Sequence:
    """Every ``stride``-th frame of a recorded sequence."""
    about = json.loads((folder / 'intrinsics.json').read_text())
    scale_m = about['depth_png_scale_m']

    def frames() -> Iterator[TrueFrame]:
        pairs = zip(sorted(folder.glob('rgb/*')), sorted(folder.glob('depth/*')), strict=True)
        for image, depth in list(pairs)[::stride]:
            stored = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
            yield TrueFrame(cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB),
                            stored.astype(np.float32) * np.float32(scale_m))
    return Sequence(folder.name, about['fx'] / about['width'], frames)


class Stream:
    """A network that sees one frame after the other, with its state kept or reset each time."""

    def __init__(self, model: FlashDepth, keep_state: bool) -> None:
        self.model, self.keep_state = model, keep_state
        self.state: torch.Tensor | None = None

    @torch.no_grad()
    def inverse_depth(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Canonical inverse depth (h, w) float32 of an image (H, W, 3) uint8."""
        size = budget_size(image.shape[1], image.shape[0], CARD.max_pixels, CARD.patch)
        network_image = torch.from_numpy(network_input(image, *size))[None]
        inverse_depth, state = self.model.step(network_image, self.state)
        if self.keep_state:
            self.state = state
        return inverse_depth[0].numpy()


def predicted_pairs(stream: Stream, sequence: Sequence) -> list[DepthPair]:
    """Predict a sequence in metres, its intrinsics known."""
    pairs = []
    for k, frame in enumerate(sequence.frames()):
        with np.errstate(divide='ignore'):
            depth_m = CANONICAL_UNIT * sequence.focal / stream.inverse_depth(frame.image)
        pairs.append(DepthPair(k, depth_m, frame.depth_m))
    return pairs


def flicker(stream: Stream, sequence: Sequence) -> float:
    """Median over pixels of std / median of depth, camera still, noise of a few grey levels."""
    rng = np.random.default_rng(0)
    image = next(iter(sequence.frames())).image
    seen = []
    for _ in range(STATIC_FRAMES):
        noisy = image + rng.normal(0, NOISE_LEVELS, image.shape)
        seen.append(stream.inverse_depth(noisy.clip(0, 255).astype(np.uint8)))
    depth = 1 / np.maximum(np.stack(seen[SETTLED_FRAMES:]), 1e-3)
    return float(np.median(depth.std(0) / np.median(depth, axis=0)))


@dataclass(frozen=True)
class Measured:
    """Figures of one sequence with the state kept, or reset at each frame.

    metric, scaled, aligned  errors with nothing fitted, with a scale, with scale and shift
    flicker                  of ``flicker``, a share of depth
    """

    name: str
    keep_state: bool
    metric: DepthReport
    scaled: DepthReport
    aligned: DepthReport
    flicker: float

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
            self.name, 'kept' if self.keep_state else 'reset', str(self.aligned.frames),
            *(f'{report.errors.abs_rel:.3f}'
              for report in (self.metric, self.scaled, self.aligned)),
            f'{self.baseline:.3f}', f'{self.aligned.errors.delta_1_25:.3f}',
            f'{self.aligned.boundary_f1:.3f}', percent(self.scaled.scale_drift),
            percent(self.flicker))


def measure(model: FlashDepth, sequence: Sequence, keep_state: bool) -> Measured:
    """Predict a sequence and compare it with its truth."""
    pairs = predicted_pairs(Stream(model, keep_state), sequence)
    reports = (evaluate_depth(pairs, alignment) for alignment in (
        Alignment.NONE, Alignment.SCALE, Alignment.SCALE_SHIFT))
    return Measured(sequence.name, keep_state, *reports,
                    flicker(Stream(model, keep_state), sequence))


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
    'sequence', 'state', 'frames', 'AbsRel metric', 'AbsRel scale', 'AbsRel scale+shift',
    'best without image', 'delta 1.25', 'boundary F1', 'drift', 'static flicker')


def measure_all(model: FlashDepth, sequences: list[Sequence]) -> Iterator[Measured]:
    """Yield the figures of each sequence, first with its state kept and then reset."""
    for sequence in sequences:
        for keep_state in (True, False):
            yield measure(model, sequence, keep_state)


def find_sequences(folders: list[Path], clips: Path | None, stride: int = 1) -> list[Sequence]:
    """Return recordings, every ``stride``-th frame of each, and the clips of a folder."""
    sequences = [of_folder(folder, stride) for folder in folders]
    if clips:
        sequences += [of_clip(clip) for clip in find_clips(clips)]
    return sequences


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(prog='python -m training.measure', description=__doc__)
    parser.add_argument('weights', type=Path)
    parser.add_argument('--clips', type=Path, help='folder of clips of training.generate')
    parser.add_argument('--sequences', type=Path, nargs='*', default=[], help='recorded folders')
    parser.add_argument('--stride', type=int, default=1, help='of recorded frames')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sequences = find_sequences(arguments.sequences, arguments.clips, arguments.stride)
    print(table_head(MEASURED_HEADS))
    for measured in measure_all(load_flashdepth(NANO, arguments.weights), sequences):
        print(measured.line(), flush=True)


if __name__ == '__main__':
    main()
