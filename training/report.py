# SPDX-License-Identifier: Apache-2.0
"""The quality report: `python -m training.report WEIGHTS --out docs`.

Writes `OUT/nano.md`, tables of what `training.measure` measures with what was aimed at beside it,
and `OUT/nano.jpg`, one frame of every sequence: image, truth, prediction.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.measure import (
    MEASURED_HEADS,
    Measured,
    Memory,
    Sequence,
    add_sequences,
    chosen_sequences,
    measure_all,
    percent,
    predicted_pairs,
    table_head,
    table_line,
)
from videodepth_ros.evaluation.depth import depth_from_inverse, resize_nearest
from videodepth_ros.models.flashdepth import FlashDepth, load_flashdepth
from videodepth_ros.models.variants import config_of
from videodepth_ros.pictures import colour_range, colourise, resized, side_by_side, write_picture

PANEL_PX = 200, 150
SEQUENCES_A_ROW = 2

INTRODUCTION = """\
# What `nano` can do

Written by `python -m training.report` from the bundled weights; what the columns mean is in the
[model card](../videodepth_ros/weights/NANO.md). No sequence is of a kind that was trained on:
clips of 50 frames are of scene families that were held out, the others are recordings of other
programs and of a camera.

![image, truth and prediction of one frame of each sequence](nano.jpg)

Image, truth, prediction, each depth in the colours of the truth's range; scale and shift are
fitted once to the whole sequence. "Drift saved" is what the stream's memory takes away from what
frames by themselves drift: the network's state, the corners that are followed to steady depth
(`stream/stabilization.py`) and stereo with earlier frames (`stream/motion_stereo.py`); and the
network's state alone."""

HEADS = (
    'sequence',
    'AbsRel below the best without image',
    'delta 1.25',
    'metric AbsRel',
    'static flicker',
    'drift saved',
    'by the network',
    'flicker saved',
    'AbsRel saved',
)
BARS = (
    ('*aimed at: held out*', '35 %', '0.85', '0.20', '1 %', '30 %', '', 'any', 'no loss'),
    ('*aimed at: rendered*', '15 %', '0.70', '', '1 %', '30 %', '', 'any', 'no loss'),
    ('*aimed at: real*', '10 %', '', '', '1 %', '30 %', '', 'any', 'no loss'),
)


@dataclass(frozen=True)
class Ablation:
    """One sequence: all that is remembered, the network's state alone, nothing remembered."""

    steadied: Measured
    kept: Measured
    reset: Measured

    def drift_saved(self, measured: Measured) -> float:
        """Share of the drift that a memory takes away."""
        return 1 - measured.scaled.scale_drift / self.reset.scaled.scale_drift

    @property
    def margin(self) -> float:
        """Share by which AbsRel is below that of the best predictor without an image."""
        return 1 - self.steadied.abs_rel / self.steadied.baseline

    def line(self) -> str:
        """One line of the table of bars."""
        shown, reset = self.steadied, self.reset
        return table_line(
            shown.name,
            _signed(self.margin),
            f'{shown.aligned.errors.delta_1_25:.2f}',
            f'{shown.metric.errors.abs_rel:.2f}',
            percent(shown.flicker),
            _signed(self.drift_saved(shown)),
            _signed(self.drift_saved(self.kept)),
            _signed(1 - shown.flicker / reset.flicker),
            _signed(1 - shown.abs_rel / reset.abs_rel),
        )


def page(measured: list[Measured], thanks: str = '') -> str:
    """Return the report, Markdown, of figures that come in threes, one for each memory."""
    count = len(Memory)
    ablations = [Ablation(*measured[k : k + count]) for k in range(0, len(measured), count)]
    return '\n'.join(
        (
            INTRODUCTION,
            thanks,
            '',
            '## Against what was aimed at, and what memory is worth',
            '',
            table_head(HEADS),
            *(table_line(*bar) for bar in BARS),
            *(ablation.line() for ablation in ablations),
            '',
            _means(ablations),
            '',
            '## All figures',
            '',
            table_head(MEASURED_HEADS),
            *(row.line() for row in measured),
            '',
        )
    )


def _means(ablations: list[Ablation]) -> str:
    """Means over the sequences, in a sentence."""
    margin, delta, metric, drift, network, flicker = np.mean(
        [
            (
                each.margin,
                each.steadied.aligned.errors.delta_1_25,
                each.steadied.metric.errors.abs_rel,
                each.drift_saved(each.steadied),
                each.drift_saved(each.kept),
                each.steadied.flicker,
            )
            for each in ablations
        ],
        axis=0,
    )
    return (
        f'Means over the {len(ablations)} sequences: AbsRel {_signed(margin)} below the best '
        f'without image, delta\n{delta:.2f}, metric AbsRel {metric:.2f}, static flicker '
        f'{percent(flicker)}, drift saved {_signed(drift)}, of it\n{_signed(network)} by the '
        "network's state."
    )


def _signed(share: float) -> str:
    return f'{100 * share:+.0f} %'


def panels(model: FlashDepth, sequence: Sequence, measured: Measured) -> NDArray[np.uint8]:
    """Image, truth and aligned prediction of the middle frame, beside each other."""
    pairs = predicted_pairs(model, sequence, measured.memory)
    image = [frame.image for frame in sequence.frames()][len(pairs) // 2]
    pair = pairs[len(pairs) // 2]
    report = measured.aligned
    aligned_m = depth_from_inverse(
        1 / pair.predicted_m, (report.scale, report.shift_per_m), report.max_depth_m
    )
    shown_m = resize_nearest(aligned_m, pair.truth_m.shape).astype(np.float32)
    truth_m = np.where(pair.truth_m > 0, pair.truth_m, np.nan).astype(np.float32)
    colours = colour_range([truth_m])
    return side_by_side(
        (name, resized(picture, *PANEL_PX))
        for name, picture in (
            (sequence.name, image),
            ('truth', colourise(truth_m, colours)),
            ('nano', colourise(shown_m, colours)),
        )
    )


def contact_sheet(rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Lay the pictures of sequences out; an empty place is black."""
    empty = np.zeros_like(rows[0])
    rows = rows + [empty] * (-len(rows) % SEQUENCES_A_ROW)
    return np.vstack(
        [np.hstack(rows[k : k + SEQUENCES_A_ROW]) for k in range(0, len(rows), SEQUENCES_A_ROW)]
    )


def main() -> None:
    """Parse the command line and write the report."""
    parser = argparse.ArgumentParser(prog='python -m training.report', description=__doc__)
    parser.add_argument('weights', type=Path)
    add_sequences(parser)
    parser.add_argument(
        '--unseen',
        nargs='*',
        default=[],
        help='names of recordings that may be measured but not be shown',
    )
    parser.add_argument('--thanks', default='', help='what is owed to those that are shown')
    parser.add_argument('--out', type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    model = load_flashdepth(config_of(arguments.model), arguments.weights)
    sequences = chosen_sequences(arguments)
    measured = list(measure_all(model, sequences))
    rows = [
        panels(model, sequence, shown)
        for sequence, shown in zip(sequences, measured[:: len(Memory)], strict=True)
        if sequence.name not in arguments.unseen
    ]
    write_picture(arguments.out / 'nano.jpg', contact_sheet(rows))
    (arguments.out / 'nano.md').write_text(page(measured, arguments.thanks))


if __name__ == '__main__':
    main()
