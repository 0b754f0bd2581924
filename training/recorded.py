# SPDX-License-Identifier: Apache-2.0
"""Clips of recorded sequences with depth: `python -m training.recorded CLIPS SEQUENCE ...`.

A sequence is a folder with `rgb/`, `depth/` (16-bit PNG, 0 is unknown) and `intrinsics.json`
(width, fx, depth_png_scale_m), planar Z in the same camera: an RGB-D camera's or a renderer's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.shards import canonical_inverse_depth, write_clip

STORED_WIDTH = 320
CLIP_FRAMES = 8


def store_sequence(folder: Path, sequence: Path) -> int:
    """Write the clips of a sequence, ``CLIP_FRAMES`` each, and return how many they are."""
    about = json.loads((sequence / 'intrinsics.json').read_text())
    pairs = list(
        zip(sorted(sequence.glob('rgb/*')), sorted(sequence.glob('depth/*')), strict=True)
    )
    starts = range(0, len(pairs), CLIP_FRAMES)
    for number, start in enumerate(starts):
        frames = [
            read_frame(image, depth, about['depth_png_scale_m'])
            for image, depth in pairs[start : start + CLIP_FRAMES]
        ]
        images, depth_m = (np.stack(part) for part in zip(*frames, strict=True))
        fx = about['fx'] * images.shape[2] / about['width']
        write_clip(folder, sequence.name, number, images, canonical_inverse_depth(depth_m, fx))
    return len(starts)


def read_frame(
    image_path: Path, depth_path: Path, depth_png_scale_m: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return an image (h, w, 3) uint8 and its depth (h, w) float32, NaN where unknown, shrunk."""
    image = cv2.cvtColor(cv2.imread(str(image_path)), cv2.COLOR_BGR2RGB)
    stored = cv2.imread(str(depth_path), cv2.IMREAD_UNCHANGED)
    width = min(STORED_WIDTH, image.shape[1])
    size = width, round(image.shape[0] * width / image.shape[1])
    depth = cv2.resize(stored, size, interpolation=cv2.INTER_NEAREST_EXACT)
    depth_m = np.where(depth > 0, depth.astype(np.float32) * depth_png_scale_m, np.nan)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), depth_m.astype(np.float32)


def main() -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(prog='python -m training.recorded', description=__doc__)
    parser.add_argument('folder', type=Path, help='folder of clips')
    parser.add_argument('sequences', type=Path, nargs='+')
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for sequence in arguments.sequences:
        print(f'{sequence.name}: {store_sequence(arguments.folder, sequence)} clips')


if __name__ == '__main__':
    main()
