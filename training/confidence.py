# SPDX-License-Identifier: Apache-2.0
"""Fit the expected error of a network's depth: `python -m training.confidence WEIGHTS CLIPS ...`.

Prints the `ErrorModel` of its card in models/catalogue.py, and a table of how it does on sequences
that are not fitted. CLIPS are folders of clips, as training.generate and training.recorded write
them, of at least three frames each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from training.measure import (
    Memory,
    Stream,
    TrueFrame,
    add_sequences,
    chosen_sequences,
    percent,
    table_head,
    table_line,
)
from training.measure import Sequence as TrueSequence
from training.shards import CANONICAL_UNIT, Clip, find_clips
from videodepth_ros.models.cards import UNCALIBRATED, ErrorModel
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.variants import config_of
from videodepth_ros.stream.confidence import ErrorEstimator

FARTHEST_M = 500.0
MOST_ERROR = 1.0
"""Larger errors count as this one: few pixels beside edges would outweigh the rest."""
PIXELS_A_FRAME, PIXELS_A_CLIP = 2000, 500
NEWTON_STEPS = 30


@dataclass(frozen=True)
class Errors:
    """Pixels of one sequence, (N,) float64 each.

    curvature, flicker, slope  figures of `ErrorEstimator`
    error  |depth / truth - 1| after one scale for the sequence, at most MOST_ERROR
    """

    name: str
    curvature: NDArray[np.float64]
    flicker: NDArray[np.float64]
    slope: NDArray[np.float64]
    error: NDArray[np.float64]

    def expected(self, model: ErrorModel) -> NDArray[np.float64]:
        """Return the expected error of each pixel."""
        error = model.error(self.curvature, self.flicker, self.slope)
        return np.clip(error, model.least, model.most)

    def fifths(self, model: ErrorModel) -> NDArray[np.float64]:
        """Return the mean error of each fifth of the pixels, the most confident ones first."""
        order = np.argsort(self.expected(model), kind='stable')
        return np.array([part.mean() for part in np.array_split(self.error[order], 5)])


def of_clip(clip: Clip) -> TrueSequence:
    """Return a stored clip as a sequence of a camera whose fx is its width."""

    def frames() -> Iterator[TrueFrame]:
        with np.errstate(divide='ignore'):
            for image, inverse in zip(clip.image, clip.inverse_depth, strict=True):
                yield TrueFrame(np.array(image), CANONICAL_UNIT / inverse.astype(np.float32))

    return TrueSequence(clip.image_path.name.split('.')[0], 1.0, 10.0, frames)


def errors_of(model: FlashDepth, sequence: TrueSequence) -> Errors | None:
    """Stream a sequence and sample its errors; None where it has no truth."""
    stream, estimator = Stream(model, sequence, Memory.STEADIED), ErrorEstimator()
    rng, rows = np.random.default_rng(0), []
    for frame in sequence.frames():
        depth_m = stream.depth_m(frame.image)
        figures = estimator.figures(stream.canonical)
        truth_m = frame.depth_m
        size = truth_m.shape[::-1]
        depth_m = cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST)
        judged = np.isfinite(truth_m) & (truth_m > 0) & (truth_m < FARTHEST_M)
        judged &= np.isfinite(depth_m)
        if figures.flicker is None or not judged.any():
            continue
        at = rng.choice(np.flatnonzero(judged), PIXELS_A_FRAME)
        maps = (*(cv2.resize(each, size) for each in figures), depth_m, truth_m)
        rows.append(np.stack([each.ravel()[at] for each in maps]))
    if not rows:
        return None
    curvature, flicker, slope, depth, truth = np.concatenate(rows, axis=1).astype(np.float64)
    ratio = depth / truth
    error = np.minimum(np.abs(ratio / np.median(ratio) - 1), MOST_ERROR)
    return Errors(sequence.name, curvature, flicker, slope, error)


def pooled(parts: Sequence[Errors], name: str, pixels: int = PIXELS_A_CLIP) -> Errors:
    """Return as many pixels of each sequence together."""
    rng = np.random.default_rng(0)
    rows = [
        np.stack([part.curvature, part.flicker, part.slope, part.error])[
            :, rng.choice(len(part.error), pixels)
        ]
        for part in parts
    ]
    return Errors(name, *np.concatenate(rows, axis=1))


def fit(errors: Errors) -> ErrorModel:
    """Fit an error model by Poisson regression: its mean is that of the errors, unlike in logs."""
    floor = UNCALIBRATED.floor
    logs = np.log(np.stack([errors.curvature, errors.flicker, errors.slope]) + floor)
    terms = np.stack([np.ones(len(errors.error)), *logs], axis=1)
    weights = np.array([np.log(errors.error.mean()), *[0.0] * len(logs)])
    for _ in range(NEWTON_STEPS):
        mean = np.exp(terms @ weights)
        hessian = (terms * mean[:, None]).T @ terms
        weights += np.linalg.solve(hessian, terms.T @ (errors.error - mean))
    return ErrorModel(
        *(round(float(value), 3) for value in (np.exp(weights[0]), *weights[1:])),
        usual_flicker=round(float(np.median(errors.flicker)), 3),
    )


def line(errors: Errors, model: ErrorModel) -> str:
    """Return the line of a sequence."""
    fifths = errors.fifths(model)
    expected = np.sort(errors.expected(model))
    return table_line(
        errors.name,
        percent(errors.error.mean()),
        *(
            f'{percent(found)} ({percent(part.mean())})'
            for found, part in zip(fifths, np.array_split(expected, 5), strict=True)
        ),
        f'{fifths[-1] / fifths[0]:.1f}',
    )


HEADS = ('sequence', 'error', 'top fifth (expected)', '2nd', '3rd', '4th', 'bottom', 'ratio')


def main() -> None:
    """Parse the command line, fit and print."""
    parser = argparse.ArgumentParser(prog='python -m training.confidence', description=__doc__)
    parser.add_argument('weights', type=Path)
    parser.add_argument('clips', type=Path, nargs='+', help='folders of clips to fit to')
    add_sequences(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = load_flashdepth(config_of(arguments.model), arguments.weights)
    clips = [clip for folder in arguments.clips for clip in find_clips(folder)]
    fitted = [errors_of(network, of_clip(clip)) for clip in tqdm(clips, unit='clip')]
    model = fit(pooled([each for each in fitted if each], 'clips'))
    print(f'errors={model},\n')
    print(table_head(HEADS))
    judged = []
    for sequence in chosen_sequences(arguments):
        if errors := errors_of(network, sequence):
            judged.append(errors)
            print(line(errors, model), flush=True)
    print(line(pooled(judged, 'all of them', PIXELS_A_FRAME), model))


if __name__ == '__main__':
    main()
