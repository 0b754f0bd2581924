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
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.shards import CANONICAL_UNIT, Clip, find_clips
from training.validate import baseline
from videodepth_ros.evaluation.depth import DepthPair, evaluate_depth
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


def row(model: FlashDepth, sequence: Sequence, keep_state: bool) -> str:
    """One line of the table."""
    pairs = predicted_pairs(Stream(model, keep_state), sequence)
    none, scale, both = (evaluate_depth(pairs, alignment) for alignment in (
        Alignment.NONE, Alignment.SCALE, Alignment.SCALE_SHIFT))
    noise = flicker(Stream(model, keep_state), sequence)
    return _line(sequence.name, 'kept' if keep_state else 'reset', str(none.frames),
                 *(f'{report.errors.abs_rel:.3f}' for report in (none, scale, both)),
                 f'{baseline(both):.3f}', f'{both.errors.delta_1_25:.3f}',
                 f'{both.boundary_f1:.3f}', _percent(scale.scale_drift), _percent(noise))


def _line(*cells: str) -> str:
    return '| ' + ' | '.join(cells) + ' |'


def _percent(share: float) -> str:
    return f'{100 * share:.2f} %'


def table(model: FlashDepth, sequences: list[Sequence]) -> Iterator[str]:
    """Yield the lines of the table."""
    heads = ('sequence', 'state', 'frames', 'AbsRel metric', 'AbsRel scale', 'AbsRel scale+shift',
             'best without image', 'delta 1.25', 'boundary F1', 'drift', 'static flicker')
    yield _line(*heads)
    yield _line(*('---' for _ in heads))
    for sequence in sequences:
        yield from map(partial(row, model, sequence), (True, False))


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(prog='python -m training.measure', description=__doc__)
    parser.add_argument('weights', type=Path)
    parser.add_argument('--clips', type=Path, help='folder of clips of training.generate')
    parser.add_argument('--sequences', type=Path, nargs='*', default=[], help='recorded folders')
    parser.add_argument('--stride', type=int, default=1, help='of recorded frames')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sequences = [of_folder(folder, arguments.stride) for folder in arguments.sequences]
    if arguments.clips:
        sequences += [of_clip(clip) for clip in find_clips(arguments.clips)]
    for line in table(load_flashdepth(NANO, arguments.weights), sequences):
        print(line, flush=True)


if __name__ == '__main__':
    main()
